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
def sensor():
    from tacdiff_ros.virtual.virtual_sensor import VirtualSensor, virtual_sensor_model

    return VirtualSensor(virtual_sensor_model(3), "sphere:diameter=6", seed=3, grid=(33, 41))


def test_it_sees_and_feels_a_press(sensor):
    rest = sensor.sense(IndenterPose(0.5, 0.0, -2.0))
    for depth in (0.2, 0.4, 0.6):
        pressed = sensor.sense(IndenterPose(0.5, 0.0, depth))
    assert np.all(rest.result.force_n == 0)
    assert pressed.result.force_n[2] < -0.2
    assert pressed.result.surface.position[:, 2].min() == pytest.approx(-0.6, abs=0.06)
    change = np.abs(pressed.image.astype(int) - rest.image).mean(axis=2)
    assert np.quantile(change, 0.98) > 8 * np.median(change)


def test_noise_is_as_large_as_it_was_asked_for(sensor):
    images = [sensor.sense(IndenterPose(depth_mm=-1.0)).image.astype(float) for _ in range(8)]
    assert np.std(images, axis=0, ddof=1).mean() == pytest.approx(1.0, abs=0.15)


def test_its_unit_and_gel_are_not_the_default_ones(sensor):
    assert sensor.model.checksum != default_sensor().checksum
    assert sensor.material.young_modulus_mpa != 0.2
    assert 0.4 <= sensor.material.friction <= 0.6


def test_poses_that_cannot_be_are_refused(sensor):
    with pytest.raises(InputError, match="pose"):
        sensor.sense(IndenterPose(99.0, 0.0, -3.0))
