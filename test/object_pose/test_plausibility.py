"""Support of a box by contacts, against statics by hand."""

import numpy as np
import pytest

from tacdiff_ros.object_pose.plausibility import (
    COLLIDING,
    FLOATING,
    STABLE,
    ContactLimits,
    assess,
    unbalanced_weight,
)

DOWN = np.array([0.0, 0.0, -1.0])
SIDES = np.array([[0.03, 0.0, 0.0], [-0.03, 0.0, 0.0]])  # a soft finger is four points
PAD = 0.005 * np.array([[0, 1, 1], [0, 1, -1], [0, -1, 1], [0, -1, -1]])
PINCH = np.concatenate([side + PAD for side in SIDES])
PINCH_NORMALS = np.repeat(np.sign(SIDES), 4, axis=0)
CENTRE = np.zeros(3)


def unbalanced(points, normals, friction=0.5, gravity=DOWN, centre=CENTRE):
    return unbalanced_weight(points, normals, centre, gravity, 0.05, friction)


def state(distance, points=PINCH, normals=PINCH_NORMALS, gravity=DOWN):
    return assess(points, distance, normals, CENTRE, gravity, 0.05, 0.5, ContactLimits())


def test_a_pinch_with_friction_holds_a_box_and_one_without_does_not():
    assert unbalanced(PINCH, PINCH_NORMALS) == pytest.approx(0.0, abs=1e-6)
    assert unbalanced(PINCH, PINCH_NORMALS, friction=0.0) == pytest.approx(1.0, abs=1e-6)


def test_a_pad_below_holds_only_a_centre_of_mass_above_it():
    below = PAD[:, [1, 2, 0]] - [0.0, 0.0, 0.02]
    normals = np.tile(DOWN, (4, 1))
    assert unbalanced(below, normals) == pytest.approx(0.0, abs=1e-6)
    aside = unbalanced(below, normals, centre=np.array([0.03, 0.0, 0.0]))
    assert aside > 0.2  # the weight tips it over


def test_one_side_cannot_hold_against_gravity_along_its_face():
    assert unbalanced(PINCH[:4], PINCH_NORMALS[:4]) > 0.5


def test_a_pose_is_stable_floating_or_colliding_by_its_contacts():
    touching = np.zeros(8)
    assert state(touching).verdict == STABLE
    assert state(touching, gravity=None).verdict == STABLE
    far = state(np.full(8, 0.02))
    assert (far.verdict, far.unbalanced) == (FLOATING, 1.0)
    assert "20.0 mm" in far.reason
    deep = state(np.where(np.arange(8) == 3, -0.006, 0.0))
    assert deep.verdict == COLLIDING
    assert deep.penetration == pytest.approx(0.006)


def test_contacts_on_one_side_only_are_floating_and_say_how_much_is_not_held():
    one_side = state(np.where(np.arange(8) < 4, 0.0, 0.02))
    assert one_side.verdict == FLOATING
    assert "% of the weight" in one_side.reason
    assert len(one_side.contacts) == 4
