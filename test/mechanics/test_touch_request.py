"""Requests of one touch: valid when they are made, with steps inside the sensor's range."""

import math

import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenter_spec import parse_indenter
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.sensor.sensor_file import default_sensor

LIMITS = PoseLimits.of_sensor(default_sensor())


def request(**changes) -> TouchRequest:
    content = {"indenter": "sphere:diameter=6", "start": IndenterPose(1.0, 2.0), "depth_mm": 0.5}
    return TouchRequest(**{**content, **changes})


def test_the_steps_end_where_shear_and_twist_end():
    steps = request(shear_mm=(0.3, -0.4), twist_rad=0.1).steps(LIMITS)
    end = steps[-1].pose
    assert (end.x_mm, end.y_mm, end.depth_mm) == pytest.approx((1.3, 1.6, 0.5))
    assert end.yaw_rad == pytest.approx(0.1)


def test_the_spec_may_be_parsed_already():
    parsed = request(indenter=parse_indenter("sphere:diameter=6"))
    assert parsed.spec == request().spec
    assert parsed.has_indenter
    assert not request(indenter="none", depth_mm=0.0).has_indenter


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"depth_mm": 0.0}, "depth is 0 mm, expected above 0"),
        ({"depth_mm": math.nan}, "not finite"),
        ({"start": IndenterPose(yaw_rad=math.inf)}, "not finite"),
        ({"shear_mm": (3.0, 3.0)}, r"shear is \(3.0, 3.0\) mm, expected up to 4 mm"),
        ({"twist_rad": math.radians(-31.0)}, "twist is -31 deg, expected up to 30 deg"),
        ({"indenter": "a b c"}, "expected NAME"),
        ({"indenter": "none"}, "leaves the sensor untouched"),
        ({"indenter": "none:size=3", "depth_mm": 0.0}, "has no size"),
    ],
)
def test_a_request_that_cannot_be_is_never_made(changes, expected):
    with pytest.raises(InputError, match=expected):
        request(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"depth_mm": 2.5}, "depth is 2.5 mm"),
        ({"depth_mm": 1e300}, "expected at most 2 mm"),
        ({"start": IndenterPose(50.0)}, "beside the pad"),
        ({"start": IndenterPose(12.0), "shear_mm": (3.0, 0.0)}, "beside the pad"),
        ({"start": IndenterPose(yaw_rad=20.0)}, "yaw is 20 rad"),
    ],
)
def test_steps_outside_the_range_of_the_sensor_are_refused(changes, expected):
    with pytest.raises(InputError, match=expected):
        request(**changes).steps(LIMITS)
