"""Smooth Cartesian motion, and the correction of an impedance-controlled arm's steady error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.pose import Pose

PEAK_OVER_MEAN_SPEED = 1.875  # minimum-jerk profile 10 s^3 - 15 s^4 + 6 s^5: peak at s = 0.5


@dataclass(frozen=True)
class MinimumJerkMotion:
    """Straight motion that starts and ends at rest (Flash and Hogan, 1985).

    Attributes:
        start: pose at time 0.
        goal: pose from `duration_s` on.
        duration_s: duration of the motion, s; above 0.
    """

    start: Pose
    goal: Pose
    duration_s: float

    def at(self, time_s: float) -> Pose:
        """Return the pose at a time since the start, s; it is clipped to the motion."""
        s = min(max(time_s / self.duration_s, 0.0), 1.0)
        return self.start.interpolate(self.goal, s**3 * (10.0 + s * (6.0 * s - 15.0)))


def plan_motion(
    start: Pose, goal: Pose, speed_mm_s: float, rotation_speed_rad_s: float
) -> MinimumJerkMotion:
    """Plan a motion that translates and rotates at the same time.

    Args:
        start: pose at rest at the start.
        goal: pose at rest at the end.
        speed_mm_s: peak speed of the translation, mm/s.
        rotation_speed_rad_s: peak speed of the rotation, rad/s.

    Returns:
        Motion whose slower part, translation or rotation, reaches its peak speed.
    """
    distance_mm, angle_rad = start.distance_to(goal)
    mean_time_s = max(distance_mm / speed_mm_s, angle_rad / rotation_speed_rad_s, 0.02)
    return MinimumJerkMotion(start, goal, PEAK_OVER_MEAN_SPEED * mean_time_s)


class ComplianceCorrection:
    """Shifts the targets of an impedance-controlled arm until it measures the desired position.

    Under a contact force, a Cartesian impedance controller has a steady position error of force
    over stiffness. An integrator on the position error removes it.
    Limits: the orientation is not corrected. The shift is bounded, so that a position that needs a
    larger shift is not reached.
    """

    def __init__(self, gain_per_s: float, limit_mm: float) -> None:
        """Start without a shift.

        Args:
            gain_per_s: gain of the integrator, 1/s; 0 switches the correction off.
            limit_mm: maximum length of the shift, mm.
        """
        self._gain_per_s = gain_per_s
        self._limit_mm = limit_mm
        self._shift_mm: NDArray[np.float64] = np.zeros(3)

    def reset(self) -> None:
        """Reset the shift to zero, for motion in free space."""
        self._shift_mm = np.zeros(3)

    def apply(self, desired: Pose, measured: Pose, interval_s: float) -> Pose:
        """Update the shift, and return the shifted target.

        Args:
            desired: pose that the arm should reach.
            measured: pose of the arm now, in the same frame.
            interval_s: time since the last call, s.

        Returns:
            Target for the controller: the desired pose, shifted.
        """
        error_mm = desired.position_mm - measured.position_mm
        shift_mm = self._shift_mm + self._gain_per_s * interval_s * error_mm
        length_mm = float(np.linalg.norm(shift_mm))
        self._shift_mm = shift_mm * min(1.0, self._limit_mm / length_mm) if length_mm else shift_mm
        return Pose(desired.position_mm + self._shift_mm, desired.matrix)
