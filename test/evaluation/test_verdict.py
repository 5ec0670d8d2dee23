"""Verdicts: the worst figure decides, and another sensor's file is recognised."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tacdiff_ros.evaluation.sensor_match import marker_mismatch_px
from tacdiff_ros.evaluation.verdict import (
    Verdict,
    calibration_verdict,
    inversion_verdict,
    replay_verdict,
    simulation_verdict,
)
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.sensor.sensor_file import default_sensor

REAL_MINI = {"press_correlation": 0.978, "press_rms_grey": 2.0, "dot_rms_px": 0.03}


@pytest.mark.parametrize(
    ("change", "level", "reason"),
    [
        ({}, "good", "0.978"),
        ({"press_rms_grey": 8.0}, "usable", "8 grey levels"),
        ({"press_correlation": 0.4}, "bad", "correlation"),
        ({"press_correlation": 0.4, "dot_rms_px": 0.3}, "bad", "correlation"),
    ],
)
def test_the_worst_figure_of_a_calibration_decides(change, level, reason):
    verdict = calibration_verdict(REAL_MINI | change)
    assert verdict.level == level
    assert reason in verdict.reasons[0]
    assert verdict.as_json()["advice"]


def test_a_gel_without_markers_is_judged_by_its_shading():
    assert calibration_verdict({"press_correlation": 0.95, "press_rms_grey": 2.0}).level == "good"


@pytest.mark.parametrize(
    ("gain_db", "markers_px", "level"),
    [(13.2, 0.5, "good"), (13.2, 1.5, "usable"), (5.0, None, "usable"), (-22.0, 0.5, "bad")],
)
def test_a_gain_below_zero_is_called_worse_than_no_simulation(gain_db, markers_px, level):
    verdict = replay_verdict(gain_db, markers_px)
    assert verdict.level == level
    assert ("worse than no simulation" in verdict.text) == (gain_db < 0)


def test_without_contact_nothing_is_judged():
    assert replay_verdict(None, None).level == "unknown"


def test_an_inversion_with_another_sensors_file_is_bad():
    verdict = inversion_verdict(2.0, 6.5, has_reference=True, warnings=0)
    assert verdict.level == "bad"
    assert "another sensor" in verdict.advice
    assert inversion_verdict(2.0, 0.1, has_reference=True, warnings=0).level == "good"
    assert inversion_verdict(2.0, 0.1, has_reference=False, warnings=0).level == "usable"
    assert inversion_verdict(2.0, 0.1, has_reference=True, warnings=1).level == "usable"


def test_a_solver_that_has_not_converged_is_no_result():
    assert simulation_verdict(True, 0.01).level == "good"
    assert simulation_verdict(False, 0.01).level == "unknown"


def test_markers_tell_the_sensors_own_file_from_those_of_others():
    from tacdiff_ros.optics.projection import project
    from tacdiff_ros.sensor.marker_positions import marker_positions_mm
    from tacdiff_ros.sensor.parameters import parameter_values
    from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

    sensors = [default_sensor(), *(virtual_sensor_model(seed) for seed in (0, 1))]
    for owner in sensors:
        image = _with_discs(project(parameter_values(owner), marker_positions_mm(owner)))
        markers = detect_markers(image, owner.markers.grid)
        for sensor in sensors:
            mismatch = marker_mismatch_px(sensor, markers)
            assert mismatch < 0.2 if sensor is owner else mismatch > 2.0


def _with_discs(centres_px: np.ndarray) -> np.ndarray:
    """(240, 320, 3) grey image with a dark soft disc of 5 px at each of (R, C, 2) positions."""
    y, x = np.mgrid[:240, :320]
    image = np.full((240, 320), 160.0)
    for cx, cy in centres_px.reshape(-1, 2):
        inside = np.clip(5.5 - np.hypot(x - cx, y - cy), 0, 1)
        image -= 120.0 * inside
    return np.repeat(image[..., None], 3, axis=-1).astype(np.uint8)


def test_presses_at_one_position_make_a_calibration_usable_at_most():
    residuals = {"press_correlation": 0.99, "press_rms_grey": 1.0, "dot_rms_px": 0.03}
    assert calibration_verdict(residuals, positions=2).level == "good"
    verdict = calibration_verdict(residuals, positions=1)
    assert verdict.level == "usable"
    assert "different positions" in verdict.advice


def test_another_sensor_is_named_before_a_doubt_of_its_reference_image():
    verdict = inversion_verdict(30.0, 9.0, True, 1, ("does something touch the gel in it?",))
    assert verdict.level == "bad"
    assert "sensor file is probably that of another sensor" in verdict.advice
    verdict = inversion_verdict(3.0, 0.1, True, 1, ("does something touch the gel in it?",))
    assert "another reference image" in verdict.advice


def test_equal_images_are_good_and_a_verdict_survives_json():
    verdict = replay_verdict(math.inf, None)
    assert verdict.level == "good"
    assert Verdict.from_json(verdict.as_json()) == verdict
