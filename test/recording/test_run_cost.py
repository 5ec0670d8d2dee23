"""The estimate of a run against what the virtual arm takes."""

import pytest

from tacdiff_ros.acquisition.protocol import Protocol, plan_trials
from tacdiff_ros.errors import InputError
from tacdiff_ros.recording.run_cost import RunCost, check_space, run_cost


def test_time_is_that_of_its_parts():
    """From rest, a minimum-jerk motion takes 15 / 8 of its length over its peak speed."""
    protocol = Protocol(
        trials=1,
        start={"standoff_mm": 4.0},
        approach={"speed_mm_s": 5.0},
        depth_mm=1.0,
        translation_mm=2.0,
        directions=("x+",),
        rotation_deg=0.0,
        return_to_center=False,
        speed_mm_s=4.0,
        travel_speed_mm_s=20.0,
        settle_s=0.1,
        dwell_s=0.4,
    )
    cost = run_cost(protocol, plan_trials(protocol), 1000, 10.0)
    moved_s = 15 / 8 * (8.0 / 20.0 + 4.0 / 5.0 + 1.0 / 4.0 + 2.0 / 4.0 + 5.0 / 10.0)
    assert cost.seconds == pytest.approx(moved_s + 3 * 0.5)
    assert cost.bytes == pytest.approx(cost.seconds * (25 * 1000 + 2e6))


def test_ten_trials_take_ten_times_one():
    protocol = Protocol()
    one, ten = (run_cost(protocol, plan_trials(protocol, n), 1, 10.0).seconds for n in (1, 10))
    assert ten == pytest.approx(10 * one)


def test_what_does_not_fit_is_refused_before_the_folder_exists(tmp_path):
    folder = tmp_path / "not" / "there"
    check_space(folder, RunCost(60.0, 1.0))
    with pytest.raises(InputError, match=r"100000000\.0 GB in 1 min"):
        check_space(folder, RunCost(60.0, 1e17))
    assert not folder.exists()
