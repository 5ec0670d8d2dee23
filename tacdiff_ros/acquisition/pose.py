"""Rigid poses in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation, Slerp


@dataclass(frozen=True)
class Pose:
    """Where a frame stands in another one.

    Attributes:
        position_mm: (3,) float64, origin of the frame.
        rotation: turns vectors of the frame into the other one.
    """

    position_mm: NDArray[np.float64]
    rotation: Rotation

    @classmethod
    def from_quaternion(cls, position_mm: ArrayLike, quaternion_xyzw: ArrayLike) -> Pose:
        """Pose from a position (3,) in mm and a quaternion (4,) in the order x, y, z, w.

        Raises:
            ValueError: the quaternion has no length or is not finite.
        """
        return cls(np.asarray(position_mm, float), Rotation.from_quat(quaternion_xyzw))

    @classmethod
    def from_euler(cls, position_mm: ArrayLike, roll_pitch_yaw_rad: ArrayLike) -> Pose:
        """Pose from a position (3,) in mm and fixed-axis roll, pitch, yaw as URDF has them."""
        return cls(np.asarray(position_mm, float), Rotation.from_euler("xyz", roll_pitch_yaw_rad))

    @property
    def quaternion_xyzw(self) -> NDArray[np.float64]:
        """(4,) unit quaternion x, y, z, w."""
        return self.rotation.as_quat()

    def __matmul__(self, other: Pose) -> Pose:
        """Chain: `a_T_b @ b_T_c` is `a_T_c`."""
        position = self.position_mm + self.rotation.apply(other.position_mm)
        return Pose(position, self.rotation * other.rotation)

    def inverse(self) -> Pose:
        """The other frame as seen from this one."""
        inverse = self.rotation.inv()
        return Pose(-inverse.apply(self.position_mm), inverse)

    def shifted(self, offset_mm: ArrayLike) -> Pose:
        """The same orientation, moved by (3,) mm along the frame's own axes."""
        return Pose(self.position_mm + self.rotation.apply(offset_mm), self.rotation)

    def interpolate(self, other: Pose, fraction: float) -> Pose:
        """Between this pose (0) and another (1): straight line, and constant turn (slerp)."""
        ends = Rotation.concatenate([self.rotation, other.rotation])
        position = self.position_mm + fraction * (other.position_mm - self.position_mm)
        return Pose(position, Slerp([0.0, 1.0], ends)(fraction))

    def distance_to(self, other: Pose) -> tuple[float, float]:
        """Distance in mm and angle in rad between two poses."""
        turn = (self.rotation.inv() * other.rotation).magnitude()
        return float(np.linalg.norm(other.position_mm - self.position_mm)), float(turn)
