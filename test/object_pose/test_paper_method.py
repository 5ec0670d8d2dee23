"""The published baseline: its gradients are derivatives, and it moves a pose toward the truth."""

from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

pytest.importorskip("igl")

from tacdiff_ros.object_pose import paper_physics
from tacdiff_ros.object_pose.paper_distance import MeshDistanceLoss
from tacdiff_ros.object_pose.paper_method import PaperSettings, refine_by_paper
from tacdiff_ros.object_pose.paper_motion import moved
from tacdiff_ros.object_pose.paper_physics import PhysicsLoss
from tacdiff_ros.object_pose.paper_rendering import RenderingLoss
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GraspObservation
from tacdiff_ros.objects.object_files import build_object

CAMERA = DepthCamera.looking_at([0.3, -0.15, 0.2], [0, 0, 0], size=(160, 120), field_of_view_deg=45)
CONTACTS = np.array([[0, 0.03, 0.01], [0.005, 0.03, -0.02], [0, -0.03, 0.0], [-0.02, 0.0, 0.01]])


@pytest.fixture(scope="module")
def box():
    mesh = trimesh.creation.box([0.04, 0.06, 0.1]).subdivide().subdivide()
    return build_object("box", mesh.vertices, mesh.faces, spacing=0.002, cache=False)


@pytest.fixture
def hand():
    """Points of a hand that press a box of 40 x 60 x 100 mm at four places."""
    inward = np.array([[0, -1.0, 0], [0, -1.0, 0], [0, 1.0, 0], [1.0, 0, 0]])
    points = CONTACTS + 0.0005 * inward
    return SimpleNamespace(
        surface_points=lambda spacing: (np.zeros(len(points), int), points, -inward),
        link_transforms=lambda joints: np.eye(4)[None],
        taxel_positions=lambda joints: (CONTACTS, -inward),
        gel_poses=lambda joints: np.empty((0, 4, 4)),
        gel_pads=(),
    )


def motions(count=6):
    return np.eye(6)[:count]


def differences(loss, pose, centre, step):
    return np.array(
        [
            (loss(moved(pose, centre, step * m)).value - loss(moved(pose, centre, -step * m)).value)
            / (2 * step)
            for m in motions()
        ]
    )


def shifted():
    return moved(np.eye(4), np.zeros(3), np.array([0.003, -0.002, 0.004, 0.05, -0.08, 0.04]))


def test_gradient_of_the_physics_loss_of_flat_contacts_is_exact(hand, box, monkeypatch):
    monkeypatch.setattr(paper_physics, "LEAK", 0.0)
    loss = PhysicsLoss(hand, box, np.zeros(1), np.array([0, 0, -9.81]))
    expected = differences(loss, np.eye(4), np.zeros(3), 1e-6)
    gradient = loss(np.eye(4)).gradient
    np.testing.assert_allclose(gradient, expected, atol=0.02 * np.abs(expected).max())


def test_points_that_do_not_touch_have_a_leaky_gradient(hand, box):
    away = moved(np.eye(4), np.zeros(3), np.array([0.004, 0, 0, 0, 0, 0]))
    away[1, 3] = 0.002
    loss = PhysicsLoss(hand, box, np.zeros(1), None)
    assert np.abs(loss(away).gradient[:3]).max() > 0


def test_gradient_of_the_mesh_distance_is_exact(box):
    points = moved(np.eye(4), np.zeros(3), np.zeros(6))[:3, 3] + box.surface_points(300)[0]
    loss = MeshDistanceLoss(box, points)
    pose = shifted()
    expected = differences(loss, pose, np.zeros(3), 1e-6)
    np.testing.assert_allclose(
        loss(pose).gradient, expected, atol=0.05 * np.abs(expected).max(), rtol=0.05
    )
    assert loss(np.eye(4)).value < loss(pose).value


def test_gradient_of_the_rendering_loss_points_where_finite_differences_do(box):
    depth, label = CAMERA.render_depth([(box.vertices, box.faces)])
    loss = RenderingLoss(box, CAMERA, depth, label == 0)
    pose = shifted()
    scale = np.array([1, 1, 1, 25, 25, 25])  # rotations move points by about 40 mm
    gradient = loss(pose).gradient * scale
    expected = differences(loss, pose, np.zeros(3), 2e-3) * scale
    cosine = gradient @ expected / np.linalg.norm(gradient) / np.linalg.norm(expected)
    assert cosine > 0.9
    assert 0.6 < np.linalg.norm(gradient) / np.linalg.norm(expected) < 1.6
    assert loss.value(np.eye(4)) < loss.value(pose)


def test_the_method_moves_a_pose_toward_the_truth_and_keeps_its_best_rendering(hand, box):
    depth, label = CAMERA.render_depth([(box.vertices, box.faces)])
    forces = np.tile([0, 0, -1.0], (len(CONTACTS), 1))
    seen = GraspObservation(np.zeros(1), CAMERA, depth, label == 0, forces)
    start = moved(np.eye(4), np.zeros(3), np.array([0.008, -0.006, 0.01, 0.1, -0.1, 0.05]))
    result = refine_by_paper(hand, box, seen, start, PaperSettings(iterations=40))
    before, after = np.linalg.norm(start[:3, 3]), np.linalg.norm(result.pose[:3, 3])
    assert after < 0.4 * before
    assert (
        result.rendering.min()
        == result.rendering[[np.array_equal(p, result.pose) for p in result.path].index(True)]
    )
    np.testing.assert_allclose(result.weights.sum(axis=1), 1)
    assert (result.weights >= 0).all()
