"""Solver and live gel: attributes of one name have one meaning, checked against each other."""

import numpy as np
import pytest

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.touch import SolverSettings, Touch
from tacdiff_ros.sensor.sensor_file import default_sensor

START, DEPTHS_MM = IndenterPose(2.0, -1.0), (0.125, 0.25)
BALL = build_indenter("sphere:diameter=10")


@pytest.fixture(scope="module")
def solved():
    settings = SolverSettings(rows=21, columns=25, layers=4)
    with Touch(default_sensor(), BALL, settings=settings) as touch:
        return [touch.move_to(IndenterPose(2.0, -1.0, depth)) for depth in DEPTHS_MM][-1]


@pytest.fixture(scope="module")
def live():
    gel = LiveGel.of_sensor(default_sensor(), BALL, grid=(21, 25))
    return [gel.step(IndenterPose(2.0, -1.0, depth)) for depth in DEPTHS_MM][-1]


@pytest.mark.parametrize("model", ["solved", "live"])
def test_forces_areas_and_torques_fit_each_other(model, request):
    gel = request.getfixturevalue(model)
    assert gel.vertex_area_mm2.sum() == pytest.approx(25.25 * 20.75)
    area = gel.vertex_area_mm2.reshape(21, 25)
    assert -(gel.pressure_mpa * area).sum() == pytest.approx(gel.force_n[2])
    drag = (gel.traction_mpa * area[..., None]).sum(axis=(0, 1))
    assert drag == pytest.approx(gel.force_n[:2], abs=1e-9)
    assert (gel.pressure_mpa[~gel.contact] == 0).all()
    assert gel.contact.any()
    # The ball is round about its tip; about the origin its push at (2, -1) mm has a torque.
    push = gel.force_n[2]
    assert gel.torque_n_mm == pytest.approx([0.0, 0.0, 0.0], abs=0.1 * abs(push))
    expected = np.cross([2.0, -1.0, -0.25], gel.force_n) + gel.torque_n_mm
    assert gel.torque_at_origin_n_mm == pytest.approx(expected)
    assert gel.torque_at_origin_n_mm[:2] == pytest.approx([-push, -2.0 * push], rel=0.15)


def test_both_models_agree_on_the_same_press(solved, live):
    assert solved.pose == live.pose
    assert live.rest == pytest.approx(solved.rest, abs=1e-5)
    assert live.displacement == pytest.approx(solved.displacement, abs=0.05)
    # Vertices 1 mm apart leave the forces of a contact 2 mm wide uncertain by some 15 %.
    assert live.force_n[2] == pytest.approx(solved.force_n[2], rel=0.25)
    assert live.surface.position == pytest.approx(solved.surface.position, abs=0.05)
    assert 0.0 <= solved.error_mm < 0.02
    assert solved.converged
    assert live.converged
