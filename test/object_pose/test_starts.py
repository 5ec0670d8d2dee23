"""Grids of rotations, rays, and pixels."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.object_pose.depth_pixels import depth_pixels
from tacdiff_ros.object_pose.ray_approach import nearest_approach
from tacdiff_ros.object_pose.rotation_grid import global_rotations, symmetric_angles
from tacdiff_ros.objects.distance_field import DistanceField
from tacdiff_ros.objects.rigid_object import Symmetry

SPACING = math.radians(50.0)
AXIS = (0.0, 0.0, 1.0)
ORIGIN = (0.0, 0.0, 0.0)
CYLINDER = (Symmetry(AXIS, 0, ORIGIN), Symmetry((1.0, 0.0, 0.0), 2, ORIGIN))


@pytest.mark.parametrize(("symmetries", "most"), [((), 120), (CYLINDER, 20)])
def test_every_rotation_is_near_one_of_the_grid_up_to_symmetry(symmetries, most):
    grid = global_rotations(symmetries, SPACING)
    assert len(grid) <= most
    for rotation in Rotation.random(60, random_state=4).as_matrix():
        assert symmetric_angles(rotation, grid, symmetries).min() < 1.15 * SPACING


def test_turns_and_flips_of_a_cylinder_are_no_rotations():
    turned = Rotation.from_rotvec([[0.0, 0.0, 1.2], [math.pi, 0.0, 0.0], [0.5, 0.0, 0.0]])
    angles = symmetric_angles(np.eye(3), turned.as_matrix(), CYLINDER)
    assert angles == pytest.approx([0.0, 0.0, 0.5], abs=1e-6)


def sphere_field(radius):
    axis = np.linspace(-0.06, 0.06, 61)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    values = np.linalg.norm(nodes, axis=-1) - radius
    return DistanceField(values.astype(np.float32), np.full(3, -0.06), 0.002)


def test_rays_come_nearest_to_a_sphere_where_geometry_says():
    origin = np.array([0.3, 0.0, 0.0])
    offsets = np.array([0.0, 0.02, 0.05, 0.2])
    rays = np.stack([-np.ones(4), offsets / 0.3, np.zeros(4)], axis=1)
    at = nearest_approach(sphere_field(0.04), origin, rays, np.full(4, 5.0))
    expected = 0.3 / np.sum(rays**2, axis=1)  # foot of the perpendicular from the centre
    assert at == pytest.approx(expected, abs=0.004)
    short = nearest_approach(sphere_field(0.04), origin, rays[:1], np.array([0.1]))
    assert short == pytest.approx([0.1])


MATRIX = np.array([[200.0, 0.0, 79.5], [0.0, 200.0, 59.5], [0.0, 0.0, 1.0]])


def scene():
    depth = np.zeros((120, 160), np.float32)
    mask = np.zeros(depth.shape, bool)
    mask[40:80, 60:100] = True
    depth[mask] = 0.5
    return depth, mask


def test_pixels_of_the_mask_are_the_object_and_the_background_beside_it_is_free():
    depth, mask = scene()
    pixels = depth_pixels(depth, mask, MATRIX)
    assert len(pixels.object.depth) == mask.sum()
    x, y, z = pixels.object.points[0]
    assert (x, y, z) == pytest.approx((0.5 * (60 - 79.5) / 200, 0.5 * (40 - 59.5) / 200, 0.5))
    beyond = pixels.border.ray[pixels.border.depth > 0.6]
    columns, rows = beyond[:, 0] * 200 + 79.5, beyond[:, 1] * 200 + 59.5
    gap = np.maximum(np.abs(columns - 79.5) - 20, np.abs(rows - 59.5) - 20)
    assert 4.0 <= gap.min() < gap.max() <= 14.5  # nothing is concluded at the border of the mask


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, m: (d, np.zeros_like(m)), "the mask marks 0 pixels"),
        (lambda d, m: (1000.0 * d, m), "in millimetres"),
        (lambda d, m: (0.0 * d, m), "empty inside the mask"),
        (lambda d, m: (0.001 * d, m), "expected metres"),
        (lambda d, m: (d, m[:-1]), "one size"),
    ],
)
def test_unusable_images_are_refused_with_the_reason(change, message):
    with pytest.raises(InputError, match=message):
        depth_pixels(*change(*scene()), MATRIX)
