"""How much of the hand the camera looks through."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.object_pose.observation import _missing_fraction
from tacdiff_ros.objects.depth_camera import DepthCamera

RANGE_M = 0.5


@pytest.fixture
def camera():
    return DepthCamera.looking_at([0, 0, RANGE_M], [0, 0, 0], up=(0, 1, 0))


def plate(side, z=0.0):
    """Points and normals of a square plate that faces the camera."""
    x, y = np.meshgrid(np.linspace(-side / 2, side / 2, 21), np.linspace(-side / 2, side / 2, 21))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], axis=1)
    return points, np.tile([0.0, 0.0, 1.0], (x.size, 1))


def test_a_hand_that_is_not_there_is_missing(camera):
    wall = np.full((camera.height, camera.width), RANGE_M + 0.2, np.float32)
    assert _missing_fraction(wall, camera, plate(0.1)) == pytest.approx(1.0)
    assert _missing_fraction(wall - 0.2, camera, plate(0.1)) == pytest.approx(0.0)
    assert _missing_fraction(wall - 0.3, camera, plate(0.1)) == pytest.approx(0.0)  # hidden


def test_a_face_at_a_grazing_angle_counts_by_its_image(camera):
    """Its points are as many as those of the front, and miss it by a small error of the pose."""
    depth = np.full((camera.height, camera.width), RANGE_M, np.float32)
    depth[:, : camera.width // 2 - 45] = 0.0  # the front ends here: what is left of it is missing
    front = plate(0.1)
    side_points = np.stack(
        [np.full(441, -0.1), front[0][:, 1], -0.1 * np.random.default_rng(0).random(441)], axis=1
    )
    steep = np.tile([-np.cos(0.28), 0.0, np.sin(0.28)], (441, 1))
    both = np.concatenate([front[0], side_points]), np.concatenate([front[1], steep])
    assert 0.0 < _missing_fraction(depth, camera, both) < 0.2
