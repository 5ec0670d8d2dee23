import math

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.touch_request import TouchRequest
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_file import default_sensor

pytestmark = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)


@pytest.fixture(scope="module")
def drawing():
    from tacdiff_ros.twin.physical_renderer import PhysicalRenderer

    return PhysicalRenderer(default_sensor())


def simulate(drawing, **changes):
    from tacdiff_ros.twin.touch_simulation import simulate_touch

    content = {"indenter": "sphere:diameter=6", "start": IndenterPose(1.0, 2.0), "depth_mm": 0.5}
    return simulate_touch(default_sensor(), TouchRequest(**{**content, **changes}), drawing)


def test_a_touch_is_where_and_as_deep_as_it_was_asked_for(drawing):
    touch = simulate(drawing, shear_mm=(0.2, 0.0))
    assert touch.contact.depth_mm == pytest.approx(0.5, abs=0.05)
    assert touch.contact.centroid_mm == pytest.approx((1.2, 2.0), abs=0.2)
    assert touch.contact.shear_mm[0] == pytest.approx(0.2, abs=0.08)
    assert touch.rendered.maps.indentation_mm.max() == pytest.approx(0.5, abs=0.05)
    assert touch.result.force_n[2] < -0.1
    assert 0.02 < touch.result.force_n[0] < -touch.result.force_n[2]
    assert touch.result.converged


def test_the_torque_is_about_the_origin(drawing):
    """A pressing force at (1, 2) mm turns about x by -2 mm times it, about y by 1 mm times it."""
    touch = simulate(drawing)
    push = touch.result.force_n[2]
    assert touch.result.torque_at_origin_n_mm[:2] == pytest.approx(
        [2.0 * push, -1.0 * push], abs=0.15 * abs(push)
    )


def test_a_twist_turns_the_gel(drawing):
    touch = simulate(drawing, indenter="cube", twist_rad=math.radians(4))
    assert touch.contact.twist_rad == pytest.approx(math.radians(4), rel=0.5)


def test_the_untouched_sensor(drawing):
    touch = simulate(drawing, indenter="none", depth_mm=0.0)
    assert not touch.contact.in_contact
    assert np.all(touch.result.force_n == 0)
    assert touch.rendered.maps.indentation_mm.max() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"depth_mm": 0.0}, "expected above 0"),
        ({"depth_mm": math.nan}, "not finite"),
        ({"depth_mm": 9.0}, "depth is 9 mm"),
        ({"depth_mm": 1e300}, "at most 2 mm"),
        ({"start": IndenterPose(yaw_rad=1e300)}, "yaw"),
        ({"start": IndenterPose(y_mm=-math.inf)}, "not finite"),
        ({"shear_mm": (9.0, 0.0)}, "shear"),
        ({"twist_rad": 3.0}, "twist"),
        ({"start": IndenterPose(50.0)}, "on the pad"),
        ({"indenter": "teapot"}, "teapot"),
        ({"indenter": "none"}, "leaves the sensor untouched"),
    ],
)
def test_touches_that_cannot_be_are_refused(drawing, changes, expected):
    with pytest.raises(InputError, match=expected):
        simulate(drawing, **changes)
