"""Brings the sensor off the indenter when the process that pressed it in is gone.

A Cartesian impedance controller holds its last target: a sensor whose `acquisition` was killed in
contact would stay pressed in. A process of its own watches for that, and retracts along the
sensor's axis. It moves only what a run left behind: the arm is where the run's last message said,
nobody else commands it, and no person has taken it over. In doubt it says so, and does nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tacdiff_ros.acquisition.faults import Fault
from tacdiff_ros.acquisition.motion import MinimumJerkMotion, plan_motion
from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.safety import MOTION_MODES, SafetyLimits, SafetyMonitor
from tacdiff_ros.acquisition.session import CONTACT_FORCE_CAUSES
from tacdiff_ros.geometry.pose import Pose

CLEARANCE_MM = 3.0  # beyond the depth
MAX_DEPTH_MM = 3.0
MAX_SPEED_MM_S = 10.0
SPEED_FRACTION = 0.8  # of the limit
TURN_RAD_S = 0.1  # the orientation stays; a number that a motion needs
MAX_ATTEMPTS = 3
ARRIVAL_S = 1.0  # an arm lags behind its targets
QUIET_S = 1.0  # a run tells its state with every image; so long without one, it is gone
NO_LISTENER = "no controller subscribes to targets"
PATIENCE_S = 5.0  # for states that can be trusted, and for a controller that listens
MAX_DRIFT_MM, MAX_DRIFT_RAD = 5.0, math.radians(5.0)  # of the arm since the run's last message


@dataclass(frozen=True)
class Contact:
    """What a run said last while it was pressed in.

    Attributes:
        depth_mm: depth of the indenter.
        gel: pose of the frame `gel` in the robot base.
        told_s: monotonic time at which it was said.
    """

    depth_mm: float
    gel: Pose
    told_s: float


@dataclass(frozen=True)
class _Retraction:
    """One attempt."""

    motion: MinimumJerkMotion
    begin_s: float
    force_limit_n: float


class ArmWatchdog:
    """Call `on_contact`, `on_clear`, `on_state` and `tick` with one monotonic clock.

    `tick` is meant for 100 Hz. Whatever ends the watch (a retraction, a person, another commander)
    ends it until a run presses in again.

    Attributes:
        report: one line on what was done last, or is waited for; empty while there is nothing.
    """

    def __init__(self, end_effector_to_gel: Pose, limits: SafetyLimits) -> None:
        """Watch with the pose of the frame `gel` in the end effector."""
        self.report = ""
        self._mount = end_effector_to_gel
        self._limits = limits
        self._monitor = SafetyMonitor(limits, end_effector_to_gel)
        self._state: RobotState | None = None
        self._contact: Contact | None = None
        self._retraction: _Retraction | None = None
        self._waits_since_s: float | None = None
        self._attempts = 0

    @property
    def is_armed(self) -> bool:
        """Whether a run has pressed in and not said that it is clear."""
        return self._contact is not None

    @property
    def is_retracting(self) -> bool:
        """Whether targets are to be sent."""
        return self._retraction is not None

    def on_contact(self, contact: Contact) -> None:
        """A run is pressed in."""
        if not math.isfinite(contact.depth_mm):
            self._contact = None
            return
        if self._contact is None:
            self._attempts = 0
        self._contact = contact

    def on_clear(self) -> None:
        """A run has ended, or is off the indenter."""
        self._contact = self._retraction = self._waits_since_s = None

    def on_state(self, state: RobotState, now_s: float) -> None:
        """Take in a robot state."""
        if self._monitor.on_state(state, now_s):
            self._state = state

    def tick(self, commanders: int, listeners: int, now_s: float) -> Pose | None:
        """The next target of the end effector, None while nothing may be sent.

        Args:
            commanders: how many others publish targets.
            listeners: how many subscribe to them.
            now_s: monotonic time.
        """
        contact = self._contact
        if contact is None or now_s - contact.told_s < QUIET_S:
            self._retraction = self._waits_since_s = None
            return None
        if commanders > 0:
            self._yield(now_s - contact.told_s)
            return None
        self._monitor.check_ages(now_s)
        if self._retraction is None:
            self._begin(contact, listeners, now_s)
            return None
        fault = self._monitor.fault
        if fault is not None and not self._may_go_on(fault, self._retraction):
            self._stop(f"{fault.cause.value}: {fault.detail}")
            return None
        return self._next(contact, self._retraction, now_s)

    def _yield(self, silent_s: float) -> None:
        """Somebody else publishes targets: whoever it is, the arm is theirs."""
        if self._retraction is not None:
            self._give_up("somebody else commands the arm now")
        elif silent_s > PATIENCE_S:
            self.report = (
                "a run is silent in contact and its targets' publisher is still there: waiting "
                "until nobody publishes targets"
            )

    def _begin(self, contact: Contact, listeners: int, now_s: float) -> None:
        """Start from where the arm is, if that is where the run left it."""
        if self._waits_since_s is None:
            self._waits_since_s = now_s
            self._monitor.forget_streams()
        self._monitor.fault = None
        state = self._state
        if state is not None and state.mode not in MOTION_MODES:
            self._give_up(f"the robot is in mode {_mode_name(state.mode)}: it is left to a person")
            return
        if state is None or not listeners or not self._monitor.is_trustworthy(now_s):
            if now_s - self._waits_since_s > PATIENCE_S:
                lacking = "no robot states that can be trusted come" if listeners else NO_LISTENER
                self._give_up(lacking)
            return
        gel = self._gel(state)
        drift_mm, drift_rad = gel.distance_to(contact.gel)
        if drift_mm > MAX_DRIFT_MM or drift_rad > MAX_DRIFT_RAD:
            self._give_up(f"the arm is {drift_mm:.1f} mm from where the run left it")
            return
        self._retraction = self._plan(contact, gel, now_s)
        self._attempts += 1
        self.report = "whoever pressed the sensor in is gone: retracting"

    def _plan(self, contact: Contact, gel: Pose, now_s: float) -> _Retraction:
        depth_mm = min(max(contact.depth_mm, 0.0), MAX_DEPTH_MM)
        goal = gel.shifted([0.0, 0.0, -(depth_mm + CLEARANCE_MM)])
        speed_mm_s = min(MAX_SPEED_MM_S, SPEED_FRACTION * self._limits.speed_mm_s)
        self._monitor.forget_target()
        return _Retraction(
            plan_motion(gel, goal, speed_mm_s, TURN_RAD_S),
            now_s,
            max(self._limits.force_n, self._monitor.force_now_n) + 0.2 * self._limits.force_n,
        )

    def _next(self, contact: Contact, retraction: _Retraction, now_s: float) -> Pose | None:
        """Go on, or end where the measured arm is clear."""
        elapsed_s = now_s - retraction.begin_s
        target = retraction.motion.at(elapsed_s)
        if self._state is not None:
            self._monitor.check_tracking(target, self._gel(self._state))
        if elapsed_s > retraction.motion.duration_s + ARRIVAL_S:
            self._end(contact, retraction)
            return None
        return target @ self._mount.inverse() if self._monitor.on_target(target, now_s) else None

    def _end(self, contact: Contact, retraction: _Retraction) -> None:
        start = retraction.motion.at(0.0)
        moved_mm = 0.0
        if self._state is not None:
            moved_mm = -float((start.inverse() @ self._gel(self._state)).position_mm[2])
        if moved_mm < max(contact.depth_mm, 0.0) + 0.5 * CLEARANCE_MM:
            self._give_up(f"the arm moved by {moved_mm:.1f} mm only")
            return
        self.on_clear()
        self.report = "the sensor was retracted after its run had vanished"

    def _may_go_on(self, fault: Fault, retraction: _Retraction) -> bool:
        """A force that is high at the start falls on the way back."""
        falling = self._monitor.force_now_n <= retraction.force_limit_n
        if fault.cause in CONTACT_FORCE_CAUSES and falling:
            self._monitor.fault = None
            return True
        return False

    def _stop(self, why: str) -> None:
        """Give the attempt up, and after some of them all."""
        self._retraction = self._waits_since_s = None
        self.report = f"the retraction was stopped: {why}"
        if self._attempts >= MAX_ATTEMPTS:
            self._give_up(why)

    def _give_up(self, why: str) -> None:
        self.on_clear()
        self.report = f"the sensor is left where it is, pressed in: {why}"

    def _gel(self, state: RobotState) -> Pose:
        effector = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
        return effector @ self._mount


def _mode_name(mode: int) -> str:
    return RobotMode(mode).name if mode in list(RobotMode) else str(mode)
