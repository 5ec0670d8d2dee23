"""Measured speeds of the end effector against their limits."""

from __future__ import annotations

from collections import deque

import numpy as np

from tacdiff_ros.acquisition.faults import Cause, Fault
from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.safety_limits import SafetyLimits

MIN_SPAN = 0.8  # of the averaging time, below which no speed is computed


class SpeedWindow:
    """The robot states of the averaging time: averaging over their stamps suppresses pose noise."""

    def __init__(self, limits: SafetyLimits) -> None:
        """Start without states.

        Args:
            limits: safety limits.
        """
        self._limits = limits
        self._states: deque[RobotState] = deque()

    def clear(self) -> None:
        """Remove all states."""
        self._states.clear()

    @property
    def newest(self) -> RobotState | None:
        """The newest state; None without one."""
        return self._states[-1] if self._states else None

    def add(self, state: RobotState) -> Fault | None:
        """Add a state and check the mean speeds over the window.

        Args:
            state: robot state.

        Returns:
            The fault of a speed above its limit; None without one.
        """
        states, limits = self._states, self._limits
        if states and state.stamp_ns < states[-1].stamp_ns:
            states.clear()  # states of another clock would never leave the window
        states.append(state)
        span_ns = limits.speed_window_s * 1e9
        while len(states) > 2 and state.stamp_ns - states[1].stamp_ns >= span_ns:
            states.popleft()
        first = states[0]
        elapsed_s = (state.stamp_ns - first.stamp_ns) * 1e-9
        if elapsed_s < MIN_SPAN * limits.speed_window_s:
            return None
        speed_mm_s = float(np.linalg.norm(state.position_mm - first.position_mm)) / elapsed_s
        if speed_mm_s > limits.speed_mm_s:
            return Fault(
                Cause.SPEED_LIMIT,
                f"the end effector moves at {speed_mm_s:.0f} mm/s, limit {limits.speed_mm_s:g}",
            )
        now, then = state.quaternion_xyzw, first.quaternion_xyzw
        cosine = min(1.0, abs(float(now @ then)) / float(np.sqrt((now @ now) * (then @ then))))
        rotation_rad_s = 2.0 * float(np.arccos(cosine)) / elapsed_s
        if rotation_rad_s > limits.rotation_speed_rad_s:
            return Fault(
                Cause.ROTATION_SPEED_LIMIT,
                f"the end effector rotates at {rotation_rad_s:.2f} rad/s, limit "
                f"{limits.rotation_speed_rad_s:g}",
            )
        return None
