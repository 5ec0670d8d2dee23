"""Stop and retraction after a fault.

The first fault freezes the target. After a pause the sensor retracts along its approach, as soon
as the arm can be trusted. A fault during the retraction either is tolerated, or freezes the target
again and starts another attempt. `docs/acquisition.md` has the state diagram.
"""

from __future__ import annotations

from collections.abc import Iterator

from tacdiff_ros.acquisition.faults import (
    CAUSES_WITHOUT_CONTROL,
    CAUSES_WITHOUT_RETRACTION,
    CONTACT_FORCE_CAUSES,
    Cause,
    Fault,
)
from tacdiff_ros.acquisition.maneuvers import Maneuvers, StepLabel
from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.session_settings import SessionSettings
from tacdiff_ros.acquisition.synchronisation import StateBuffer

# Faults that say nothing about the motion of the arm: they do not interrupt a retraction.
CAUSES_THAT_MAY_RETRACT = frozenset(
    {Cause.STALE_IMAGES, Cause.IMAGE_CHANGED_FORMAT, Cause.CANCELLED, Cause.TERMINATED}
    | {Cause.RECORDING_FAILED, Cause.FORCE_BIAS, Cause.NO_CONTACT, Cause.UNEXPECTED_ERROR}
)
# The arm may be far from its target: the retraction starts at the measured pose.
CAUSES_OF_OWN_MOTION = frozenset(
    {Cause.TRACKING_ERROR, Cause.SPEED_LIMIT, Cause.ROTATION_SPEED_LIMIT}
)
CAUSES_AT_MEASURED_POSE = CAUSES_WITHOUT_CONTROL | CAUSES_OF_OWN_MOTION | CONTACT_FORCE_CAUSES
MAX_RETRACT_ATTEMPTS = 3  # further attempts, after faults during a retraction
FORCE_LIMIT_FACTOR = 1.2  # force limit of the retraction over that of the run
FORCE_MARGIN = 0.2  # its margin above the force at the start, over the force limit of the run


class StopAndRetract:
    """Reacts to the faults of the monitor with scripts that stop and retract the sensor.

    Attributes:
        fault: first fault of the run; None without one.
        is_patient: whether to wait for a recovery from a reflex.
    """

    def __init__(
        self,
        maneuvers: Maneuvers,
        monitor: SafetyMonitor,
        states: StateBuffer,
        settings: SessionSettings,
    ) -> None:
        """Start without a fault.

        Args:
            maneuvers: maneuvers of the run.
            monitor: safety monitor of the run.
            states: buffer of the last robot states; emptied at a stop.
            settings: settings of the run.
        """
        self.fault: Fault | None = None
        self.is_patient = True
        self._maneuvers = maneuvers
        self._targets = maneuvers.targets
        self._clock = maneuvers.clock
        self._monitor = monitor
        self._states = states
        self._settings = settings
        self._interruptions = 0
        self._retract_force_limit_n = monitor.limits.force_n

    @property
    def may_send(self) -> bool:
        """Whether the target may be sent: not after a stop without control over the arm."""
        has_control = self.fault is not None and self.fault.cause not in CAUSES_WITHOUT_CONTROL
        return not self._targets.is_frozen or has_control

    @property
    def is_clear(self) -> bool:
        """Whether the sensor never moved, or is clear of the indenter after the last script."""
        if self._targets.sent is None:
            return True
        return not self._targets.is_frozen and self._maneuvers.is_clear()

    def explain(self, fault: Fault) -> None:
        """Replace the first fault by its true cause, found after the stop."""
        self.fault = fault

    def give_up(self) -> None:
        """Freeze the target for good, with the monitor's fault as that of the run."""
        self.fault = self.fault or self._monitor.fault
        self._targets.is_frozen = True

    def react(self, script_failed: bool) -> Iterator[None] | None:
        """React to the monitor's fault, if there is one.

        Args:
            script_failed: whether the current script was ended by an exception.

        Returns:
            Script that replaces the current one; None to continue.
        """
        fault = self._monitor.fault
        if fault is None:
            return None
        if self.fault is None:
            fault = self._as_uncommanded(fault) if self._targets.is_holding else fault
            self.fault = fault
            self._targets.is_frozen = True
            return self._stop_and_retract(fault)
        if self._targets.is_frozen or self._tolerates(fault, script_failed):
            return None
        return self._interrupt_retraction(fault)

    def _interrupt_retraction(self, fault: Fault) -> Iterator[None]:
        """Freeze the target again; return the script of the next attempt, or an empty script."""
        self._targets.is_frozen = True
        self._interruptions += 1
        self._maneuvers.label = StepLabel(Phase.STOPPED, fault.cause.value, "stopped")
        if self._interruptions > MAX_RETRACT_ATTEMPTS:
            return iter(())
        return self._stop_and_retract(fault)

    def _stop_and_retract(self, fault: Fault) -> Iterator[None]:
        """Pause, wait for a trustworthy arm, retract; without such an arm the target stays frozen.

        Each `yield` waits for the next tick.
        """
        clock, settings = self._clock, self._settings
        self._monitor.forget_streams()
        self._states.clear()
        yield from self._maneuvers.wait(
            Phase.STOPPED, fault.cause.value, "stopped", settings.pause_before_retract_s
        )
        if fault.cause in CAUSES_WITHOUT_RETRACTION:
            return
        begin_s = clock.script_s
        while not self._monitor.is_trustworthy(clock.now_s):
            is_late = clock.script_s - begin_s > self._patience_s()
            if self._targets.sent is None or is_late:
                return
            yield
        if self._targets.sent is None:
            return
        self._resume(fault)
        yield from self._maneuvers.retract("retract_after_stop")
        yield from self._maneuvers.wait_until_clear()

    def _patience_s(self) -> float:
        """Return the maximum waiting time for a trustworthy arm, s."""
        is_reflex = self.fault is not None and self.fault.cause is Cause.REFLEX
        if is_reflex and self.is_patient:
            return max(self._settings.wait_for_control_s, self._settings.wait_for_recovery_s)
        return self._settings.wait_for_control_s

    def _resume(self, fault: Fault) -> None:
        """Clear the fault and release the target.

        If the arm may have moved by itself, the target restarts at the measured pose; also after a
        force limit: an indenter that pushes the arm away would otherwise cause a tracking error and
        a second pause, in which the force rises further.
        """
        self._monitor.fault = None
        limit_n, force_n = self._monitor.limits.force_n, self._monitor.force_now_n
        self._retract_force_limit_n = max(
            FORCE_LIMIT_FACTOR * limit_n, force_n + FORCE_MARGIN * limit_n
        )
        if fault.cause in CAUSES_AT_MEASURED_POSE:
            self._targets.reset_correction()
            self._targets.start_at_measured()
        self._monitor.forget_target()
        self._targets.is_frozen = False

    def _tolerates(self, fault: Fault, script_failed: bool) -> bool:
        """Return whether the retraction continues despite a fault, which is then cleared."""
        is_falling = self._monitor.force_now_n <= self._retract_force_limit_n
        is_harmless = fault.cause in CAUSES_THAT_MAY_RETRACT and not script_failed
        if is_harmless or (fault.cause in CONTACT_FORCE_CAUSES and is_falling):
            self._monitor.fault = None
            return True
        return False

    @staticmethod
    def _as_uncommanded(fault: Fault) -> Fault:
        """Return the fault of an arm that moves although its own pose is its target."""
        if fault.cause not in CAUSES_OF_OWN_MOTION | CAUSES_WITHOUT_RETRACTION:
            return fault
        return Fault(
            Cause.UNCOMMANDED_MOTION,
            f"{fault.detail}, before the first motion: compare the controller's "
            "end_effector_frame and base frame with those of the robot states, and stop other "
            "programs that steer the arm",
        )
