"""Frames of the hand's links, and derivatives of points that move with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.hand_model import HandModel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinkFrames:
    """Frames of all links in `hand`.

    Attributes:
        poses: (L, 4, 4) poses of the links.
        jacobian: (L, 6, J) velocities of the links' origins and their angular velocities in `hand`,
            per unit of each joint's velocity.
    """

    poses: Floats
    jacobian: Floats

    @classmethod
    def of(cls, hand: HandModel, joint_positions: Floats) -> LinkFrames:
        """Return the frames of a hand at joint positions (J,), rad or m."""
        return cls(hand.link_transforms(joint_positions), hand.link_jacobians(joint_positions))

    def points(self, point: Floats, link: NDArray[np.int64]) -> Floats:
        """Return points (N, 3) of links (N,), given in their frames, in `hand`."""
        return self.vectors(point, link) + self.poses[link, :3, 3]

    def vectors(self, vector: Floats, link: NDArray[np.int64]) -> Floats:
        """Return vectors (N, 3) of links (N,), given in their frames, in the axes of `hand`."""
        return np.einsum("nij,nj->ni", self.poses[link, :3, :3], vector)

    def joint_derivative(self, points: Floats, gradient: Floats, link: NDArray[np.int64]) -> Floats:
        """Return the derivative (N, J) of a function of points with respect to the joints.

        Args:
            points: (N, 3) points in `hand`, m.
            gradient: (N, 3) gradients of the function with respect to the points.
            link: (N,) index of the link that each point moves with.
        """
        turning = se3.cross(points - self.poses[link, :3, 3], gradient)
        twist = np.concatenate([gradient, turning], axis=1)
        result = np.empty((len(points), self.jacobian.shape[2]))
        for index in np.unique(link):
            chosen = link == index
            result[chosen] = twist[chosen] @ self.jacobian[index]
        return result
