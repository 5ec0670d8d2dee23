"""Poses, wrenches and times."""

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
    """Message time of nanoseconds since the epoch."""
    return Time(sec=stamp_ns // NANOSECONDS, nanosec=stamp_ns % NANOSECONDS)


def to_nanoseconds(stamp: Time) -> int:
    """Nanoseconds since the epoch of a message time."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def to_pose(pose: core.Pose) -> Pose:
    """Message in metres."""
    x, y, z = (1e-3 * pose.position_mm).tolist()
    qx, qy, qz, qw = pose.quaternion_xyzw.tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def from_pose(message: Pose) -> core.Pose:
    """Pose in millimetres.

    Raises:
        InputError: the quaternion has no length or a number is not finite.
    """
    place, turn = message.position, message.orientation
    position_mm = 1e3 * np.array([place.x, place.y, place.z])
    if not np.all(np.isfinite(position_mm)):
        raise InputError(f"position ({place.x}, {place.y}, {place.z}) m is not finite")
    return core.Pose.from_quaternion(position_mm, [turn.x, turn.y, turn.z, turn.w])


def to_indenter(seen: core.Pose) -> IndenterPose:
    """The indenter of a pose of it in the frame `gel`."""
    x_mm, y_mm, z_mm = seen.position_mm.tolist()
    return IndenterPose(x_mm, y_mm, -z_mm, seen.yaw_rad)


def to_vector(vector: NDArray[np.float64]) -> Vector3:
    """Message of a vector (3,), units unchanged."""
    x, y, z = vector.tolist()
    return Vector3(x=x, y=y, z=z)


def to_wrench(force_n: NDArray[np.float64], torque_n_m: NDArray[np.float64]) -> Wrench:
    """Message of a force (3,) and a torque (3,)."""
    return Wrench(force=to_vector(force_n), torque=to_vector(torque_n_m))


def from_wrench(message: Wrench) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Force (3,) in N and torque (3,) in N m.

    Raises:
        InputError: a number is not finite, or larger than any arm could bear.
    """
    force, torque = message.force, message.torque
    values = np.array([[force.x, force.y, force.z], [torque.x, torque.y, torque.z]])
    if not np.all(np.abs(values) <= MAX_WRENCH):
        raise InputError(f"wrench {values.ravel().tolist()}, expected up to {MAX_WRENCH:g} N, N m")
    return values[0], values[1]
