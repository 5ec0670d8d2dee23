"""Random motions of touches."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.touch_features.simulation.touch_motion import (
    MAX_OFFSET_MM,
    MAX_TILT,
    other_finger,
    random_motion,
)


@pytest.mark.parametrize("kind", ["hand", "grasp"])
@pytest.mark.parametrize("seed", range(8))
def test_a_motion_begins_without_contact_inside_the_view_at_speeds_of_a_hand(kind, seed):
    motion = random_motion(np.random.default_rng(seed), kind, 40, 3)
    assert motion.load[0] <= 0
    assert 0.5 < motion.load.max() <= 1.3
    assert (np.abs(motion.position_mm[0]) <= np.array(MAX_OFFSET_MM) + 1.0).all()
    speed = np.hypot(*np.diff(motion.position_mm, axis=0).T) / motion.step_s
    assert speed.max() < 25.0
    assert np.abs(motion.tilt).max() <= 2 * MAX_TILT
    assert len(motion) == 40


def test_a_press_by_hand_ends_without_contact():
    motion = random_motion(np.random.default_rng(0), "hand", 40, 3)
    assert motion.load[-1] <= 0


def test_motions_are_reproducible_and_different():
    first, again, other = (
        random_motion(np.random.default_rng(k), "hand", 20, 3) for k in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.position_mm, again.position_mm)
    assert not np.array_equal(first.position_mm, other.position_mm)


def test_the_other_finger_feels_the_same_motion_mirrored():
    random = np.random.default_rng(4)
    motion = random_motion(random, "grasp", 40, 1)
    other = other_finger(motion, random)
    steps, mirrored = (np.diff(m.position_mm, axis=0) for m in (motion, other))
    np.testing.assert_allclose(mirrored, steps * (-1.0, 1.0), atol=1e-12)
    np.testing.assert_allclose(np.diff(other.yaw_rad), -np.diff(motion.yaw_rad), atol=1e-12)
    np.testing.assert_array_equal(other.load, motion.load)
