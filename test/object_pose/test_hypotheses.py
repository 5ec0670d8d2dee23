"""Weights of hypotheses of a cost with two known minima."""

from dataclasses import dataclass

import numpy as np
import pytest

from tacdiff_ros.least_squares import NormalEquations
from tacdiff_ros.object_pose import robust_loss, se3
from tacdiff_ros.object_pose.hypotheses import distinct, pose_distance, weighted
from tacdiff_ros.object_pose.joint_cost import Fit
from tacdiff_ros.object_pose.scene import Unknowns
from tacdiff_ros.objects.rigid_object import RigidObject, Symmetry

BAR = np.array([[x, y, z] for x in (-0.01, 0.01) for y in (-0.01, 0.01) for z in (-0.05, 0.05)])
HALF_TURN = Symmetry((0.0, 0.0, 1.0), 2, (0.0, 0.0, 0.0))
ITEM = RigidObject("bar", BAR, np.array([[0, 1, 2]], np.int32), None, symmetries=(HALF_TURN,))


def fit(twist, cost):
    return Fit(Unknowns(se3.exp(twist), np.eye(4), 0.0, np.zeros(0)), cost, 1)


@dataclass
class Curvature:
    matrix: np.ndarray

    def linearise(self, _point):
        return NormalEquations(self.matrix, np.zeros(6), 0.0)


def test_poses_that_symmetry_makes_equal_are_one_hypothesis_and_others_are_not():
    turned = fit([0, 0, 0, 0, 0, np.pi], 11.0)
    aside = fit([0.02, 0, 0, 0, 0, 0], 12.0)
    kept = distinct(ITEM, [turned, fit(np.zeros(6), 10.0), aside])
    assert [each.cost for each in kept] == [10.0, 12.0]
    copies = ITEM.symmetry_transforms()
    distance = pose_distance(ITEM, np.eye(4), aside.unknowns.object_pose, copies)
    assert distance == pytest.approx(0.02)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_weights_are_those_of_gaussians_with_the_given_costs(temperature):
    fits = [fit(np.zeros(6), 10.0), fit([0.02, 0, 0, 0, 0, 0], 13.0)]
    first, second = weighted(fits, Curvature(1e5 * np.eye(6)), temperature, 2.0)
    assert second.weight / first.weight == pytest.approx(np.exp(-1.5 / temperature))
    assert first.covariance == pytest.approx(2e-5 * np.eye(6))


def test_a_hypothesis_that_is_a_thousand_times_less_probable_is_left_out():
    fits = [fit(np.zeros(6), 10.0), fit([0.02, 0, 0, 0, 0, 0], 40.0)]
    (only,) = weighted(fits, Curvature(1e5 * np.eye(6)), 1.0)
    assert only.weight == 1.0


def test_the_robust_weight_is_the_derivative_of_the_loss():
    residual = np.linspace(-20.0, 20.0, 41)
    step = 1e-6
    for scale in (3.0, np.inf):
        slope = [
            (robust_loss.loss(r[None] + step, scale) - robust_loss.loss(r[None] - step, scale))
            for r in residual
        ]
        expected = 2.0 * robust_loss.weight(residual, scale) * residual
        assert np.array(slope) / (2.0 * step) == pytest.approx(expected, abs=1e-5)


def test_two_fits_within_one_spread_are_one_hypothesis():
    fits = [fit(np.zeros(6), 10.0), fit([0.02, 0, 0, 0, 0, 0], 10.1)]
    (only,) = weighted(fits, Curvature(1e3 * np.eye(6)), 1.0)
    assert only.fit is fits[0]
