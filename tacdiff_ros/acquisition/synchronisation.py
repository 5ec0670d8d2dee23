"""Interpolation of robot states at the stamp of an image."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.geometry.pose import Pose


@dataclass(frozen=True)
class StateAtStamp:
    """Robot state interpolated at a stamp.

    Attributes:
        end_effector: pose of the end effector in the robot base.
        force_n: (3,) external force in the robot base, bias included, N.
        torque_n_m: (3,) external torque in the robot base, bias included, N m.
        gap_s: distance in time to the farther of the two interpolated states, s.
    """

    end_effector: Pose
    force_n: NDArray[np.float64]
    torque_n_m: NDArray[np.float64]
    gap_s: float


class StateBuffer:
    """The last robot states, ordered by stamp."""

    def __init__(self, capacity: int = 4000) -> None:
        """Start empty; the last `capacity` states are kept (4000: four seconds at 1 kHz)."""
        self._states: deque[RobotState] = deque(maxlen=capacity)

    def add(self, state: RobotState) -> None:
        """Append a state; a state that is not newer than the last one is ignored."""
        if not self._states or state.stamp_ns > self._states[-1].stamp_ns:
            self._states.append(state)

    def clear(self) -> None:
        """Remove all states, after a jump of the clock."""
        self._states.clear()

    @property
    def newest(self) -> RobotState | None:
        """The newest state; None while the buffer is empty."""
        return self._states[-1] if self._states else None

    def since(self, stamp_ns: int) -> list[RobotState]:
        """Return the states with this stamp (ns) or a later one, oldest first."""
        newer: list[RobotState] = []
        for state in reversed(self._states):
            if state.stamp_ns < stamp_ns:
                break
            newer.append(state)
        return newer[::-1]

    def covers(self, stamp_ns: int) -> bool:
        """Whether the buffer holds states before and after a stamp (ns)."""
        return bool(self._states) and (
            self._states[0].stamp_ns <= stamp_ns <= self._states[-1].stamp_ns
        )

    def at(self, stamp_ns: int) -> StateAtStamp:
        """Interpolate the state linearly at a stamp, the orientation at a constant turning rate.

        Args:
            stamp_ns: stamp, ns.

        Returns:
            The interpolated state.

        Raises:
            LookupError: the stamp lies outside the buffer; the message says by how much.
        """
        if not self.covers(stamp_ns):
            raise LookupError(self._uncovered_message(stamp_ns))
        after_index = bisect_left(self._states, stamp_ns, key=lambda state: state.stamp_ns)
        after = self._states[after_index]
        before = self._states[max(after_index - 1, 0)] if after.stamp_ns > stamp_ns else after
        return _interpolate(before, after, stamp_ns)

    def _uncovered_message(self, stamp_ns: int) -> str:
        if not self._states:
            return "no robot state received yet"
        margin_ns = min(stamp_ns - self._states[0].stamp_ns, self._states[-1].stamp_ns - stamp_ns)
        return f"the image's stamp is {-margin_ns * 1e-6:.1f} ms outside the known robot states"


def _interpolate(before: RobotState, after: RobotState, stamp_ns: int) -> StateAtStamp:
    span_ns = after.stamp_ns - before.stamp_ns
    fraction = (stamp_ns - before.stamp_ns) / span_ns if span_ns else 0.0
    first = Pose.from_quaternion(before.position_mm, before.quaternion_xyzw)
    last = Pose.from_quaternion(after.position_mm, after.quaternion_xyzw)
    return StateAtStamp(
        end_effector=first.interpolate(last, fraction),
        force_n=before.force_n + fraction * (after.force_n - before.force_n),
        torque_n_m=before.torque_n_m + fraction * (after.torque_n_m - before.torque_n_m),
        gap_s=max(stamp_ns - before.stamp_ns, after.stamp_ns - stamp_ns) * 1e-9,
    )
