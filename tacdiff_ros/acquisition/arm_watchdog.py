"""Watchdog that retracts the sensor from the indenter after its acquisition process has died.

A Cartesian impedance controller holds its last target: if the `acquisition` process is killed in
contact, the sensor stays pressed onto the indenter. The watchdog runs in a process of its own,
detects this and retracts along the sensor's axis. It moves the arm only if the arm is still at the
pose of the run's last message, no other node publishes targets, and no person has taken over the
arm. In doubt it reports the reason and does not move the arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tacdiff_ros.acquisition.arm_control import MOTION_MODES
from tacdiff_ros.acquisition.faults import CONTACT_FORCE_CAUSES, Fault
from tacdiff_ros.acquisition.motion import MinimumJerkMotion, plan_motion
from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose

CLEARANCE_MM = 3.0  # retraction in addition to the depth
MAX_DEPTH_MM = 3.0
MAX_SPEED_MM_S = 10.0
SPEED_FRACTION = 0.8  # maximum speed of the retraction over the speed limit
ROTATION_RAD_S = 0.1  # required by `plan_motion`; the orientation does not change
MAX_ATTEMPTS = 3
ARRIVAL_S = 1.0  # time for the arm to reach its last target
QUIET_S = 1.0  # silence after which a run is dead; it publishes its state with every image
NO_SUBSCRIBER = "no controller subscribes to targets"
NO_TRUSTWORTHY_STATE = "no trustworthy robot states arrive"
PATIENCE_S = 5.0  # maximum waiting time for trustworthy states and a subscribed controller
MAX_DRIFT_MM, MAX_DRIFT_RAD = 5.0, math.radians(5.0)  # arm motion since the run's last message


@dataclass(frozen=True)
class Contact:
    """Last message of a run in contact.

    Attributes:
        depth_mm: indentation depth, mm.
        gel: pose of the frame `gel` in the robot base.
        received_s: monotonic time of reception, s.
    """

    depth_mm: float
    gel: Pose
    received_s: float


@dataclass(frozen=True)
class _Retraction:
    """One attempt to retract.

    Attributes:
        motion: planned motion of the frame `gel` in the robot base.
        begin_s: monotonic time of its start, s.
        force_limit_n: force above which the attempt is stopped, N.
    """

    motion: MinimumJerkMotion
    begin_s: float
    force_limit_n: float


class ArmWatchdog:
    """Decides when to retract, and computes the targets of the retraction.

    Call `on_contact`, `on_clear`, `on_state` and `tick` with one monotonic clock, `tick` at
    100 Hz. The watch ends with a retraction, or when a person or another node takes over the arm;
    it starts again when a run reports contact.

    Attributes:
        report: one line on the last action or the current wait; empty without one.
    """

    def __init__(
        self, end_effector_to_gel: Pose, limits: SafetyLimits, base_frame: str = ""
    ) -> None:
        """Start without a run to watch.

        Args:
            end_effector_to_gel: pose of the frame `gel` in the end effector.
            limits: safety limits.
            base_frame: frame that the robot states must have; empty to accept any.
        """
        self.report = ""
        self._mount = end_effector_to_gel
        self._limits = limits
        self._monitor = SafetyMonitor(limits, end_effector_to_gel, base_frame)
        self._state: RobotState | None = None
        self._contact: Contact | None = None
        self._retraction: _Retraction | None = None
        self._waiting_since_s: float | None = None
        self._attempts = 0

    @property
    def is_armed(self) -> bool:
        """Whether a run has reported contact, and no clearance since."""
        return self._contact is not None

    @property
    def is_retracting(self) -> bool:
        """Whether a retraction is in progress."""
        return self._retraction is not None

    def on_contact(self, contact: Contact) -> None:
        """Handle the message of a run in contact."""
        if not math.isfinite(contact.depth_mm):
            self._contact = None
            return
        if self._contact is None:
            self._attempts = 0
        self._contact = contact

    def on_clear(self) -> None:
        """Handle the end of a run, or its clearance from the indenter."""
        self._contact = self._retraction = self._waiting_since_s = None

    def on_state(self, state: RobotState, now_s: float) -> None:
        """Handle a robot state, received at the monotonic time `now_s`."""
        if self._monitor.on_state(state, now_s):
            self._state = state

    def tick(self, publishers: int, subscribers: int, now_s: float) -> Pose | None:
        """Advance to a monotonic time.

        Args:
            publishers: number of other nodes that publish targets.
            subscribers: number of subscribers of the target topic.
            now_s: monotonic time, s.

        Returns:
            Next target of the end effector in the robot base; None while none may be sent.
        """
        contact = self._contact
        if contact is None or now_s - contact.received_s < QUIET_S:
            self._retraction = self._waiting_since_s = None
            return None
        if publishers > 0:
            self._yield_control(now_s - contact.received_s)
            return None
        self._monitor.check_ages(now_s)
        if self._retraction is None:
            self._begin(contact, subscribers, now_s)
            return None
        fault = self._monitor.fault
        if fault is not None and not self._may_continue(fault, self._retraction):
            self._stop(f"{fault.cause.value}: {fault.detail}")
            return None
        return self._next(contact, self._retraction, now_s)

    def _yield_control(self, silent_s: float) -> None:
        """Leave the arm to the other publisher of targets, whatever node it is."""
        if self._retraction is not None:
            self._give_up("another node publishes targets now")
        elif silent_s > PATIENCE_S:
            self.report = (
                "a run is silent in contact, but its target publisher still exists: waiting until "
                "no node publishes targets"
            )

    def _begin(self, contact: Contact, subscribers: int, now_s: float) -> None:
        """Start a retraction from the current pose of the arm, if the run left it there."""
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
            self._monitor.forget_streams()
        self._monitor.fault = None
        state = self._state
        if state is not None and state.mode not in MOTION_MODES:
            self._give_up(f"the robot is in mode {_mode_name(state.mode)}: a person must take over")
            return
        if state is None or not subscribers or not self._monitor.is_trustworthy(now_s):
            if now_s - self._waiting_since_s > PATIENCE_S:
                self._give_up(NO_TRUSTWORTHY_STATE if subscribers else NO_SUBSCRIBER)
            return
        gel = self._gel(state)
        drift_mm, drift_rad = gel.distance_to(contact.gel)
        if drift_mm > MAX_DRIFT_MM or drift_rad > MAX_DRIFT_RAD:
            self._give_up(f"the arm is {drift_mm:.1f} mm from its pose at the run's last message")
            return
        self._retraction = self._plan(contact, gel, now_s)
        self._attempts += 1
        self.report = "the run stopped reporting in contact: retracting the sensor"

    def _plan(self, contact: Contact, gel: Pose, now_s: float) -> _Retraction:
        """Plan a retraction from the pose `gel` along the sensor's axis."""
        depth_mm = min(max(contact.depth_mm, 0.0), MAX_DEPTH_MM)
        goal = gel.shifted([0.0, 0.0, -(depth_mm + CLEARANCE_MM)])
        speed_mm_s = min(MAX_SPEED_MM_S, SPEED_FRACTION * self._limits.speed_mm_s)
        self._monitor.forget_target()
        return _Retraction(
            motion=plan_motion(gel, goal, speed_mm_s, ROTATION_RAD_S),
            begin_s=now_s,
            force_limit_n=max(self._limits.force_n, self._monitor.force_now_n)
            + 0.2 * self._limits.force_n,
        )

    def _next(self, contact: Contact, retraction: _Retraction, now_s: float) -> Pose | None:
        """Return the next target of the retraction; at its end, check that the arm is clear."""
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
            self._give_up(f"the arm moved by only {moved_mm:.1f} mm")
            return
        self.on_clear()
        self.report = "the sensor was retracted after its run had stopped reporting"

    def _may_continue(self, fault: Fault, retraction: _Retraction) -> bool:
        """Clear a force fault below the retraction's own limit: the force falls on the way back."""
        falling = self._monitor.force_now_n <= retraction.force_limit_n
        if fault.cause in CONTACT_FORCE_CAUSES and falling:
            self._monitor.fault = None
            return True
        return False

    def _stop(self, reason: str) -> None:
        """End this attempt, and after `MAX_ATTEMPTS` the watch."""
        self._retraction = self._waiting_since_s = None
        self.report = f"the retraction was stopped: {reason}"
        if self._attempts >= MAX_ATTEMPTS:
            self._give_up(reason)

    def _give_up(self, reason: str) -> None:
        self.on_clear()
        self.report = f"the sensor stays pressed onto the indenter: {reason}"

    def _gel(self, state: RobotState) -> Pose:
        effector = Pose.from_quaternion(state.position_mm, state.quaternion_xyzw)
        return effector @ self._mount


def _mode_name(mode: int) -> str:
    return RobotMode(mode).name if mode in list(RobotMode) else str(mode)
