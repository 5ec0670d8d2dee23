"""Rigid poses in millimetres.

Rotations are plain matrices: this code handles a thousand robot states per second, for which the
construction of a rotation object would cost more time than the algebra.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Pose of a frame, called the child frame below, in a parent frame.

    Attributes:
        position_mm: (3,) float64 origin of the child frame in the parent frame, mm.
        matrix: (3, 3) float64 rotation matrix from the child frame to the parent frame.
    """

    position_mm: Array
    matrix: Array

    @classmethod
    def from_quaternion(cls, position_mm: ArrayLike, quaternion_xyzw: ArrayLike) -> Pose:
        """Builds a pose from a position and a quaternion.

        Args:
            position_mm: (3,) position, mm.
            quaternion_xyzw: (4,) quaternion in the order x, y, z, w; it need not be normalized.

        Returns:
            The pose.

        Raises:
            InputError: the quaternion has length 0 or is not finite.
        """
        x, y, z, w = (float(part) for part in np.asarray(quaternion_xyzw, float))
        square = x * x + y * y + z * z + w * w
        if not sys.float_info.min < square < math.inf:
            raise InputError(
                f"quaternion ({x}, {y}, {z}, {w}) has no usable length: expected finite numbers "
                "that are not all 0"
            )
        s = 2.0 / square
        matrix = np.array(
            [
                [1.0 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
                [s * (x * y + z * w), 1.0 - s * (x * x + z * z), s * (y * z - x * w)],
                [s * (x * z - y * w), s * (y * z + x * w), 1.0 - s * (x * x + y * y)],
            ]
        )
        return cls(np.asarray(position_mm, float), matrix)

    @classmethod
    def from_euler(cls, position_mm: ArrayLike, roll_pitch_yaw_rad: ArrayLike) -> Pose:
        """Builds a pose from a position and Euler angles in the convention of URDF.

        Args:
            position_mm: (3,) position, mm.
            roll_pitch_yaw_rad: (3,) rotations about the fixed axes x, y and z in this order, rad.

        Returns:
            The pose.
        """
        matrix = Rotation.from_euler("xyz", roll_pitch_yaw_rad).as_matrix()
        return cls(np.asarray(position_mm, float), matrix)

    @property
    def quaternion_xyzw(self) -> Array:
        """(4,) unit quaternion x, y, z, w."""
        return _quaternion(self.matrix)

    @property
    def yaw_rad(self) -> float:
        """Yaw in rad: the rotation about the z axis of the parent frame, after roll and pitch."""
        return math.atan2(self.matrix[1, 0], self.matrix[0, 0])

    def __matmul__(self, other: Pose) -> Pose:
        """Composes two poses: `a_T_b @ b_T_c` is `a_T_c`."""
        return Pose(self.position_mm + self.matrix @ other.position_mm, self.matrix @ other.matrix)

    def inverse(self) -> Pose:
        """Returns the pose of the parent frame in the child frame."""
        return Pose(-(self.matrix.T @ self.position_mm), self.matrix.T)

    def rotate(self, vector: ArrayLike) -> Array:
        """Rotates a vector (3,) from the axes of the child frame to those of the parent frame."""
        return self.matrix @ np.asarray(vector, float)

    def shifted(self, offset_mm: ArrayLike) -> Pose:
        """Returns this pose after a translation (3,) along the axes of the child frame, mm."""
        return Pose(self.position_mm + self.rotate(offset_mm), self.matrix)

    def interpolate(self, other: Pose, fraction: float) -> Pose:
        """Interpolates between this pose and another one: linear position, slerp of rotations.

        Args:
            other: pose at fraction 1, in the same parent frame.
            fraction: position on the way from this pose, 0, to the other one, 1.

        Returns:
            The interpolated pose.
        """
        position = self.position_mm + fraction * (other.position_mm - self.position_mm)
        rotation_vector = Rotation.from_matrix(self.matrix.T @ other.matrix).as_rotvec()
        partial = Rotation.from_rotvec(fraction * rotation_vector).as_matrix()
        return Pose(position, self.matrix @ partial)

    def distance_to(self, other: Pose) -> tuple[float, float]:
        """Returns the distance in mm and the rotation angle in rad between two poses."""
        return math.dist(self.position_mm, other.position_mm), _angle(self.matrix.T @ other.matrix)


def cross(a: Array, b: Array) -> Array:
    """Returns the cross product of two vectors, ten times as fast as `numpy.cross`.

    Args:
        a: (3,) first factor.
        b: (3,) second factor.

    Returns:
        (3,) cross product a x b.
    """
    (ax, ay, az), (bx, by, bz) = a, b
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def _quaternion(matrix: Array) -> Array:
    """Returns the normalized quaternion (4,) x, y, z, w of a rotation matrix (3, 3).

    The component with the largest magnitude is computed first (Shepperd, 1978).
    """
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    squares = (1.0 + a - e - i, 1.0 - a + e - i, 1.0 - a - e + i, 1.0 + a + e + i)
    rows = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )
    pivot = max(range(4), key=squares.__getitem__)
    return np.array(rows[pivot]) * (0.5 / math.sqrt(squares[pivot]))


def _angle(matrix: Array) -> float:
    """Returns the angle of a rotation matrix in rad; its sine keeps small angles accurate."""
    sine = math.hypot(
        matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]
    )
    return math.atan2(sine, float(np.trace(matrix)) - 1.0)
