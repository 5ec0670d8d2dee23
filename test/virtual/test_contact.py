"""The virtual gel answers like a spring with Coulomb friction."""

import numpy as np
import pytest

from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.virtual.contact import PAD_HALF_SIZE_MM, StiffContact, StiffContactParameters

LAW = StiffContactParameters()
STEP_S = 1e-3


def place(x_mm=0.0, y_mm=0.0, depth_mm=1.0, yaw_rad=0.0) -> Pose:
    return Pose.from_euler([x_mm, y_mm, -depth_mm], [0.0, 0.0, yaw_rad])


def rest(contact: StiffContact, pose: Pose, steps: int = 3):
    """Wrench after standing still for a moment."""
    for _ in range(steps):
        wrench = contact.wrench_on_gel(pose, STEP_S)
    return wrench


def drag(contact: StiffContact, x_mm: np.ndarray, depth_mm: float = 1.0) -> np.ndarray:
    """Shear force along x while the indenter is drawn along x."""
    rest(contact, place(x_mm[0], depth_mm=depth_mm))
    return np.array([contact.wrench_on_gel(place(x, 0, depth_mm), STEP_S)[0][0] for x in x_mm])


@pytest.mark.parametrize("depth_mm", [0.05, 0.5, 1.0, 2.0])
def test_at_rest_the_normal_force_is_stiffness_times_depth(depth_mm):
    """It pushes the gel away from the indenter, along minus z of the frame `gel`."""
    contact = StiffContact(LAW)
    force_n, torque_n_m = rest(contact, place(depth_mm=depth_mm))
    np.testing.assert_allclose(force_n, [0, 0, -LAW.stiffness_n_mm * depth_mm], atol=1e-12)
    np.testing.assert_allclose(torque_n_m, 0.0, atol=1e-12)
    assert contact.force_n == pytest.approx(LAW.stiffness_n_mm * depth_mm)


def test_approaching_fast_meets_more_and_leaving_less_but_never_a_pull():
    for speed_mm_s, expected_n in ((20.0, 2.5 + 0.4), (-20.0, 2.5 - 0.4), (-1000.0, 0.0)):
        contact = StiffContact(LAW)
        rest(contact, place(depth_mm=1.0 - speed_mm_s * STEP_S))
        force_n, _ = contact.wrench_on_gel(place(depth_mm=1.0), STEP_S)
        assert -force_n[2] == pytest.approx(expected_n)


@pytest.mark.parametrize(
    "pose",
    [
        place(depth_mm=-0.01),
        place(depth_mm=0.0),
        place(x_mm=PAD_HALF_SIZE_MM[0] + 0.01),
        place(y_mm=-PAD_HALF_SIZE_MM[1] - 0.01),
    ],
)
def test_without_touch_or_beside_the_pad_there_is_no_force(pose):
    contact = StiffContact(LAW)
    force_n, torque_n_m = rest(contact, pose)
    assert not force_n.any()
    assert not torque_n_m.any()
    assert contact.force_n == 0.0


def test_while_it_sticks_shear_grows_with_the_shift_in_its_direction():
    contact = StiffContact(LAW)
    rest(contact, place())
    for x_mm, y_mm in ((0.3, 0.0), (0.0, -0.4), (-0.6, 0.5)):
        force_n, _ = rest(contact, place(x_mm, y_mm))
        np.testing.assert_allclose(
            force_n[:2], LAW.tangential_stiffness_n_mm * np.array([x_mm, y_mm]), atol=1e-12
        )


@pytest.mark.parametrize("depth_mm", [0.5, 1.0, 2.0])
def test_shear_never_exceeds_coulombs_limit_and_reaches_it_when_slipping(depth_mm):
    shear_n = drag(StiffContact(LAW), np.linspace(0.0, 6.0, 300), depth_mm)
    limit_n = LAW.friction * LAW.stiffness_n_mm * depth_mm
    assert shear_n.max() <= limit_n + 1e-12
    assert shear_n[-1] == pytest.approx(limit_n)


def test_after_slipping_it_sticks_anew_where_it_is():
    """Coming back by d, the force falls by stiffness times d: hysteresis, not a spring to zero."""
    contact = StiffContact(LAW)
    limit_n = LAW.friction * LAW.stiffness_n_mm
    out_n = drag(contact, np.linspace(0.0, 5.0, 200))
    back_mm = np.linspace(0.0, 1.0, 50)
    back_n = [contact.wrench_on_gel(place(5.0 - d), STEP_S)[0][0] for d in back_mm]
    assert out_n[-1] == pytest.approx(limit_n)
    np.testing.assert_allclose(back_n, limit_n - LAW.tangential_stiffness_n_mm * back_mm, atol=1e-9)


def test_a_closed_cycle_of_slip_takes_energy_out():
    """Work on the indenter over a cycle: the area of the loop, 2 limit (travel - 2 limit/k)."""
    turn_mm = 6.0
    ramp_mm = np.linspace(0.0, turn_mm, 4000)
    cycle_mm = np.concatenate([ramp_mm, ramp_mm[::-1]])
    contact = StiffContact(LAW)
    drag(contact, cycle_mm)  # once around, to be on the loop
    shear_n = np.array([contact.wrench_on_gel(place(x), STEP_S)[0][0] for x in cycle_mm])
    work = 0.5 * (shear_n[1:] + shear_n[:-1]) @ np.diff(cycle_mm)
    limit_n = LAW.friction * LAW.stiffness_n_mm
    slip_mm = turn_mm - 2 * limit_n / LAW.tangential_stiffness_n_mm
    assert work == pytest.approx(2 * limit_n * slip_mm, rel=0.01)


def test_lifting_off_forgets_where_it_stuck():
    contact = StiffContact(LAW)
    drag(contact, np.linspace(0.0, 1.0, 20))
    rest(contact, place(depth_mm=-1.0))
    force_n, _ = rest(contact, place(1.0))
    np.testing.assert_allclose(force_n[:2], 0.0, atol=1e-12)


@pytest.mark.parametrize(("x_mm", "y_mm"), [(3.0, 0.0), (0.0, -4.0), (-5.0, 2.0)])
def test_the_force_acts_where_the_indenter_is(x_mm, y_mm):
    """The torque about the gel's origin is lever times force."""
    contact = StiffContact(LAW)
    rest(contact, place(x_mm, y_mm))
    force_n, torque_n_m = rest(contact, place(x_mm + 0.4, y_mm - 0.3))
    lever_m = 1e-3 * np.array([x_mm + 0.4, y_mm - 0.3, -1.0])
    np.testing.assert_allclose(torque_n_m, np.cross(lever_m, force_n), atol=1e-12)


def test_twist_is_a_torsion_spring_that_slips_at_the_friction_torque():
    contact = StiffContact(LAW)
    rest(contact, place())
    _, torque_n_m = rest(contact, place(yaw_rad=0.01))
    assert torque_n_m[2] == pytest.approx(0.01 * LAW.torsional_stiffness_n_m_rad)
    _, torque_n_m = rest(contact, place(yaw_rad=0.3))
    limit_n_m = LAW.friction * LAW.stiffness_n_mm * 1e-3 * LAW.contact_radius_mm
    assert torque_n_m[2] == pytest.approx(limit_n_m)
    _, torque_n_m = rest(contact, place(yaw_rad=0.29))
    assert torque_n_m[2] == pytest.approx(limit_n_m - 0.01 * LAW.torsional_stiffness_n_m_rad)
