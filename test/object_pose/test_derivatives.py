"""Jacobians of all residuals against finite differences."""

import math

import numpy as np
import pytest

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.force_terms import FrictionCones, TorqueBalance
from tacdiff_ros.object_pose.scene import Scene, Unknowns
from tacdiff_ros.object_pose.terms import GelNormals, HandDepth, LinkPoints, ObjectDepth
from test.object_pose.conftest import BoxField

STEP = 1e-6
BOX = BoxField(np.array([0.02, 0.03, 0.05]))
RANDOM = np.random.default_rng(3)
POINT = RANDOM.uniform(-0.06, 0.06, (40, 3))
LINK = RANDOM.integers(0, 3, 40)
DIRECTION = POINT / np.linalg.norm(POINT, axis=1, keepdims=True)
RAY = np.column_stack([RANDOM.uniform(-0.2, 0.2, (40, 2)), np.ones(40)])
DEPTH = RANDOM.uniform(0.3, 0.5, 40)
UNKNOWNS = Unknowns(
    object_pose=se3.exp([0.02, 0.01, 0.06, 0.3, -0.2, 0.4]),
    camera_pose=se3.exp([0.02, 0.1, -0.35, 0.1, 0.2, -0.1]),
    depth_bias=0.001,
    joint_positions=np.array([0.3, 0.01]),
)
FLAT = (slice(None), slice(0, 6))


def terms(hand):
    yield "depth", ObjectDepth(BOX, RAY, DEPTH, 0.002, 3.0)
    yield "hand depth", HandDepth(hand, RAY, DEPTH, 0.002, 3.0)
    yield "contact", LinkPoints(BOX, POINT, LINK, False, 0.001, 3.0, "contact")
    yield "no contact", LinkPoints(BOX, POINT, LINK, True, 0.001, 3.0, "none", bound=0.01)
    yield "torque", TorqueBalance(POINT, DIRECTION, LINK, np.array([0.01, 0, 0.02]), 0.1, 3.0)


def numeric_jacobian(term, hand):
    columns = []
    for index in range(UNKNOWNS.size):
        step = np.zeros(UNKNOWNS.size)
        step[index] = STEP
        ahead = term.evaluate(Scene(hand, UNKNOWNS.moved(step))).value
        behind = term.evaluate(Scene(hand, UNKNOWNS.moved(-step))).value
        columns.append((ahead - behind) / (2.0 * STEP))
    return np.stack(columns, axis=1)


def test_jacobians_equal_finite_differences_in_all_unknowns(two_fingers):
    for name, term in terms(two_fingers):
        computed = term.evaluate(Scene(two_fingers, UNKNOWNS)).jacobian
        expected = numeric_jacobian(term, two_fingers)
        assert np.abs(expected).max() > 1.0, name
        if name == "torque":  # forces turn with their links: neglected
            computed, expected = computed[FLAT], expected[FLAT]
        assert computed == pytest.approx(expected, rel=1e-4, abs=1e-3), name


def test_normals_and_cones_turn_with_flat_faces_as_finite_differences_say(two_fingers):
    faces = np.abs(POINT) / BOX.half  # near the middle of a face the normal is constant
    near = np.sort(faces, axis=1)[:, 1] < 0.8
    points = se3.apply(UNKNOWNS.object_pose, np.where(faces > 0.8, 1.1, 0.3) * POINT)[near]
    link = np.zeros(len(points), int)
    direction = DIRECTION[near]
    for term in (
        GelNormals(BOX, points, direction, link, 0.1, 3.0),
        FrictionCones(BOX, points, -direction, link, 0.1, 0.1, 3.0),
    ):
        computed = term.evaluate(Scene(two_fingers, UNKNOWNS)).jacobian[FLAT]
        expected = numeric_jacobian(term, two_fingers)[FLAT]
        assert np.abs(expected).max() > 1.0
        assert computed == pytest.approx(expected, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, 3.0])
def test_exponential_and_logarithm_are_inverse(angle):
    twist = np.array([0.1, -0.2, 0.3, *(angle * np.array([0.6, 0.0, 0.8]))])
    assert se3.log(se3.exp(twist)) == pytest.approx(twist, abs=1e-9)
    assert se3.exp(twist) @ se3.exp(-twist) == pytest.approx(np.eye(4), abs=1e-12)


def test_a_screw_is_the_limit_of_many_small_motions():
    twist = np.array([0.1, -0.2, 0.3, 0.5, 0.2, -0.4])
    matrix = np.zeros((4, 4))
    matrix[:3, :3], matrix[:3, 3] = se3.skew(twist[3:]), twist[:3]
    expected = np.linalg.matrix_power(np.eye(4) + matrix / 2**20, 2**20)
    assert se3.exp(twist) == pytest.approx(expected, abs=1e-6)
    assert math.isclose(np.linalg.det(se3.exp(twist)), 1.0)
