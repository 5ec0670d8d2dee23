"""One acquisition run as a state machine.

The session owns no thread, clock or transport: its caller provides states, images and the time,
and sends the targets that it returns. The same code therefore runs on the robot, with the virtual
arm and, faster than real time, in tests.

Before the first trial the arm must hold its own pose as target. Order of a trial: move to the
start, reference images and tare, approach until contact, then the protocol's steps (each move,
settle, dwell), retract. While a stream is silent the target stands still, and the run continues
when the stream is back. A fault stops the target at once; after a pause the sensor retracts along
its approach, as soon as the arm can be trusted.

`run_script` and `trial_script` have the script of a run, `stop_and_retract` the reaction to
faults, `maneuvers` the motions of both, `targets` the correction and the check of every target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.contact_detector import ContactDetector
from tacdiff_ros.acquisition.faults import Cause, Fault
from tacdiff_ros.acquisition.indenter_frame import IndenterFrame
from tacdiff_ros.acquisition.maneuvers import Maneuvers, StepLabel
from tacdiff_ros.acquisition.outcome import Outcome
from tacdiff_ros.acquisition.plan_check import check_positions, check_speeds
from tacdiff_ros.acquisition.protocol import Phase, Protocol, Trial
from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.run_script import RunScript
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.acquisition.sampling import Activity, Sample, Sampler
from tacdiff_ros.acquisition.script_clock import ScriptClock
from tacdiff_ros.acquisition.session_settings import SessionSettings
from tacdiff_ros.acquisition.stop_and_retract import StopAndRetract
from tacdiff_ros.acquisition.targets import TargetGenerator
from tacdiff_ros.acquisition.trial_script import TrialScript
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig

__all__ = ["AcquisitionSession", "Outcome", "SessionSettings"]


class AcquisitionSession:
    """Runs the trials of one goal.

    Call `on_state`, `on_image` and `tick` with one monotonic clock, `tick` at 100 Hz. The run is
    over when `outcome` is set.

    Attributes:
        monitor: safety monitor of the run.
        sampler: sampler that pairs images with robot states.
        outcome: outcome of the run; None until it ends.
        rig: mount and indenter of the set-up.
    """

    def __init__(
        self,
        rig: Rig,
        protocol: Protocol,
        trials: list[Trial],
        limits: SafetyLimits,
        settings: SessionSettings,
        on_sample: Callable[[Sample], None],
        base_frame: str = "",
    ) -> None:
        """Prepare a run; nothing moves before both streams have started.

        Args:
            rig: mount and indenter of the set-up.
            protocol: acquisition protocol.
            trials: planned trials, at least one.
            limits: safety limits.
            settings: settings of the run.
            on_sample: callback for every finished sample, in the order of the images.
            base_frame: frame that the robot states must have; empty to accept any.

        Raises:
            InputError: a speed or a pose of the plan exceeds the safety limits.
        """
        check_speeds(protocol, settings, limits)
        self.monitor = SafetyMonitor(limits, rig.end_effector_to_gel, base_frame)
        self.sampler = Sampler(rig.end_effector_to_gel, self.monitor.without_bias, on_sample)
        self.outcome: Outcome | None = None
        self.rig = rig
        self._clock = ScriptClock()
        self._contact = ContactDetector(protocol.approach, settings.contact_states)
        self._targets = TargetGenerator(
            self.sampler, self.monitor, rig.end_effector_to_gel, settings
        )
        indenter = IndenterFrame(rig.base_to_indenter, protocol.start.standoff_mm)
        self._maneuvers = Maneuvers(self._targets, self._clock, indenter, protocol, settings)
        states = self.sampler.states
        self._stopping = StopAndRetract(self._maneuvers, self.monitor, states, settings)
        trial = TrialScript(protocol, self._maneuvers, self._contact, self.monitor, states)
        self._run = RunScript(trials, trial, self._maneuvers, self.monitor, states, settings)
        self._script = self._run.run()
        self._script_failed = False  # an exception ended the script: a new one is required
        check_positions(trials, indenter, self.monitor)

    @property
    def trial_count(self) -> int:
        """Number of trials of this run."""
        return len(self._run.trials)

    @property
    def trial(self) -> int:
        """Number of the current trial, from 0."""
        return self._run.trial

    @property
    def progress(self) -> float:
        """Fraction of the trials that is completed, 0 to 1."""
        return self._run.progress

    @property
    def label(self) -> StepLabel:
        """Phase, step and motion of the run."""
        return self._maneuvers.label

    @property
    def phase(self) -> Phase:
        """Phase of the run."""
        return self.label.phase

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether a fault, a cancelled goal or the end of the process requires the run's end."""
        return self.monitor.fault is not None or self._stopping.fault is not None

    def abandoned(self) -> Outcome:
        """End a run that cannot be driven any more, with the sensor left at its position.

        Returns:
            Outcome of the run; not retracted unless the sensor has never moved.
        """
        self._stopping.give_up()
        self.outcome = self._summarise()
        return replace(self.outcome, retracted=self._targets.sent is None)

    @property
    def fault(self) -> Fault | None:
        """First fault of the run; None without one."""
        return self._stopping.fault or self.monitor.fault

    def explain(self, fault: Fault) -> None:
        """Replace the first fault of the run by its true cause, found after the stop.

        Args:
            fault: fault that the outcome states.
        """
        self._stopping.explain(fault)
        if self.outcome is not None:
            self.outcome = replace(self.outcome, fault=fault)

    def stop(self, cause: Cause, detail: str) -> None:
        """Request an early end of the run; it also ends the wait for a recovery.

        Args:
            cause: cause, such as a cancelled goal or a failed recording.
            detail: one line for the user.
        """
        self.monitor.trip(cause, detail)
        if cause in (Cause.CANCELLED, Cause.TERMINATED):
            self._stopping.is_patient = False

    def on_state(self, state: RobotState, now_s: float) -> None:
        """Handle a robot state, received at the monotonic time `now_s`."""
        if not self.monitor.on_state(state, now_s):
            return
        self.sampler.add_state(state, now_s)
        force_n, _ = self.monitor.without_bias(state.force_n, state.torque_n_m)
        self._contact.on_force(force_n)

    def on_image(self, stamp_ns: int, image: NDArray[np.uint8], now_s: float) -> None:
        """Handle an image.

        Args:
            stamp_ns: stamp of the image, ns.
            image: (H, W, 3) uint8 image.
            now_s: monotonic time of its reception, s.
        """
        self._run.has_image = True
        self.monitor.on_image(stamp_ns, image.shape, now_s)
        self._contact.on_image(image, self.phase)
        desired = self._targets.desired
        if desired is not None and self.outcome is None:
            self.sampler.add_image(stamp_ns, self._activity(desired), now_s)

    def tick(self, now_s: float) -> Pose | None:
        """Advance the run to a monotonic time.

        Args:
            now_s: monotonic time, s.

        Returns:
            Target of the end effector in the robot base; None if no target may be sent.
        """
        self._clock.tick(now_s)
        if self.outcome is not None:
            return None
        self.sampler.flush(now_s)
        self.monitor.check_ages(now_s)
        new_script = self._stopping.react(self._script_failed)
        if new_script is not None:
            self._script = new_script
        if self._stopping.fault is None and self.monitor.wants_pause(now_s):
            return self._targets.held()
        self._clock.advance_script()
        self._advance_script()
        return self._targets.update(self._clock) if self._stopping.may_send else None

    def _advance_script(self) -> None:
        """Run the script until its next `yield`; its end is the end of the run."""
        self._script_failed = True  # stays set if the script raises
        has_ended = next(self._script, StopIteration) is StopIteration
        self._script_failed = False
        if has_ended:
            self.outcome = self._summarise()

    def _summarise(self) -> Outcome:
        """Return the outcome at the end of the last script."""
        return Outcome(
            fault=self._stopping.fault,
            retracted=self._stopping.is_clear,
            trials_completed=self._run.trials_completed,
            samples=self.sampler.samples,
            images_without_state=self.sampler.images_without_state,
            pose_gap_max_s=self.sampler.gap_max_s,
            force_max_n=self.monitor.force_max_n,
        )

    def _activity(self, desired: Pose) -> Activity:
        indenter = self._maneuvers.indenter.pose
        return Activity(self.trial, *self.label, self._targets.is_in_contact, desired, indenter)
