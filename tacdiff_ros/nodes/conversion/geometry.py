"""Converts poses, wrenches and times."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3, Wrench
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry import pose as core
from tacdiff_ros.geometry.indenter_pose import IndenterPose

NANOSECONDS = 1_000_000_000
MAX_WRENCH = 1000.0  # N and N m


def to_time(stamp_ns: int) -> Time:
    """Convert nanoseconds since the epoch into a message."""
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def to_nanoseconds(stamp: Time) -> int:
    """Convert a time message into nanoseconds since the epoch."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def to_pose(pose: core.Pose) -> Pose:
    """Convert a pose in millimetres into a message in metres."""
    x, y, z = (1e-3 * pose.position_mm).tolist()
    qx, qy, qz, qw = pose.quaternion_xyzw.tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def from_pose(message: Pose) -> core.Pose:
    """Convert a pose message in metres into a pose in millimetres.

    Args:
        message: pose, m; its quaternion need not be normalized.

    Returns:
        The same pose, mm.

    Raises:
        InputError: the quaternion is zero or a number is not finite.
    """
    position, orientation = message.position, message.orientation
    position_mm = 1e3 * np.array([position.x, position.y, position.z])
    if not np.all(np.isfinite(position_mm)):
        raise InputError(f"position ({position.x}, {position.y}, {position.z}) m is not finite")
    quaternion_xyzw = [orientation.x, orientation.y, orientation.z, orientation.w]
    return core.Pose.from_quaternion(position_mm, quaternion_xyzw)


def to_indenter(gel_to_indenter: core.Pose) -> IndenterPose:
    """Convert the pose of the indenter in the frame `gel` into position, depth and yaw.

    Args:
        gel_to_indenter: pose of the indenter in the frame `gel`, mm.

    Returns:
        Indenter pose; roll and pitch are ignored.
    """
    x_mm, y_mm, z_mm = gel_to_indenter.position_mm.tolist()
    return IndenterPose(x_mm, y_mm, -z_mm, gel_to_indenter.yaw_rad)


def to_vector(vector: NDArray[np.float64]) -> Vector3:
    """Convert a vector (3,) into a message without a change of units."""
    x, y, z = vector.tolist()
    return Vector3(x=x, y=y, z=z)


def to_wrench(force_n: NDArray[np.float64], torque_n_m: NDArray[np.float64]) -> Wrench:
    """Convert a force (3,), N, and a torque (3,), N m, into a message."""
    return Wrench(force=to_vector(force_n), torque=to_vector(torque_n_m))


def from_wrench(message: Wrench) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert a wrench message into arrays.

    Args:
        message: force, N, and torque, N m.

    Returns:
        Force (3,), N, and torque (3,), N m.

    Raises:
        InputError: a number is not finite, or larger than any arm can bear.
    """
    force, torque = message.force, message.torque
    values = np.array([[force.x, force.y, force.z], [torque.x, torque.y, torque.z]])
    if not np.all(np.abs(values) <= MAX_WRENCH):
        raise InputError(
            f"wrench is {values.ravel().tolist()}, expected up to {MAX_WRENCH:g} N and N m"
        )
    return values[0], values[1]
