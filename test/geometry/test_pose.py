"""Poses are rigid motions: scipy's Rotation and Slerp say where everything must end up."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from tacdiff_ros.geometry.pose import Pose, cross

MANY = 60
SEEDS = range(8)


def random_poses(seed: int, count: int = MANY) -> tuple[list[Pose], Rotation, np.ndarray]:
    """The same random poses three ways: as Pose, as scipy rotations, as positions."""
    random = np.random.default_rng(seed)
    rotations = Rotation.random(count, rng=random)
    positions = random.uniform(-800.0, 800.0, (count, 3))
    pairs = zip(positions, rotations.as_quat(), strict=True)
    return [Pose.from_quaternion(p, q) for p, q in pairs], rotations, positions


def is_same_turn(pose: Pose, rotation: Rotation, tolerance: float = 1e-9) -> bool:
    return bool((Rotation.from_matrix(pose.matrix).inv() * rotation).magnitude() < tolerance)


@pytest.mark.parametrize("seed", SEEDS)
def test_chained_poses_move_points_like_two_rigid_motions(seed):
    poses, rotations, positions = random_poses(seed)
    point = np.array([12.0, -7.0, 30.0])
    for first, second in zip(range(MANY - 1), range(1, MANY), strict=True):
        inner = rotations[second].apply(point) + positions[second]
        expected = rotations[first].apply(inner) + positions[first]
        chained = poses[first] @ poses[second]
        np.testing.assert_allclose(chained.position_mm + chained.rotate(point), expected, atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pose_and_its_inverse_cancel(seed):
    poses, _, _ = random_poses(seed)
    for pose in poses:
        for product in (pose @ pose.inverse(), pose.inverse() @ pose):
            np.testing.assert_allclose(product.position_mm, 0.0, atol=1e-9)
            np.testing.assert_allclose(product.matrix, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_interpolation_is_a_straight_line_with_scipys_slerp(seed):
    poses, rotations, positions = random_poses(seed)
    fractions = np.linspace(0.0, 1.0, 7)
    for i in range(MANY - 1):
        slerp = Slerp([0.0, 1.0], rotations[[i, i + 1]])(fractions)
        for fraction, turn in zip(fractions, slerp, strict=True):
            between = poses[i].interpolate(poses[i + 1], fraction)
            line = (1.0 - fraction) * positions[i] + fraction * positions[i + 1]
            np.testing.assert_allclose(between.position_mm, line, atol=1e-9)
            assert is_same_turn(between, turn)


def test_interpolating_half_of_a_half_turn_is_a_right_angle_from_both_ends():
    for axis in Rotation.random(20, rng=np.random.default_rng(3)).apply([1.0, 0.0, 0.0]):
        start = Pose.from_euler([1.0, 2.0, 3.0], [0.3, -0.4, 0.9])
        turned = start.matrix @ Rotation.from_rotvec(np.pi * axis).as_matrix()
        half = start.interpolate(Pose(start.position_mm, turned), 0.5)
        assert start.distance_to(half)[1] == pytest.approx(np.pi / 2, abs=1e-6)
        assert half.distance_to(Pose(start.position_mm, turned))[1] == pytest.approx(
            np.pi / 2, abs=1e-6
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_quaternion_survives_the_round_trip_up_to_its_sign(seed):
    _, rotations, positions = random_poses(seed)
    random = np.random.default_rng(seed + 1000)
    for position, quaternion in zip(positions, rotations.as_quat(), strict=True):
        scaled = quaternion * random.uniform(0.1, 10.0)  # length carries no meaning
        back = Pose.from_quaternion(position, scaled).quaternion_xyzw
        assert np.linalg.norm(back) == pytest.approx(1.0, abs=1e-12)
        assert abs(float(back @ quaternion)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("offset_rad", [0.0, 1e-9, -1e-9, 1e-5])
def test_quaternion_is_exact_at_and_around_half_turns(offset_rad):
    """A half turn has w = 0, where the textbook formula divides by zero."""
    axes = [*np.eye(3), *-np.eye(3)]
    axes += list(Rotation.random(50, rng=np.random.default_rng(9)).apply([0.0, 0.0, 1.0]))
    for axis in axes:
        turn = Rotation.from_rotvec((np.pi + offset_rad) * np.asarray(axis))
        back = Pose(np.zeros(3), turn.as_matrix()).quaternion_xyzw
        assert is_same_turn(Pose.from_quaternion(np.zeros(3), back), turn, 1e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_euler_angles_turn_about_fixed_axes_x_then_y_then_z(seed):
    random = np.random.default_rng(seed)
    for roll, pitch, yaw in random.uniform(-np.pi, np.pi, (20, 3)) * [1.0, 0.49, 1.0]:
        pose = Pose.from_euler([0.0, 0.0, 0.0], [roll, pitch, yaw])
        about_x, about_y, about_z = (
            Rotation.from_rotvec(angle * axis)
            for angle, axis in zip((roll, pitch, yaw), np.eye(3), strict=True)
        )
        assert is_same_turn(pose, about_z * about_y * about_x)
        assert pose.yaw_rad == pytest.approx(yaw, abs=1e-9)


@pytest.mark.parametrize("angle_rad", [0.0, 1e-10, 1e-6, 1e-3, 1.0, 3.0, np.pi - 1e-9, np.pi])
def test_distance_is_exact_from_the_tiniest_angle_to_a_half_turn(angle_rad):
    random = np.random.default_rng(4)
    for axis in Rotation.random(20, rng=random).apply([1.0, 0.0, 0.0]):
        start = Pose.from_euler(random.uniform(-9, 9, 3), random.uniform(-1, 1, 3))
        turned = Rotation.from_matrix(start.matrix) * Rotation.from_rotvec(angle_rad * axis)
        far = Pose(start.position_mm + np.array([3.0, 0.0, -4.0]), turned.as_matrix())
        distance_mm, found_rad = start.distance_to(far)
        assert distance_mm == pytest.approx(5.0, abs=1e-12)
        assert found_rad == pytest.approx(angle_rad, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("seed", SEEDS)
def test_distance_agrees_with_scipys_angle_between_rotations(seed):
    poses, rotations, positions = random_poses(seed)
    for i in range(MANY - 1):
        distance_mm, angle_rad = poses[i].distance_to(poses[i + 1])
        assert distance_mm == pytest.approx(np.linalg.norm(positions[i] - positions[i + 1]))
        assert angle_rad == pytest.approx((rotations[i].inv() * rotations[i + 1]).magnitude())


@pytest.mark.parametrize("seed", SEEDS)
def test_shift_runs_along_the_frames_own_axes(seed):
    poses, rotations, positions = random_poses(seed)
    for i, pose in enumerate(poses):
        moved = pose.shifted([1.0, -2.0, 3.0])
        expected = positions[i] + rotations[i].apply([1.0, -2.0, 3.0])
        np.testing.assert_allclose(moved.position_mm, expected, atol=1e-9)
        assert is_same_turn(moved, rotations[i])


def test_cross_product_agrees_with_numpy():
    random = np.random.default_rng(2)
    for a, b in random.normal(size=(50, 2, 3)):
        np.testing.assert_allclose(cross(a, b), np.cross(a, b), atol=1e-14)


@pytest.mark.parametrize(
    "quaternion",
    [
        [0.0, 0.0, 0.0, 0.0],
        [np.nan, 0.0, 0.0, 1.0],
        [0.0, np.inf, 0.0, 0.0],
        [1e-200, 0.0, 0.0, 0.0],  # its square is 0
        [0.0, 0.0, 0.0, 1e-160],  # its square has lost all its digits
        [1e200, 0.0, 0.0, 1.0],  # its square is infinite
    ],
)
def test_a_quaternion_without_a_usable_length_is_refused(quaternion):
    with pytest.raises(ValueError, match="no usable length"):
        Pose.from_quaternion([0.0, 0.0, 0.0], quaternion)
