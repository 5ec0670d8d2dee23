"""Modulus and friction from simulated force curves of a gel that is divided otherwise."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.identification import PressCurve, ShearCurve, identify_material
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.touch import SolverSettings, Touch
from tacdiff_ros.sensor.sensor_file import default_sensor

TRUTH = GelMaterial(young_modulus_mpa=0.137, friction=0.3)


@pytest.fixture(scope="module")
def sensor():
    model = default_sensor()
    gel = model.gel.model_copy(update={"width_mm": 11.0, "height_mm": 11.0})
    return model.model_copy(update={"gel": gel})


@pytest.fixture(scope="module")
def curves(sensor):
    settings = SolverSettings(rows=21, columns=21, layers=4)
    touch = Touch(sensor, build_indenter("sphere:diameter=8"), TRUTH, settings)
    rng = np.random.default_rng(1)
    depths, shifts = np.linspace(0.05, 0.6, 8), np.linspace(0.1, 1.0, 5)
    press = [-touch.move_to(IndenterPose(depth_mm=d)).force_n[2] for d in depths]
    drag = [touch.move_to(IndenterPose(x_mm=s, depth_mm=0.6)).force_n[0] for s in shifts]
    late = 0.03  # the arm believes in contact before there is one
    return (
        PressCurve(depths + late, np.array(press) + 0.001 * rng.normal(size=8)),
        ShearCurve(0.6, shifts, np.array(drag) + 0.001 * rng.normal(size=5)),
    )


@pytest.mark.slow
def test_modulus_offset_and_friction_are_found(sensor, curves):
    press, shear = curves
    settings = SolverSettings(rows=17, columns=17, layers=4)
    found = identify_material(
        sensor, build_indenter("sphere:diameter=8"), press, shear, settings=settings
    )
    assert found.material.young_modulus_mpa == pytest.approx(0.137, rel=0.08)
    assert found.contact_offset_mm == pytest.approx(0.03, abs=0.02)
    assert found.material.friction == pytest.approx(0.3, abs=0.05)
    assert found.press_residual_n < 0.01
    assert 0.0 < found.young_modulus_stddev_mpa < 0.02
    assert 0.0 < found.friction_stddev < 0.1


def test_without_a_shear_curve_friction_is_left_alone(sensor, curves):
    settings = SolverSettings(rows=13, columns=13, layers=3)
    found = identify_material(
        sensor, build_indenter("sphere:diameter=8"), curves[0], settings=settings
    )
    assert found.material.friction == GelMaterial().friction
    assert found.friction_stddev is None


@pytest.mark.parametrize(
    ("depth", "force", "named"),
    [
        ([0.1, 0.2], [1, 2], "2 samples"),
        ([0.1] * 5, [1] * 4, "one length"),
        ([0.1, 0.2, 0.3, 0.2, 0.5], [1] * 5, "rise"),
        ([-0.1, 0.2, 0.3, 0.4, 0.5], [1] * 5, "0 or more"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], [1, 2, np.nan, 3, 4], "not finite"),
    ],
)
def test_curves_that_cannot_be_are_refused(depth, force, named):
    with pytest.raises(InputError, match=named):
        PressCurve(np.array(depth, float), np.array(force, float))


def test_a_press_deeper_than_the_pad_is_refused(sensor):
    curve = PressCurve(np.linspace(0.5, 3.5, 6), np.linspace(1, 9, 6))
    with pytest.raises(InputError, match="depth is"):
        identify_material(sensor, build_indenter("sphere"), curve)
