"""Depth images agree with ray casting by another library; noise has the stated size."""

import numpy as np
import pytest
import trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.depth_noise import DepthNoise
from tacdiff_ros.objects.grasp_observation import GraspObservation

CAMERA = DepthCamera.looking_at([0.3, -0.2, 0.25], [0, 0, 0], size=(96, 72), field_of_view_deg=40)


def test_depths_of_a_box_equal_the_closed_form_of_rays():
    half = np.array([0.04, 0.03, 0.05])
    mesh = trimesh.creation.box(2 * half)
    depth, label = CAMERA.render_depth([(mesh.vertices, mesh.faces)])
    rays = CAMERA.points(np.ones((72, 96))).reshape(-1, 3) @ CAMERA.pose[:3, :3].T
    sides = (np.stack([-half, half]) - CAMERA.pose[:3, 3])[:, None] / rays
    entry, leaving = sides.min(axis=0).max(axis=1), sides.max(axis=0).min(axis=1)
    expected = np.where(entry < leaving, entry, 0.0).reshape(72, 96)
    both = (depth > 0) & (expected > 0)
    assert both.sum() > 500
    assert ((depth > 0) != (expected > 0)).sum() <= 2  # rays through an edge
    np.testing.assert_allclose(depth[both], expected[both], atol=1e-6)
    np.testing.assert_array_equal(label >= 0, depth > 0)


def test_the_nearer_mesh_hides_the_other_and_poses_move_meshes():
    ball = trimesh.creation.icosphere(radius=0.03)
    mesh = (ball.vertices, ball.faces)
    nearer = np.eye(4)
    nearer[:3, 3] = 0.3 * CAMERA.pose[:3, 3]
    depth, label = CAMERA.render_depth([mesh, mesh], [np.eye(4), nearer])
    assert label[36, 48] == 1
    distance = 0.7 * np.linalg.norm(CAMERA.pose[:3, 3]) - 0.03
    assert depth[36, 48] == pytest.approx(distance, abs=2e-3)


def test_points_and_project_are_inverse():
    depth = np.full((72, 96), 0.4, np.float32)
    points = CAMERA.points(depth).reshape(-1, 3) @ CAMERA.pose[:3, :3].T + CAMERA.pose[:3, 3]
    pixels, z = CAMERA.project(points)
    columns, rows = np.meshgrid(np.arange(96), np.arange(72))
    np.testing.assert_allclose(pixels, np.stack([columns.ravel(), rows.ravel()], 1), atol=1e-4)
    np.testing.assert_allclose(z, 0.4, atol=1e-6)


@pytest.fixture
def plane():
    depth = np.zeros((72, 96), np.float32)
    depth[10:60, 20:80] = 0.5
    return depth, depth > 0


def test_bias_and_noise_have_the_stated_size(plane):
    noise = DepthNoise(bias=0.002, noise=0.002)
    measured, _ = noise.apply(*plane, CAMERA, np.random.default_rng(0))
    error = (measured - plane[0])[plane[1]]
    assert error.mean() == pytest.approx(0.002, abs=2e-4)
    assert error.std() == pytest.approx(0.002, rel=0.1)
    assert (measured[~plane[1]] == 0).all()


def test_flying_pixels_and_holes_have_the_stated_fractions(plane):
    noise = DepthNoise(flying_fraction=0.04, hole_fraction=0.02)
    measured, _ = noise.apply(*plane, CAMERA, np.random.default_rng(0))
    inside = plane[1]
    assert (measured[inside] == 0).mean() == pytest.approx(0.02, abs=0.002)
    moved = (np.abs(measured - plane[0]) > 1e-4) & (measured > 0)
    assert 0.01 < moved[inside].mean() <= 0.04


def test_the_mask_bleeds_by_up_to_the_stated_pixels_and_seeds_repeat(plane):
    noise = DepthNoise(mask_bleeding=3.0)
    _, mask = noise.apply(*plane, CAMERA, np.random.default_rng(5))
    rows, columns = np.nonzero(mask != plane[1])
    assert len(rows) > 50
    away = np.maximum.reduce([10 - rows, rows - 59, 20 - columns, columns - 79])
    assert away.max() <= 5
    _, again = noise.apply(*plane, CAMERA, np.random.default_rng(5))
    np.testing.assert_array_equal(mask, again)


def test_depth_in_millimetres_is_refused(plane):
    with pytest.raises(InputError, match="is the image in millimetres"):
        GraspObservation(np.zeros(2), CAMERA, 1000 * plane[0], plane[1])
    with pytest.raises(InputError, match="expected \\(72, 96\\)"):
        GraspObservation(np.zeros(2), CAMERA, plane[0][1:], plane[1])
