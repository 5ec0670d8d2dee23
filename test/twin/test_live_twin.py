import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_file import default_sensor

pytestmark = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)


@pytest.fixture(scope="module")
def twin():
    from tacdiff_ros.twin.live_twin import LiveTwin
    from tacdiff_ros.twin.physical_renderer import PhysicalRenderer

    return LiveTwin(
        default_sensor(), "sphere:diameter=6", PhysicalRenderer(default_sensor()), grid=(33, 41)
    )


def test_it_follows_a_press_and_a_slide(twin):
    rest = twin.follow(IndenterPose(0.0, 0.0, -1.0))
    pressed = [twin.follow(IndenterPose(0.0, 0.0, d)) for d in (0.2, 0.4, 0.6)][-1]
    slid = [twin.follow(IndenterPose(x, 0.0, 0.6)) for x in (0.1, 0.2, 0.3)][-1]
    assert rest.rendered.maps.indentation_mm.max() == pytest.approx(0.0, abs=1e-4)
    depth = pressed.rendered.maps.indentation_mm
    assert depth.max() == pytest.approx(0.6, abs=0.05)
    changed = np.abs(pressed.image.astype(int) - rest.image).mean(axis=2)
    assert changed[depth > 0.3].mean() > 5 * changed[depth < 0.02].mean()
    deep = slid.rendered.maps.indentation_mm > 0.5
    assert slid.rendered.maps.shear_mm[deep][:, 0].mean() == pytest.approx(0.25, abs=0.12)
    assert slid.result.force_n[0] > 0.05
    assert slid.pose.x_mm == 0.3


def test_lifted_off_it_is_as_if_nothing_had_been(twin):
    before = twin.follow(IndenterPose(0.0, 0.0, -1.0)).image
    twin.follow(IndenterPose(1.0, 1.0, 0.4))
    after = twin.follow(IndenterPose(1.0, 1.0, -1.0)).image
    assert np.abs(after.astype(int) - before).max() <= 1


@pytest.mark.parametrize("pose", [IndenterPose(99.0), IndenterPose(depth_mm=float("nan"))])
def test_poses_that_cannot_be_are_refused(twin, pose):
    with pytest.raises(InputError, match="pose"):
        twin.follow(pose)
