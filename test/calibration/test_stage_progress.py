"""Progress and durations of stages."""

import pytest

from tacdiff_ros.calibration.stage_progress import StageProgress


def test_a_fit_reports_its_part_of_the_calibration_and_the_stage_its_duration():
    reports = []
    progress = StageProgress(lambda stage, fraction: reports.append((stage, fraction)))
    with progress.stage("lighting", 0.1):
        for fraction in (0.0, 0.5, 1.0):
            progress.within("lighting", 0.2, 0.6)(fraction)
    stages, fractions = zip(*reports, strict=True)
    assert set(stages) == {"lighting"}
    assert fractions == pytest.approx((0.1, 0.2, 0.4, 0.6))
    assert progress.seconds["lighting"] >= 0.0


def test_a_stage_that_is_aborted_has_no_duration():
    progress = StageProgress(None)
    with pytest.raises(KeyboardInterrupt), progress.stage("texture", 0.5):
        raise KeyboardInterrupt
    assert progress.seconds == {}
