"""Where the indenter is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IndenterPose:
    """Indenter in the frame `gel`; its own frame has the origin in its tip and z off the gel.

    Attributes:
        x_mm: to the right of the image.
        y_mm: down the image.
        depth_mm: indentation since contact, positive toward the camera.
        yaw_rad: about z.
    """

    x_mm: float = 0.0
    y_mm: float = 0.0
    depth_mm: float = 0.0
    yaw_rad: float = 0.0

    @property
    def tip_mm(self) -> NDArray[np.float64]:
        """(3,) position of the tip."""
        return np.array([self.x_mm, self.y_mm, -self.depth_mm])

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) rotation from the indenter's frame to `gel`."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def to_indenter(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) of `gel` in the indenter's frame."""
        return np.asarray((points - self.tip_mm) @ self.matrix)

    def to_gel(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) of the indenter's frame in `gel`."""
        return np.asarray(points @ self.matrix.T + self.tip_mm)

    def moved(self, x_mm: float = 0.0, y_mm: float = 0.0, yaw_rad: float = 0.0) -> IndenterPose:
        """Displaced at the same depth."""
        return IndenterPose(
            self.x_mm + x_mm, self.y_mm + y_mm, self.depth_mm, self.yaw_rad + yaw_rad
        )

    def toward(self, goal: IndenterPose, share: float) -> IndenterPose:
        """Between this (share 0) and another pose (share 1), linearly."""
        return IndenterPose(
            self.x_mm + share * (goal.x_mm - self.x_mm),
            self.y_mm + share * (goal.y_mm - self.y_mm),
            self.depth_mm + share * (goal.depth_mm - self.depth_mm),
            self.yaw_rad + share * (goal.yaw_rad - self.yaw_rad),
        )
