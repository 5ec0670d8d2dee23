"""Targets of the arm: from the desired pose of a script to the pose that is sent."""

from __future__ import annotations

from tacdiff_ros.acquisition.motion import ComplianceCorrection
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.sampling import Sampler
from tacdiff_ros.acquisition.script_clock import ScriptClock
from tacdiff_ros.acquisition.session_settings import SessionSettings
from tacdiff_ros.geometry.pose import Pose

CORRECTION_FORCE_FRACTION = 0.7  # of the force limit; above it the correction does not increase


class TargetGenerator:
    """Corrects and checks the desired pose, and holds the last target while it is frozen.

    In contact, the compliance correction shifts the desired pose. A target that the monitor
    refuses is not sent; the one before it is repeated.

    Attributes:
        desired: desired pose of the frame `gel` in the robot base, before the correction; None
            before the first robot state.
        sent: last target of the frame `gel` in the robot base, after the correction; None before
            the first robot state.
        is_in_contact: whether the correction is active.
        is_frozen: whether the last target is repeated, whatever pose is desired.
        is_holding: whether the first target of the run, the arm's own pose, is being tested.
    """

    def __init__(
        self,
        sampler: Sampler,
        monitor: SafetyMonitor,
        end_effector_to_gel: Pose,
        settings: SessionSettings,
    ) -> None:
        """Start without a target.

        Args:
            sampler: source of the measured pose.
            monitor: safety monitor that checks every target.
            end_effector_to_gel: pose of the frame `gel` in the end effector.
            settings: settings of the run, for the compliance correction.
        """
        self.desired: Pose | None = None
        self.sent: Pose | None = None
        self.is_in_contact = False
        self.is_frozen = False
        self.is_holding = False
        self._sampler = sampler
        self._monitor = monitor
        self._gel_to_end_effector = end_effector_to_gel.inverse()
        self._correction = ComplianceCorrection(
            settings.compliance_gain_per_s, settings.compliance_limit_mm
        )

    def measured(self) -> Pose:
        """Return the measured pose of the frame `gel` in the robot base."""
        return self._sampler.newest_gel()

    def start_at_measured(self) -> None:
        """Set the desired pose and the last target to the measured pose."""
        self.desired = self.sent = self.measured()

    def require_desired(self) -> Pose:
        """Return the desired pose.

        Raises:
            RuntimeError: no robot state has been received yet.
        """
        if self.desired is None:
            raise RuntimeError("a motion was planned before the first robot state")
        return self.desired

    def reset_correction(self) -> None:
        """Reset the shift of the compliance correction to zero."""
        self._correction.reset()

    def absorb_correction(self) -> None:
        """Continue from the last target, so that the end of the correction causes no jump."""
        self.desired = self.sent
        self._correction.reset()

    def held(self) -> Pose | None:
        """Return the last target of the end effector in the robot base; None without one."""
        return self.sent @ self._gel_to_end_effector if self.sent is not None else None

    def update(self, clock: ScriptClock) -> Pose | None:
        """Correct and check the desired pose, unless the target is frozen.

        Args:
            clock: clock of the run at the current tick.

        Returns:
            Target of the end effector in the robot base; None before the first robot state.
        """
        if self.desired is None or self.sent is None or self.is_frozen:
            return self.held()
        target = self.desired
        if self.is_in_contact:
            interval_s = self._correction_interval_s(clock)
            target = self._correction.apply(target, self.measured(), interval_s)
        self._monitor.check_tracking(self.desired, self.measured())
        if self._monitor.on_target(target, clock.now_s):
            self.sent = target
        return self.held()

    def _correction_interval_s(self, clock: ScriptClock) -> float:
        """Return the time to correct for; 0 at high force, so that the force does not increase."""
        force_n, limit_n = self._monitor.force_now_n, self._monitor.limits.force_n
        return 0.0 if force_n > CORRECTION_FORCE_FRACTION * limit_n else clock.interval_s
