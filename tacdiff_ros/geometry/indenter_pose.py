"""Pose of the indenter relative to the gel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IndenterPose:
    """Pose of the indenter in the frame `gel`.

    The indenter's own frame has its origin at the tip and z away from the gel.

    Attributes:
        x_mm: position of the tip toward the right of the image, mm.
        y_mm: position of the tip toward the bottom of the image, mm.
        depth_mm: indentation since contact, mm, positive toward the camera.
        yaw_rad: rotation about z, rad.
    """

    x_mm: float = 0.0
    y_mm: float = 0.0
    depth_mm: float = 0.0
    yaw_rad: float = 0.0

    @property
    def tip_mm(self) -> NDArray[np.float64]:
        """(3,) position of the tip in the frame `gel`, mm."""
        return np.array([self.x_mm, self.y_mm, -self.depth_mm])

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) rotation matrix from the indenter's frame to the frame `gel`."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def to_indenter(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transforms points (N, 3), mm, from the frame `gel` into the indenter's frame."""
        return np.asarray((points - self.tip_mm) @ self.matrix)

    def to_gel(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transforms points (N, 3), mm, from the indenter's frame into the frame `gel`."""
        return np.asarray(points @ self.matrix.T + self.tip_mm)

    def moved(self, x_mm: float = 0.0, y_mm: float = 0.0, yaw_rad: float = 0.0) -> IndenterPose:
        """Returns this pose after a displacement at constant depth.

        Args:
            x_mm: displacement along x, mm.
            y_mm: displacement along y, mm.
            yaw_rad: rotation about z, rad.

        Returns:
            The displaced pose.
        """
        return IndenterPose(
            self.x_mm + x_mm, self.y_mm + y_mm, self.depth_mm, self.yaw_rad + yaw_rad
        )

    def toward(self, goal: IndenterPose, fraction: float) -> IndenterPose:
        """Interpolates linearly between this pose and another one.

        Args:
            goal: pose at fraction 1.
            fraction: position on the way from this pose, 0, to the goal, 1.

        Returns:
            The interpolated pose.
        """
        return IndenterPose(
            self.x_mm + fraction * (goal.x_mm - self.x_mm),
            self.y_mm + fraction * (goal.y_mm - self.y_mm),
            self.depth_mm + fraction * (goal.depth_mm - self.depth_mm),
            self.yaw_rad + fraction * (goal.yaw_rad - self.yaw_rad),
        )
