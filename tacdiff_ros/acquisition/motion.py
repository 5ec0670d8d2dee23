"""Smooth Cartesian motion, and the correction for an arm that gives way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.pose import Pose

PEAK_OVER_MEAN_SPEED = 1.875  # of the minimum-jerk profile 10 s^3 - 15 s^4 + 6 s^5, at its middle


@dataclass(frozen=True)
class MinimumJerkMotion:
    """Straight motion that starts and ends at rest (Flash and Hogan, 1985).

    Attributes:
        start: pose at time 0.
        goal: pose from `duration_s` on.
        duration_s: above 0.
    """

    start: Pose
    goal: Pose
    duration_s: float

    def at(self, time_s: float) -> Pose:
        """Pose at a time since the start."""
        s = min(max(time_s / self.duration_s, 0.0), 1.0)
        return self.start.interpolate(self.goal, s**3 * (10.0 + s * (6.0 * s - 15.0)))


def plan_motion(
    start: Pose, goal: Pose, speed_mm_s: float, rotation_speed_rad_s: float
) -> MinimumJerkMotion:
    """Motion whose peak speeds are the given ones, translating and turning together."""
    distance_mm, angle_rad = start.distance_to(goal)
    mean_time_s = max(distance_mm / speed_mm_s, angle_rad / rotation_speed_rad_s, 0.02)
    return MinimumJerkMotion(start, goal, PEAK_OVER_MEAN_SPEED * mean_time_s)


class ComplianceCorrection:
    """Shifts targets of an impedance-controlled arm until the measured position is the wanted one.

    A Cartesian impedance controller stands off its target by force over stiffness; an integrator on
    the position error takes that away. Limits: orientation is not corrected; the shift is bounded,
    so a position that needs more is not reached.
    """

    def __init__(self, gain_per_s: float, limit_mm: float) -> None:
        """Integrator with a gain in 1/s (0 switches it off) and a largest shift in mm."""
        self._gain_per_s = gain_per_s
        self._limit_mm = limit_mm
        self._shift_mm: NDArray[np.float64] = np.zeros(3)

    def reset(self) -> None:
        """Forget the shift, for motion in free space."""
        self._shift_mm = np.zeros(3)

    def apply(self, wanted: Pose, measured: Pose, interval_s: float) -> Pose:
        """Target for the arm that should bring it to the wanted pose."""
        error_mm = wanted.position_mm - measured.position_mm
        shift_mm = self._shift_mm + self._gain_per_s * interval_s * error_mm
        length_mm = float(np.linalg.norm(shift_mm))
        self._shift_mm = shift_mm * min(1.0, self._limit_mm / length_mm) if length_mm else shift_mm
        return Pose(wanted.position_mm + self._shift_mm, wanted.matrix)
