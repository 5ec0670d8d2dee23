"""Pose metrics agree with closed forms."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

pytest.importorskip("manifold3d")

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.object_pose import (
    IntersectionVolume,
    adds,
    closest_symmetric_truth,
    contact_area,
    orientation_error_deg,
    position_error,
)


def pose_of(position=(0, 0, 0), rotation_vector=(0, 0, 0)):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rotation_vector).as_matrix()
    pose[:3, 3] = position
    return pose


def solid(mesh):
    return mesh.vertices, mesh.faces


def test_position_and_orientation_errors_of_a_known_motion():
    estimate = pose_of([0.003, 0.004, 0], np.radians([0, 25, 0]))
    assert position_error(estimate, np.eye(4)) == pytest.approx(0.005)
    assert orientation_error_deg(estimate, np.eye(4)) == pytest.approx(25)
    assert orientation_error_deg(np.eye(4), np.eye(4)) == 0


def test_a_half_turn_about_a_symmetry_axis_is_no_error():
    turns = np.array([np.eye(4), pose_of(rotation_vector=[0, 0, np.pi])])
    estimate = pose_of([0.001, 0, 0], [0, 0, np.pi - 0.1])
    nearest = closest_symmetric_truth(estimate, np.eye(4), turns)
    assert np.degrees(0.1) == pytest.approx(orientation_error_deg(estimate, nearest))


def test_adds_is_the_shift_for_distant_points_and_0_for_symmetric_ones():
    points = np.array([[0.1, 0, 0], [-0.1, 0, 0], [0, 0.1, 0], [0, -0.1, 0]])
    assert adds(points, pose_of([0, 0, 0.01]), np.eye(4)) == pytest.approx(0.01)
    assert adds(points, pose_of(rotation_vector=[0, 0, np.pi / 2]), np.eye(4)) < 1e-9


def test_intersection_of_two_boxes_is_their_overlap():
    box = trimesh.creation.box([0.02, 0.04, 0.06])
    volume = IntersectionVolume(solid(box), [solid(box)])
    assert volume.at(np.eye(4)) == pytest.approx(48e-6, rel=1e-5)
    assert volume.at(pose_of([0.005, 0, 0])) == pytest.approx(36e-6, rel=1e-5)
    assert volume.at(pose_of([0.03, 0, 0])) == 0
    turned = pose_of(rotation_vector=[0, 0, np.pi / 2])
    assert volume.at(turned) == pytest.approx(0.02 * 0.02 * 0.06, rel=1e-4)


def test_overlapping_parts_of_a_hand_count_once():
    box = trimesh.creation.box([0.02] * 3)
    assert IntersectionVolume(solid(box), [solid(box)] * 2).at(np.eye(4)) == pytest.approx(8e-6)


def test_an_open_mesh_has_no_volume():
    box = trimesh.creation.box([0.02] * 3)
    with pytest.raises(InputError, match="not watertight"):
        IntersectionVolume((box.vertices, box.faces[2:]), [solid(box)])


def test_contact_area_of_a_ball_above_a_plane_is_a_spherical_cap():
    radius, gap = 0.03, 0.002
    random = np.random.default_rng(0)
    points = random.standard_normal((100_000, 3))
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    area = contact_area(
        points, 4 * np.pi * radius**2, lambda p: p[:, 2], pose_of([0, 0, radius + gap])
    )
    assert area == pytest.approx(2 * np.pi * radius * (0.005 - gap), rel=0.03)
