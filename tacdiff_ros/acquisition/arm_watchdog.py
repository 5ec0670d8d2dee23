"""Brings the sensor off the indenter when the process that pressed it in is gone.

A Cartesian impedance controller holds its last target: a sensor whose `acquisition` was killed in
contact would stay pressed in. A process of its own watches for that, and retracts along the
sensor's axis under the same limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tacdiff_ros.acquisition.faults import Fault
from tacdiff_ros.acquisition.motion import MinimumJerkMotion, plan_motion
from tacdiff_ros.acquisition.pose import Pose
from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.safety import SafetyLimits, SafetyMonitor
from tacdiff_ros.acquisition.session import CONTACT_FORCE_CAUSES

CLEARANCE_MM = 3.0  # beyond the depth, as the default protocol's half stand-off
SPEED_MM_S = 10.0
TURN_RAD_S = 0.1  # the orientation stays; a number that a motion needs
MAX_ATTEMPTS = 3
ARRIVAL_S = 1.0  # an arm lags behind its targets


@dataclass(frozen=True)
class _Retraction:
    """One attempt."""

    motion: MinimumJerkMotion
    begin_s: float
    force_limit_n: float


class ArmWatchdog:
    """Call `on_activity`, `on_state` and `tick` with one monotonic clock, `tick` at 100 Hz.

    Attributes:
        report: one line on what was done last; empty while nothing had to be done.
    """

    def __init__(self, end_effector_to_gel: Pose, limits: SafetyLimits) -> None:
        """Watch with the pose of the frame `gel` in the end effector."""
        self.report = ""
        self._mount = end_effector_to_gel
        self._limits = limits
        self._monitor = SafetyMonitor(limits, end_effector_to_gel)
        self._state: RobotState | None = None
        self._depth_mm: float | None = None  # of the last activity in contact
        self._retraction: _Retraction | None = None
        self._attempts = 0
        self._waits = False  # for states, before an attempt

    @property
    def is_retracting(self) -> bool:
        """Whether targets are to be sent."""
        return self._retraction is not None

    def on_activity(self, in_contact: bool, depth_mm: float) -> None:
        """What a run said last: contact was found, and how deep the indenter is."""
        usable = in_contact and np.isfinite(depth_mm)
        self._depth_mm = min(max(depth_mm, 0.0), CLEARANCE_MM) if usable else None
        self._attempts = 0

    def on_state(self, state: RobotState, now_s: float) -> None:
        """Take in a robot state."""
        if self._monitor.on_state(state, now_s):
            self._state = state

    def tick(self, commanders: int, now_s: float) -> Pose | None:
        """The next target of the end effector, None while nothing may be sent.

        Args:
            commanders: how many others publish targets; the watchdog waits until nobody does.
            now_s: monotonic time.
        """
        if commanders or self._depth_mm is None:
            self._retraction, self._waits = None, False
            return None
        self._monitor.check_ages(now_s)
        if self._retraction is None:
            self._begin(self._depth_mm, now_s)
            return None
        fault = self._monitor.fault
        if fault is not None and not self._may_go_on(fault, self._retraction):
            self._stop(f"{fault.cause.value}: {fault.detail}")
            return None
        return self._next(self._retraction, now_s)

    def _begin(self, depth_mm: float, now_s: float) -> None:
        """Start from where the arm is, as soon as it can be trusted by states from now on."""
        if not self._waits:
            self._waits = True
            self._monitor.forget_streams()
        self._monitor.fault = None
        if self._state is None or not self._monitor.is_trustworthy(now_s):
            return
        gel = self._gel(self._state)
        goal = gel.shifted([0.0, 0.0, -(depth_mm + CLEARANCE_MM)])
        force_n = self._monitor.force_now_n
        self._monitor.forget_target()
        self._retraction = _Retraction(
            plan_motion(gel, goal, SPEED_MM_S, TURN_RAD_S),
            now_s,
            max(self._limits.force_n, force_n) + 0.2 * self._limits.force_n,
        )
        self._attempts += 1
        self.report = "whoever pressed the sensor in is gone: retracting"

    def _next(self, retraction: _Retraction, now_s: float) -> Pose | None:
        elapsed_s = now_s - retraction.begin_s
        if elapsed_s > retraction.motion.duration_s + ARRIVAL_S:
            self._retraction = self._depth_mm = None
            self.report = "the sensor was retracted after its run had vanished"
            return None
        target = retraction.motion.at(elapsed_s)
        if not self._monitor.on_target(target, now_s):
            return None
        return target @ self._mount.inverse()

    def _may_go_on(self, fault: Fault, retraction: _Retraction) -> bool:
        """A force that is high at the start falls on the way back."""
        falling = self._monitor.force_now_n <= retraction.force_limit_n
        if fault.cause in CONTACT_FORCE_CAUSES and falling:
            self._monitor.fault = None
            return True
        return False

    def _stop(self, why: str) -> None:
        """Give the attempt up, and after some of them all."""
        self._retraction, self._waits = None, False
        self.report = f"the retraction was stopped: {why}"
        if self._attempts >= MAX_ATTEMPTS:
            self._depth_mm = None
            self.report += "; the sensor is left where it is"

    def _gel(self, state: RobotState) -> Pose:
        effector = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
        return effector @ self._mount
