"""Rigid poses in millimetres.

Kept as matrices and plain arithmetic: a thousand robot states a second pass through here, where an
object per rotation costs more than the algebra.
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
    """Where a frame stands in another one.

    Attributes:
        position_mm: (3,) float64, origin of the frame.
        matrix: (3, 3) float64, turns vectors of the frame into the other one.
    """

    position_mm: Array
    matrix: Array

    @classmethod
    def from_quaternion(cls, position_mm: ArrayLike, quaternion_xyzw: ArrayLike) -> Pose:
        """Pose from a position (3,) in mm and a quaternion (4,) in the order x, y, z, w.

        Raises:
            InputError: the quaternion has no length or is not finite.
        """
        x, y, z, w = (float(part) for part in np.asarray(quaternion_xyzw, float))
        square = x * x + y * y + z * z + w * w
        if not sys.float_info.min < square < math.inf:
            raise InputError(f"quaternion ({x}, {y}, {z}, {w}) has no usable length")
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
        """Pose from a position (3,) in mm and fixed-axis roll, pitch, yaw as URDF has them."""
        matrix = Rotation.from_euler("xyz", roll_pitch_yaw_rad).as_matrix()
        return cls(np.asarray(position_mm, float), matrix)

    @property
    def quaternion_xyzw(self) -> Array:
        """(4,) unit quaternion x, y, z, w."""
        return _quaternion(self.matrix)

    @property
    def yaw_rad(self) -> float:
        """Turn about the z axis of the other frame, the last one of roll, pitch and yaw."""
        return math.atan2(self.matrix[1, 0], self.matrix[0, 0])

    def __matmul__(self, other: Pose) -> Pose:
        """Chain: `a_T_b @ b_T_c` is `a_T_c`."""
        return Pose(self.position_mm + self.matrix @ other.position_mm, self.matrix @ other.matrix)

    def inverse(self) -> Pose:
        """The other frame as seen from this one."""
        return Pose(-(self.matrix.T @ self.position_mm), self.matrix.T)

    def turn(self, vector: ArrayLike) -> Array:
        """A vector (3,) of the frame, in the axes of the other one."""
        return self.matrix @ np.asarray(vector, float)

    def shifted(self, offset_mm: ArrayLike) -> Pose:
        """The same orientation, moved by (3,) mm along the frame's own axes."""
        return Pose(self.position_mm + self.turn(offset_mm), self.matrix)

    def interpolate(self, other: Pose, fraction: float) -> Pose:
        """Between this pose (0) and another (1): straight line, and constant turn (slerp)."""
        position = self.position_mm + fraction * (other.position_mm - self.position_mm)
        turn = Rotation.from_matrix(self.matrix.T @ other.matrix).as_rotvec()
        part = Rotation.from_rotvec(fraction * turn).as_matrix()
        return Pose(position, self.matrix @ part)

    def distance_to(self, other: Pose) -> tuple[float, float]:
        """Distance in mm and angle in rad between two poses."""
        return math.dist(self.position_mm, other.position_mm), _angle(self.matrix.T @ other.matrix)


def cross(a: Array, b: Array) -> Array:
    """Cross product of two vectors (3,); numpy's own takes ten times as long for one pair."""
    (ax, ay, az), (bx, by, bz) = a, b
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def _quaternion(matrix: Array) -> Array:
    """Unit quaternion x, y, z, w of a rotation matrix, from its largest part (Shepperd, 1978)."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    squares = (1.0 + a - e - i, 1.0 - a + e - i, 1.0 - a - e + i, 1.0 + a + e + i)
    rows = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )
    largest = max(range(4), key=squares.__getitem__)
    return np.array(rows[largest]) * (0.5 / math.sqrt(squares[largest]))


def _angle(matrix: Array) -> float:
    """Angle of a rotation matrix; the sine keeps small angles exact."""
    sine = math.hypot(
        matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]
    )
    return math.atan2(sine, float(np.trace(matrix)) - 1.0)
