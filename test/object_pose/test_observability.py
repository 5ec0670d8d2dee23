"""Open directions in words, for covariances that are known by construction."""

import math

import numpy as np
import pytest

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.hypotheses import in_hand_axes
from tacdiff_ros.object_pose.observability import open_directions

RADIUS = 0.05
SMALL = np.diag([1e-8] * 3 + [1e-6] * 3)
NO_AXES = np.zeros((0, 3))


def opened(twist):
    return SMALL + np.outer(twist, twist)


def words(covariance, pose=None, axes=NO_AXES):
    pose = np.eye(4) if pose is None else pose
    return [each.words for each in open_directions(covariance, pose, RADIUS, axes, 0.003)]


def test_nothing_is_open_where_all_deviations_are_small():
    assert words(SMALL) == []


def test_a_free_slide_is_named_along_the_axes_of_the_hand():
    slide = opened([0.02, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert words(slide) == ["translation along x of the hand, 20.0 mm"]
    turned = se3.pose_of(np.zeros(3), se3.rotation([0.0, 0.0, math.pi / 2]))
    assert words(slide, turned) == ["translation along y of the hand, 20.0 mm"]


def test_a_free_turn_is_named_about_the_axis_of_symmetry_or_the_objects_axis():
    turn = opened([0.0, 0.0, 0.0, 0.0, 0.0, 0.7])
    assert words(turn) == ["rotation about the object's z axis, 40 deg"]
    axis = np.array([[0.0, 0.0, 1.0]])
    assert words(turn, axes=axis) == ["rotation about the object's axis of symmetry, 40 deg"]


def test_a_turn_about_a_distant_point_names_the_point():
    point = np.array([0.04, 0.0, 0.0])
    axis = np.array([0.0, 0.0, 0.5])
    (line,) = words(opened([*np.cross(point, axis), *axis]))
    assert line.startswith("rotation about the object's z axis through (40, 0, 0) mm of the hand")


def test_two_open_directions_come_with_the_most_uncertain_first():
    both = opened([0.0, 0.02, 0.0, 0.0, 0.0, 0.0]) + opened([0.0, 0.0, 0.0, 0.8, 0.0, 0.0])
    assert [line.split()[0] for line in words(both)] == ["rotation", "translation"]


def test_the_covariance_in_the_hands_axes_is_that_of_rotated_samples():
    random = np.random.default_rng(2)
    root = random.normal(size=(6, 6))
    pose = se3.exp([0.1, 0.2, 0.3, 0.4, -0.5, 0.6])
    samples = random.normal(size=(200_000, 6)) @ root.T
    turned = np.hstack([samples[:, :3] @ pose[:3, :3].T, samples[:, 3:] @ pose[:3, :3].T])
    expected = np.cov(turned.T)
    assert in_hand_axes(root @ root.T, pose) == pytest.approx(expected, abs=0.15)
