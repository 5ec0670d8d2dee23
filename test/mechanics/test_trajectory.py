"""Trajectories: phases in the paper's order, steps that are short enough, goals that are met."""

import math

import pytest

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.trajectory import Trajectory, plan_touch, plan_trajectory

START = IndenterPose(1.0, -0.5, 0.0, 0.3)


def goals(steps):
    last = {step.name: step.pose for step in steps}
    return {
        name: (round(p.x_mm, 9), round(p.y_mm, 9), p.depth_mm, round(p.yaw_rad, 9))
        for name, p in last.items()
    }


def test_forward_only_goes_on_from_where_the_last_phase_ended():
    steps = plan_trajectory(Trajectory(depth_mm=1.0, translation_mm=2.0, rotation_deg=6), START)
    angle = math.radians(6)
    assert goals(steps) == {
        "press": (1.0, -0.5, 1.0, 0.3),
        "translate x+": (3.0, -0.5, 1.0, 0.3),
        "translate x-": (1.0, -0.5, 1.0, 0.3),
        "translate y+": (1.0, 1.5, 1.0, 0.3),
        "translate y-": (1.0, -0.5, 1.0, 0.3),
        "rotate +": (1.0, -0.5, 1.0, round(0.3 + angle, 9)),
        "rotate -": (1.0, -0.5, 1.0, round(0.3 - angle, 9)),
    }
    assert [step.phase for step in steps if step.name == "press"] == ["press"] * 8


def test_returning_comes_back_to_the_middle_and_releasing_lifts_off():
    plan = Trajectory(directions=("x+", "y-"), returning=True, releasing=True)
    found = goals(plan_trajectory(plan, START))
    assert found["back from x+"] == found["back from y-"] == (1.0, -0.5, 1.0, 0.3)
    assert found["translate y-"] == (1.0, -1.5, 1.0, 0.3)
    assert found["rotate back"] == (1.0, -0.5, 1.0, 0.3)
    assert found["release"][2] < 0


@pytest.mark.parametrize("step_mm", [0.125, 0.07, 0.5])
def test_no_step_is_longer_than_asked_for(step_mm):
    here = START
    for step in plan_trajectory(Trajectory(step_mm=step_mm, step_deg=1.0), START):
        moved = math.dist(
            (here.x_mm, here.y_mm, here.depth_mm),
            (step.pose.x_mm, step.pose.y_mm, step.pose.depth_mm),
        )
        assert moved <= step_mm + 1e-9
        assert abs(step.pose.yaw_rad - here.yaw_rad) <= math.radians(1.0) + 1e-9
        here = step.pose


def test_a_touch_presses_slides_and_twists():
    steps = plan_touch(START, 0.5, (0.3, 0.4), 0.1)
    assert list(dict.fromkeys(step.name for step in steps)) == ["press", "slide", "twist"]
    assert goals(steps)["twist"] == (1.3, -0.1, 0.5, 0.4)
    assert [step.name for step in plan_touch(START, 0.1)] == ["press"]


@pytest.mark.parametrize(
    "values",
    [
        {"depth_mm": 0.0},
        {"depth_mm": math.inf},
        {"directions": ("up",)},
        {"step_mm": 0.0},
        {"x": 1},
    ],
)
def test_absurd_trajectories_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        Trajectory(**values)
