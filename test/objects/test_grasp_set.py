"""Synthetic grasps are stable by an independent criterion and reproducible by their seed."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

pytest.importorskip("pinocchio")

from tacdiff_ros.objects.force_closure import balancing_forces, is_stable
from tacdiff_ros.objects.gel_touch_model import true_heights
from tacdiff_ros.objects.grasp_sensing import HARD, IDEAL
from tacdiff_ros.objects.grasp_set import (
    GraspSetSettings,
    generate_cases,
    start_poses,
)
from tacdiff_ros.objects.hand_files import load_hand

TWO_FINGERS = np.array([[0, 0.02, 0.0], [0, 0.02, 0.005], [0, -0.02, 0.0], [0, -0.02, 0.005]])
INWARD = np.array([[0, -1.0, 0], [0, -1.0, 0], [0, 1.0, 0], [0, 1.0, 0]])


def test_a_pinch_needs_a_normal_force_of_weight_over_twice_the_friction():
    points, normals = TWO_FINGERS[[0, 2]], INWARD[[0, 2]]
    forces = balancing_forces(points, normals, np.zeros(3), np.array([0, 0, -5.0]), 0.5, 100.0)
    np.testing.assert_allclose(forces.sum(axis=0), [0, 0, 5], atol=1e-8)
    assert (forces * normals).sum(axis=1) == pytest.approx([5.0, 5.0])


def test_a_grasp_without_friction_or_without_force_is_unstable():
    assert is_stable(TWO_FINGERS, INWARD, np.array([0, 0, 0.002]), 2.0, 0.6, 50.0)
    assert not is_stable(TWO_FINGERS, INWARD, np.array([0, 0, 0.002]), 2.0, 0.0, 50.0)
    assert not is_stable(TWO_FINGERS, INWARD, np.array([0, 0, 0.002]), 2.0, 0.6, 2.0)
    assert not is_stable(TWO_FINGERS[:2], INWARD[:2], np.zeros(3), 2.0, 0.6, 50.0)


@pytest.fixture(scope="module")
def allegro():
    return load_hand("allegro_xela")


def cases(hand, item, errors, seed=3):
    settings = GraspSetSettings(grasps=1, errors=errors, starts=2)
    return list(generate_cases(hand, item, settings, seed))


def test_an_allegro_grasp_touches_without_deep_penetration_and_repeats_by_seed(allegro, box):
    (case,) = cases(allegro, box, HARD)
    (again,) = cases(allegro, box, HARD)
    np.testing.assert_array_equal(case.observation.depth, again.observation.depth)
    np.testing.assert_array_equal(case.truth.pose, again.truth.pose)
    points = box.surface_points(5000)[0] @ case.truth.pose[:3, :3].T + case.truth.pose[:3, 3]
    distance = allegro.distance(points, case.truth.joint_positions)[0]
    assert -0.003 < distance.min() < 0
    assert case.observation.taxel_contact().sum() >= 1
    assert case.truth.visible_fraction > 0.3


def test_ideal_sensors_measure_the_truth(allegro, box):
    (case,) = cases(allegro, box, IDEAL)
    observation, truth = case.observation, case.truth
    np.testing.assert_array_equal(observation.joint_positions, truth.joint_positions)
    points = (observation.object_points() - truth.pose[:3, 3]) @ truth.pose[:3, :3]
    assert np.abs(box.distance.distance(points)).max() < 1e-3
    touched = allegro.taxel_positions(truth.joint_positions)[0][observation.taxel_contact()]
    local = (touched - truth.pose[:3, 3]) @ truth.pose[:3, :3]
    assert np.abs(box.distance.distance(local)).max() < 0.004


def test_hard_sensors_have_errors_of_the_stated_size(allegro, box):
    (case,) = cases(allegro, box, HARD)
    shift = case.observation.camera.pose[:3, 3] - case.truth.camera.pose[:3, 3]
    assert np.linalg.norm(shift) == pytest.approx(0.004)
    turn = case.observation.camera.pose[:3, :3].T @ case.truth.camera.pose[:3, :3]
    assert Rotation.from_matrix(turn).magnitude() == pytest.approx(np.radians(1.0))
    joints = np.degrees(case.observation.joint_positions - case.truth.joint_positions)
    assert 0.7 < joints.std() < 2.5


def test_the_median_of_the_starts_is_as_asked():
    truth = np.eye(4)
    starts = start_poses(truth, np.zeros(3), np.random.default_rng(0), 2000, 0.02, 15.0)
    assert np.median(np.linalg.norm(starts[:, :3, 3], axis=1)) == pytest.approx(0.02, rel=0.05)
    angles = Rotation.from_matrix(starts[:, :3, :3]).magnitude()
    assert np.degrees(np.median(angles)) == pytest.approx(15.0, rel=0.05)


def test_the_gel_follows_a_cylinder_that_indents_it():
    cylinder = trimesh.creation.cylinder(radius=0.03, height=0.1, sections=360)
    pad = load_hand().gel_pads[0]
    depth, radius = 0.001, 0.03
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()  # axis along y
    pose[2, 3] = radius - depth
    height, contact = true_heights(cylinder, pose, pad)
    assert height.min() == pytest.approx(-depth, abs=2e-5)
    x = 5e-4 * (np.arange(height.shape[1]) - (height.shape[1] - 1) / 2)
    expected = radius - depth - np.sqrt(radius**2 - x**2)
    inner = np.abs(x) < 0.006
    np.testing.assert_allclose(height[20, inner], expected[inner], atol=3e-5)
    width = 2 * np.sqrt(radius**2 - (radius - depth) ** 2)
    assert contact[20].sum() * 5e-4 == pytest.approx(width, abs=1.1e-3)


def test_a_pinch_indents_both_gels_and_balances_the_weight(box):
    (case,) = cases(load_hand(), box, IDEAL, seed=1)
    for touch in case.observation.gel_touches:
        assert -0.002 < touch.points[:, 2].min() < -0.0002
        assert touch.force[2] < -0.5
