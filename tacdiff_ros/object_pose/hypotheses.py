"""Hypotheses on the pose: distinct minima of the joint cost with weights and covariances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.joint_cost import Fit, JointCost
from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]
SYMMETRY_STEPS = 24  # rotations that stand for an axis of revolution
SAME_POSE = 0.006  # mean distance of the corners below which two minima are one hypothesis, m
MIN_WEIGHT = 1e-3
MAX_SPREAD = 16.8  # 99 % quantile of chi-squared with 6 degrees of freedom


@dataclass(frozen=True)
class Hypothesis:
    """One possible pose.

    Attributes:
        fit: minimum of the joint cost.
        weight: probability among the hypotheses.
        covariance: (n, n) covariance of the free unknowns; the first 6 are the object's twist, in
            its own frame, m and rad.
    """

    fit: Fit
    weight: float
    covariance: Floats

    @property
    def object_pose(self) -> Floats:
        """(4, 4) pose of the object in `hand`."""
        return self.fit.unknowns.object_pose

    @property
    def object_covariance(self) -> Floats:
        """(6, 6) covariance of the object's twist in its own frame, m and rad."""
        return self.covariance[:6, :6]


def box_corners(item: RigidObject) -> Floats:
    """Return the corners (8, 3) of the box about an object in its frame, m."""
    low, high = item.vertices.min(axis=0), item.vertices.max(axis=0)
    choice = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    return np.asarray(np.where(choice == 1, high, low))


def pose_distance(item: RigidObject, first: Floats, second: Floats, copies: Floats) -> float:
    """Return how far two poses are apart, up to the object's symmetries.

    Args:
        item: object.
        first: (4, 4) pose.
        second: (4, 4) pose.
        copies: (S, 4, 4) rotations that do not change the object.

    Returns:
        Mean distance of the corners of the object's box, m.
    """
    return _corner_distance(_moved_corners(item, first @ copies), _moved_corners(item, second))


def _moved_corners(item: RigidObject, pose: Floats) -> Floats:
    """Return the corners (..., 8, 3) of the object's box at poses (..., 4, 4)."""
    corners = box_corners(item)
    return np.asarray(corners @ np.swapaxes(pose[..., :3, :3], -1, -2) + pose[..., None, :3, 3])


def _corner_distance(copies: Floats, corners: Floats) -> float:
    return float(np.linalg.norm(copies - corners, axis=-1).mean(axis=-1).min())


def distinct(item: RigidObject, fits: Sequence[Fit], limit: float = SAME_POSE) -> list[Fit]:
    """Return the fits that differ, up to the object's symmetries, the lowest cost first.

    Args:
        item: object.
        fits: minima of one joint cost.
        limit: distance below which two fits are the same, m.
    """
    copies = item.symmetry_transforms(SYMMETRY_STEPS)
    kept: list[Fit] = []
    kept_corners: list[Floats] = []
    for fit in sorted(fits, key=lambda each: each.cost):
        turned = _moved_corners(item, fit.unknowns.object_pose @ copies)
        if all(_corner_distance(turned, corners) > limit for corners in kept_corners):
            kept.append(fit)
            kept_corners.append(turned[0])
    return kept


def weighted(
    fits: Sequence[Fit], cost: JointCost, temperature: float, inflation: float = 1.0
) -> tuple[Hypothesis, ...]:
    """Return hypotheses with weights by Laplace's approximation, the most probable first.

    Args:
        fits: distinct minima, the lowest cost first.
        cost: joint cost.
        temperature: factor of the variances in the weights, for what the noise model leaves out
            and differs between far poses, such as errors of the mesh.
        inflation: factor of the covariances.
    """
    covariances: list[Floats] = []
    separate: list[Fit] = []
    for fit in fits:
        covariance = inflation * cost.linearise(fit.unknowns).covariance()
        if all(
            _is_separate(fit, other, spread)
            for other, spread in zip(separate, covariances, strict=True)
        ):
            separate.append(fit)
            covariances.append(covariance)
    fits = separate
    logarithms = np.array(
        [
            -0.5 * fit.cost / temperature + 0.5 * np.linalg.slogdet(covariance)[1]
            for fit, covariance in zip(fits, covariances, strict=True)
        ]
    )
    weights = np.exp(logarithms - logarithms.max())
    weights /= weights.sum()
    order = [k for k in np.argsort(-weights) if weights[k] > MIN_WEIGHT]
    total = float(weights[order].sum())
    return tuple(Hypothesis(fits[k], float(weights[k] / total), covariances[k]) for k in order)


def with_prior_spread(hypothesis: Hypothesis, stddev: Floats) -> Hypothesis:
    """Return a hypothesis on a pose that is not identified: as uncertain as before the estimate.

    Args:
        hypothesis: hypothesis.
        stddev: (6,) prior standard deviations of the object's twist, m and rad.
    """
    covariance = hypothesis.covariance.copy()
    covariance[:6, :6] += np.diag(np.square(stddev))
    return replace(hypothesis, covariance=covariance)


def _is_separate(fit: Fit, other: Fit, covariance: Floats) -> bool:
    """Return whether a fit is more than a point of the spread of another one."""
    pose, mean = fit.unknowns.object_pose, other.unknowns.object_pose
    twist = se3.log(se3.inverse(mean) @ pose)
    return bool(twist @ np.linalg.solve(covariance[:6, :6], twist) > MAX_SPREAD)


def in_hand_axes(covariance: Floats, object_pose: Floats) -> Floats:
    """Return the covariance (6, 6) of a twist in the axes of `hand`, as ROS messages hold it.

    Args:
        covariance: (6, 6) covariance of the twist in the object's frame.
        object_pose: (4, 4) pose of the object in `hand`.
    """
    turn = np.zeros((6, 6))
    turn[:3, :3] = turn[3:, 3:] = object_pose[:3, :3]
    return np.asarray(turn @ covariance @ turn.T)
