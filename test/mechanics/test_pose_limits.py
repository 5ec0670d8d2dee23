"""One range of poses for solver, live gel and requests, with one line for each way out of it."""

import math
from dataclasses import replace

import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.mechanics.touch import SolverSettings, Touch
from tacdiff_ros.sensor.sensor_file import default_sensor

BALL, LOW_TORUS = build_indenter("sphere"), build_indenter("torus:diameter=7,tube=1")
BAD = [
    (BALL, IndenterPose(x_mm=math.nan), "not finite"),
    (BALL, IndenterPose(yaw_rad=-math.inf), "not finite"),
    (BALL, IndenterPose(x_mm=12.7), "beside the pad"),
    (BALL, IndenterPose(y_mm=-10.4), "beside the pad"),
    (BALL, IndenterPose(depth_mm=2.01), "at most 2 mm (50% of the gel's 4 mm)"),
    (LOW_TORUS, IndenterPose(depth_mm=1.5), "at most 1 mm (the height of an indenter of 1 mm)"),
    (BALL, IndenterPose(yaw_rad=13.0), "yaw is 13 rad"),
]


def refusal(act, pose: IndenterPose) -> str:
    with pytest.raises(InputError) as caught:
        act(pose)
    return str(caught.value)


@pytest.mark.parametrize(("indenter", "pose", "expected"), BAD)
def test_solver_and_live_gel_refuse_the_same_poses_in_the_same_line(indenter, pose, expected):
    line = refusal(PoseLimits.of_sensor(default_sensor(), indenter).check, pose)
    assert expected in line
    assert "\n" not in line
    coarse = SolverSettings(rows=9, columns=9, layers=2)
    with Touch(default_sensor(), indenter, settings=coarse) as touch:
        assert refusal(touch.move_to, pose) == line
    gel = LiveGel.of_sensor(default_sensor(), indenter, grid=(9, 11))
    assert refusal(gel.step, pose) == refusal(gel.follow, pose) == line
    assert gel.state is None


@pytest.mark.parametrize(
    "pose",
    [
        IndenterPose(12.6, -10.3, 2.0, -6.0),
        IndenterPose(depth_mm=-80.0),  # not in contact
    ],
)
def test_poses_inside_the_range_pass(pose):
    PoseLimits.of_sensor(default_sensor(), BALL).check(pose)


def test_a_thicker_gel_may_be_pressed_deeper():
    thick = PoseLimits.of_pad(25.0, 20.0, 8.0)
    thick.check(IndenterPose(depth_mm=3.9))
    assert "at most 4 mm" in refusal(thick.check, IndenterPose(depth_mm=4.1))


def test_where_maps_are_made_the_depth_ends_where_they_end():
    model = default_sensor()
    gel = model.gel.model_copy(update={"full_indentation_mm": 1.2})
    shallow = PoseLimits.of_maps(model.model_copy(update={"gel": gel}), BALL)
    shallow.check(IndenterPose(depth_mm=1.2))
    line = refusal(shallow.check, IndenterPose(depth_mm=1.3))
    assert "at most 1.2 mm (full_indentation_mm of the sensor file" in line
    whole = PoseLimits.of_maps(model, BALL)
    assert whole == replace(shallow, max_depth_mm=2.0, depth_reason=whole.depth_reason)
