"""Frames of the hand's links at given joint positions, and derivatives of points that move along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinkFrames:
    """Frames of all links in `hand`.

    Attributes:
        poses: (L, 4, 4) poses of the links.
        axis: (J, 3) axes of the joints, unit vectors.
        origin: (J, 3) points on these axes, m.
        is_revolute: (J,) whether a joint is revolute; else it is prismatic.
        moves: (L, J) derivative of a joint on the way from the base to a link with respect to an
            estimated joint: 1, the ratio of a mimic joint, or 0 if it does not move the link.
    """

    poses: Floats
    axis: Floats
    origin: Floats
    is_revolute: NDArray[np.bool_]
    moves: Floats

    def points(self, point: Floats, link: NDArray[np.int64]) -> Floats:
        """Return points (N, 3) of links (N,), given in their frames, in `hand`."""
        return self.vectors(point, link) + self.poses[link, :3, 3]

    def vectors(self, vector: Floats, link: NDArray[np.int64]) -> Floats:
        """Return vectors (N, 3) of links (N,), given in their frames, in the axes of `hand`."""
        return np.einsum("nij,nj->ni", self.poses[link, :3, :3], vector)

    def joint_derivative(
        self, points: Floats, gradient: Floats, link: NDArray[np.int64]
    ) -> Floats:
        """Return the derivative (N, J) of a function of points with respect to the joints.

        Args:
            points: (N, 3) points in `hand`, m.
            gradient: (N, 3) gradients of the function with respect to the points.
            link: (N,) index of the link that each point moves with.
        """
        turning = np.cross(points, gradient) @ self.axis.T
        turning -= gradient @ np.cross(self.axis, self.origin).T
        sliding = gradient @ self.axis.T
        return np.where(self.is_revolute, turning, sliding) * self.moves[link]
