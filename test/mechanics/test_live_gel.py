"""The live gel does what a gel under an indenter does."""

import math

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.second_order import SecondOrderWeights
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.sensor.sensor_file import default_sensor

COARSE = PadGrid(rows=33, columns=41)
LINEAR = SecondOrderWeights.none()


def press(gel: LiveGel, depth_mm: float, steps: int = 8, x_mm: float = 0.0, y_mm: float = 0.0):
    for depth in np.linspace(0.0, depth_mm, steps + 1)[1:]:
        answer = gel.step(IndenterPose(x_mm, y_mm, float(depth)))
    return answer


def dimitriadis_n(radius_mm: float, depth_mm: float, material: GelMaterial, h_mm: float) -> float:
    """Dimitriadis et al., Biophys. J. 82, 2002, bonded layer; good to 1 % while chi < 0.2."""
    nu = material.poisson_ratio
    a0 = -(1.2876 - 1.4678 * nu + 1.3442 * nu**2) / (1 - nu)
    b0 = (0.6387 - 1.0277 * nu + 1.5164 * nu**2) / (1 - nu)
    chi = math.sqrt(radius_mm * depth_mm) / h_mm
    hertz = 4 / 3 * material.young_modulus_mpa / (1 - nu**2) * math.sqrt(radius_mm * depth_mm**3)
    x = chi / math.pi
    return hertz * (
        1
        - 2 * a0 * x
        + 4 * (a0 * x) ** 2
        - 8 * x**3 * (a0**3 + 4 * math.pi**2 / 15 * b0)
        + 16 * a0 * x**4 * (a0**3 + 3 * math.pi**2 / 5 * b0)
    )


def test_a_light_ball_feels_the_force_of_a_bonded_layer():
    material = GelMaterial(friction=0.0)
    gel = LiveGel(build_indenter("sphere:diameter=10"), material, PadGrid(rows=97, columns=121))
    found = -press(gel, 0.1, 2).force_n[2]
    assert found == pytest.approx(dimitriadis_n(5.0, 0.1, material, 4.0), rel=0.03)


def test_the_surface_lies_on_the_indenter_where_it_touches():
    gel = LiveGel(build_indenter("sphere:diameter=10"))
    answer = press(gel, 1.0, 20)
    assert answer.converged
    place = answer.pose.to_indenter(answer.rest + answer.displacement)
    gap = gel.indenter.distance(place)
    assert gap.min() > -0.012
    inside = answer.normal_force_n > 0.2 * answer.normal_force_n.max()
    assert np.abs(gap[inside]).max() < 0.02
    assert answer.displacement[:, 2].max() > 0.01  # the gel bulges beside
    assert answer.surface.rows == 49  # and does not fold


def test_a_press_in_the_middle_is_symmetric():
    answer = press(LiveGel(build_indenter("sphere"), pad=COARSE), 0.8)
    field = answer.displacement.reshape(33, 41, 3)
    assert np.allclose(field[:, ::-1] * (-1, 1, 1), field, atol=0.015)
    assert np.allclose(field[::-1] * (1, -1, 1), field, atol=0.015)
    assert np.abs(answer.force_n[:2]).max() < 0.005 * -answer.force_n[2]
    assert np.abs(answer.torque_n_mm).max() < 0.02 * -answer.force_n[2]


def test_friction_is_at_its_bound_when_sliding_and_never_beyond():
    gel = LiveGel(build_indenter("cylinder"), pad=COARSE)
    press(gel, 0.5)
    held = gel.step(IndenterPose(0.05, 0.0, 0.5))
    assert 0 < held.force_n[0] < 0.3 * -held.force_n[2]
    for x in np.linspace(0.1, 3.0, 30):
        slid = gel.step(IndenterPose(float(x), 0.0, 0.5))
    assert slid.force_n[0] / -slid.force_n[2] == pytest.approx(0.5, abs=0.12)
    assert slid.slips[slid.normal_force_n > 0.05 * slid.normal_force_n.max()].mean() >= 0.9


def test_without_friction_a_slide_meets_little_resistance():
    gel = LiveGel(build_indenter("sphere:diameter=10"), GelMaterial(friction=0.0), COARSE, LINEAR)
    press(gel, 0.3)
    for x in np.linspace(0.1, 1.0, 10):
        answer = gel.step(IndenterPose(float(x), 0.0, 0.3))
    assert abs(answer.force_n[0]) < 0.03 * -answer.force_n[2]


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_a_turning_indenter_twists_the_gel_its_way(turn):
    gel = LiveGel(build_indenter("cube"), pad=COARSE)
    press(gel, 0.5)
    for degrees in range(1, 5):
        answer = gel.step(IndenterPose(0.0, 0.0, 0.5, math.radians(turn * degrees)))
    assert turn * answer.torque_n_mm[2] > 0.5
    curl = (
        answer.rest[:, 0] * answer.displacement[:, 1]
        - answer.rest[:, 1] * answer.displacement[:, 0]
    )
    assert turn * curl.sum() > 0


def test_lifting_off_and_reset_return_to_rest():
    gel = LiveGel(build_indenter("sphere"), pad=COARSE)
    press(gel, 0.6)
    for depth in (0.4, 0.2, 0.0, -0.1, -0.1):
        lifted = gel.step(IndenterPose(depth_mm=depth))
    assert not lifted.vertex_force_n.any()
    assert np.abs(lifted.displacement).max() < 1e-9
    press(gel, 0.6)
    gel.reset()
    assert not gel.step(IndenterPose(depth_mm=-1.0)).displacement.any()


def test_a_jump_starts_a_new_contact():
    gel = LiveGel(build_indenter("sphere"), pad=COARSE)
    press(gel, 0.6, x_mm=-4.0)
    jumped = gel.step(IndenterPose(4.0, 0.0, 0.5))
    assert jumped.restarted
    fresh = LiveGel(build_indenter("sphere"), pad=COARSE).step(IndenterPose(4.0, 0.0, 0.5))
    assert np.allclose(jumped.displacement, fresh.displacement)
    assert not gel.step(IndenterPose(4.0, 0.0, 0.55)).restarted


def test_a_path_is_walked_as_if_each_pose_had_been_asked_for():
    """Way-points 0.8 mm apart: `follow` fills the gaps by steps of at most 0.5 mm."""
    walked, stepped = (LiveGel(build_indenter("sphere"), pad=COARSE) for _ in range(2))
    for depth in (0.3, 0.6):
        walked.follow(IndenterPose(depth_mm=depth))
        stepped.step(IndenterPose(depth_mm=depth))
    end = walked.follow(IndenterPose(1.6, 0.0, 0.6), [IndenterPose(0.8, 0.0, 0.6)])
    for x in (0.4, 0.8, 0.8 + 0.4, 1.6):  # not 1.2: another bit rounds otherwise in float32
        last = stepped.step(IndenterPose(x, 0.0, 0.6))
    assert not end.restarted
    np.testing.assert_allclose(end.displacement, last.displacement, atol=1e-12)
    assert end.force_n[0] > 0.1 * -end.force_n[2]  # friction of the path, not of a new contact


def test_the_gel_of_a_sensor_has_its_size():
    model = default_sensor()
    gel = model.gel.model_copy(update={"width_mm": 12.0, "height_mm": 10.0})
    layers = (*model.layers[:-1], model.layers[-1].model_copy(update={"thickness_mm": 3.0}))
    small = model.model_copy(update={"gel": gel, "layers": layers})
    live = LiveGel.of_sensor(small, build_indenter("sphere"), grid=(11, 13))
    assert live.pad == PadGrid(12.0, 10.0, 3.0, 11, 13)
    assert live.pad.vertex_area_mm2.sum() == pytest.approx(120.0)
    assert live.limits.max_depth_mm == 1.5


def test_going_round_and_round_does_not_drift():
    gel = LiveGel(build_indenter("sphere"), pad=COARSE)
    press(gel, 0.6)
    forces = []
    for angle in np.arange(0.0, 12 * math.pi, math.pi / 12):
        x, y = 0.15 * math.cos(angle), 0.15 * math.sin(angle)
        forces.append(gel.step(IndenterPose(x, y, 0.6)).force_n)
    rounds = np.array(forces).reshape(6, 24, 3)
    assert np.allclose(rounds[5], rounds[3], atol=0.02 * np.abs(rounds).max())


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (IndenterPose(x_mm=math.nan), "finite"),
        (IndenterPose(yaw_rad=math.inf), "finite"),
        (IndenterPose(x_mm=13.0), "on the pad"),
        (IndenterPose(y_mm=-11.0), "on the pad"),
        (IndenterPose(depth_mm=2.5), "at most 2 mm"),
    ],
)
def test_bad_poses_are_refused_and_change_nothing(pose, message):
    gel = LiveGel(build_indenter("sphere"), pad=COARSE)
    before = press(gel, 0.3, 2)
    with pytest.raises(InputError, match=message):
        gel.step(pose)
    assert np.allclose(gel.step(before.pose).displacement, before.displacement, atol=5e-3)


def test_bad_grids_are_refused():
    with pytest.raises(InputError, match="3 rows"):
        PadGrid(rows=3)
    with pytest.raises(InputError, match="width_mm is nan"):
        PadGrid(width_mm=math.nan)
