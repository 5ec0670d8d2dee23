"""Contact of a height map with the gel, against closed-form solutions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.layer_compliance import BondedLayer
from tacdiff_ros.touch_features.simulation.layer_contact import (
    ContactFrame,
    LayerContact,
    PadGrid,
    PlanarMotion,
)

GRID = PadGrid(41, 41, 0.2)
X, Y = GRID.positions()
SQUARED = X.astype(np.float64) ** 2 + Y.astype(np.float64) ** 2
BALL_MM = 10.0


def gel(poisson_ratio: float = 0.48, thickness_mm: float = 20.0) -> BondedLayer:
    return BondedLayer(thickness_mm, 0.2, poisson_ratio)


def ball(depth_mm: float, radius_mm: float = BALL_MM) -> np.ndarray:
    return (depth_mm - SQUARED / (2 * radius_mm)).astype(np.float32)


def punch(depth_mm: float, radius_mm: float) -> np.ndarray:
    return np.where(radius_mm**2 >= SQUARED, depth_mm, -1.0).astype(np.float32)


def hertz_force_n(layer: BondedLayer, depth_mm: float) -> float:
    modulus = layer.young_modulus_mpa / (1 - layer.poisson_ratio**2)
    return 4 / 3 * modulus * math.sqrt(BALL_MM) * depth_mm**1.5


def test_a_ball_on_a_thick_layer_presses_with_hertz_force():
    """With the first-order correction of Dimitriadis et al., Biophys. J. 82, 2002."""
    layer = gel(nu := 0.3)
    correction = (1.2876 - 1.4678 * nu + 1.3442 * nu**2) / (1 - nu)
    chi = math.sqrt(BALL_MM * 0.5) / layer.thickness_mm
    frame = LayerContact(GRID, layer, 0.0).step(ball(0.5), PlanarMotion())
    expected = hertz_force_n(layer, 0.5) * (1 + 2 / math.pi * correction * chi)
    assert frame.converged
    assert -frame.force_n[2] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("thickness_mm", [20.0, 8.0, 5.0])
def test_a_ball_presses_an_incompressible_layer_as_garcia_and_garcia_say(thickness_mm):
    """Biophys. J. 114, 2018: a ball on an incompressible layer bonded to a rigid base."""
    layer = gel(0.499, thickness_mm)
    chi = math.sqrt(BALL_MM * 0.5) / thickness_mm
    factor = 1 + 1.133 * chi + 1.497 * chi**2 + 1.469 * chi**3 + 0.755 * chi**4
    frame = LayerContact(GRID, layer, 0.0).step(ball(0.5), PlanarMotion())
    assert -frame.force_n[2] == pytest.approx(hertz_force_n(layer, 0.5) * factor, rel=0.015)


def test_the_gel_follows_the_object_in_contact_and_is_free_elsewhere():
    penetration = ball(0.5)
    frame = LayerContact(GRID, gel(), 0.0).step(penetration, PlanarMotion())
    contact = frame.pressure_mpa > 0
    depth = -frame.displacement_mm[..., 2]
    assert frame.contact_area_mm2 == pytest.approx(contact.sum() * GRID.spacing_mm**2)
    assert np.sqrt(np.mean((depth - penetration)[contact] ** 2)) < 1e-3
    assert (depth - penetration)[~contact].min() > -1e-3


def slipped(amount_mm: float, friction: float) -> ContactFrame:
    contact = LayerContact(GRID, gel(0.49), friction)
    contact.step(ball(0.4), PlanarMotion())
    for _ in range(6):
        frame = contact.step(ball(0.4), PlanarMotion((amount_mm / 6, 0.0)))
    return frame


@pytest.mark.parametrize("amount_mm", [0.1, 0.2])
def test_partial_slip_grows_from_the_rim_as_cattaneo_and_mindlin_say(amount_mm):
    friction = 0.5
    frame = slipped(amount_mm, friction)
    load = -frame.force_n[2]
    part = frame.force_n[0] / (friction * load)
    assert 0.2 < part < 0.95
    stick = (1 - part) ** (1 / 3)  # radius of the stick zone over that of the contact
    assert 1 - frame.slip_fraction == pytest.approx(stick**2, abs=0.08)
    layer = gel(0.49)
    radius = math.sqrt(frame.contact_area_mm2 / math.pi)
    limit = 3 * friction * load * (2 - 0.49) / (16 * layer.shear_modulus_mpa * radius)
    assert amount_mm == pytest.approx(limit * (1 - stick**2), rel=0.12)
    assert not frame.gross_slip


def test_gross_slip_carries_friction_times_load_along_the_motion():
    frame = slipped(4.0, 0.5)
    assert frame.gross_slip
    assert frame.slip_fraction > 0.98
    assert frame.force_n[0] == pytest.approx(-0.5 * frame.force_n[2], rel=0.01)
    assert abs(frame.force_n[1]) < 0.01 * frame.force_n[0]
    assert frame.slip_speed_mm_s == pytest.approx(4.0 / 6 / 0.04, rel=0.05)


def test_friction_never_exceeds_coulombs_limit():
    frame = slipped(0.2, 0.5)
    size = np.hypot(*np.moveaxis(frame.traction_mpa, 2, 0))
    assert (size <= 0.5 * frame.pressure_mpa * (1 + 1e-5)).all()


def test_a_punch_that_sticks_turns_with_the_torque_of_reissner_and_sagoci():
    radius, angle = 2.5, 0.01
    contact = LayerContact(GRID, gel(0.49), 5.0)
    contact.step(punch(1.0, radius), PlanarMotion())
    frame = contact.step(punch(1.0, radius), PlanarMotion(rotation_rad=angle))
    expected = 16 / 3 * gel(0.49).shear_modulus_mpa * radius**3 * angle
    assert frame.torque_nmm == pytest.approx(expected, rel=0.08)


def test_lifting_the_object_leaves_the_gel_undeformed():
    contact = LayerContact(GRID, gel(), 0.5)
    contact.step(ball(0.5), PlanarMotion())
    contact.step(ball(0.5), PlanarMotion((0.5, 0.0)))
    for _ in range(2):
        frame = contact.step(ball(-1.0), PlanarMotion())
    assert np.abs(frame.displacement_mm).max() < 1e-6
    assert math.isnan(frame.slip_fraction)
    assert not frame.gross_slip


def test_a_soft_object_takes_its_part_of_the_approach():
    """Two equal layers are one layer of half the modulus: half of the force of a rigid object."""
    rigid, soft = (
        -LayerContact(GRID, gel(), 0.0, body).step(ball(0.5), PlanarMotion()).force_n[2]
        for body in (None, gel())
    )
    assert soft == pytest.approx(rigid / 2, rel=0.01)


def test_a_trial_press_leaves_the_state_unchanged():
    contact, untouched = LayerContact(GRID, gel(), 0.5), LayerContact(GRID, gel(), 0.5)
    force, depth = contact.press(ball(0.5))
    assert depth == pytest.approx(0.5, abs=0.002)
    after, expected = (c.step(ball(0.3), PlanarMotion()) for c in (contact, untouched))
    assert force > -expected.force_n[2]
    np.testing.assert_array_equal(after.pressure_mpa, expected.pressure_mpa)


def test_a_negative_friction_coefficient_is_refused():
    with pytest.raises(InputError, match="friction coefficient -1"):
        LayerContact(GRID, gel(), -1.0)
