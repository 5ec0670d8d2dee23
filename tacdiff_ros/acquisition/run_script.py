"""Script of a run: wait for the streams, hold the present pose, then all trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.maneuvers import Maneuvers, StepLabel
from tacdiff_ros.acquisition.protocol import Phase, Trial
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.session_settings import SessionSettings
from tacdiff_ros.acquisition.synchronisation import StateBuffer
from tacdiff_ros.acquisition.trial_script import TrialScript

FIRST_STEP_MM, FIRST_STEP_MM_S = 2.0, 4.0
HOLD_LIMIT_RAD = 0.03  # rotation at its own pose as target that ends the run


class RunScript:
    """Runs the trials one after another.

    Attributes:
        trials: planned trials.
        trial: number of the current trial, from 0.
        trials_completed: number of completed trials.
        has_image: whether an image has been received; set by the session.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        trial_script: TrialScript,
        maneuvers: Maneuvers,
        monitor: SafetyMonitor,
        states: StateBuffer,
        settings: SessionSettings,
    ) -> None:
        """Start before the first trial.

        Args:
            trials: planned trials, at least one.
            trial_script: script of each trial.
            maneuvers: maneuvers of the run.
            monitor: safety monitor, for streams that do not start.
            states: buffer of the last robot states.
            settings: settings of the run.
        """
        self.trials = trials
        self.trial = 0
        self.trials_completed = 0
        self.has_image = False
        self._trial_script = trial_script
        self._maneuvers = maneuvers
        self._targets = maneuvers.targets
        self._clock = maneuvers.clock
        self._monitor = monitor
        self._states = states
        self._settings = settings

    @property
    def progress(self) -> float:
        """Fraction of the steps of all trials that is completed, 0 to 1."""
        is_over = self.trials_completed > self.trial
        current = 0.0 if is_over else self._trial_script.progress
        return (self.trials_completed + current) / len(self.trials)

    def run(self) -> Iterator[None]:
        """Run all trials; each `yield` waits for the next tick."""
        yield from self._wait_for_streams()
        self._targets.start_at_measured()
        yield from self._hold()
        yield from self._first_step()
        for number, trial in enumerate(self.trials):
            self.trial = number
            yield from self._trial_script.run(trial)
            self.trials_completed += 1

    def _wait_for_streams(self) -> Iterator[None]:
        """Wait for the first robot state and the first image."""
        begin_s, limit_s = self._clock.script_s, self._settings.wait_for_streams_s
        while self._states.newest is None or not self.has_image:
            if self._clock.script_s - begin_s > limit_s:
                no_state = self._states.newest is None
                cause = Cause.STALE_STATE if no_state else Cause.STALE_IMAGES
                what = "robot state" if no_state else "image"
                self._monitor.trip(
                    cause, f"no {what} within {limit_s:g} s of the start: check topic and publisher"
                )
            yield

    def _hold(self) -> Iterator[None]:
        """Send the arm's own pose as first target and require that the arm stays there.

        It overwrites a target that a controller has kept from an earlier run. An arm that moves
        nevertheless steers another frame than the measured one, or somebody else steers it.
        """
        targets, limit_mm = self._targets, self._settings.hold_limit_mm
        self._maneuvers.label = StepLabel(Phase.MOVE_TO_START, "hold", "settling")
        begin_s = self._clock.script_s
        targets.is_holding = True
        while self._clock.script_s - begin_s < self._settings.hold_s:
            moved_mm, turned_rad = targets.require_desired().distance_to(targets.measured())
            if moved_mm > limit_mm or turned_rad > HOLD_LIMIT_RAD:
                self._monitor.trip(
                    Cause.UNCOMMANDED_MOTION,
                    f"the arm moved by {moved_mm:.1f} mm and {turned_rad:.3f} rad with its own "
                    f"pose as target, limits {limit_mm:g} mm and {HOLD_LIMIT_RAD:g} rad",
                )
            yield
        targets.is_holding = False

    def _first_step(self) -> Iterator[None]:
        """Require that an arm without the mode MOVE follows a small step away from the indenter.

        After a user stop an arm that does not move is IDLE without error flags.
        """
        if self._monitor.has_control:
            return
        targets, start = self._targets, self._targets.measured()
        goal = targets.require_desired().shifted([0.0, 0.0, -FIRST_STEP_MM])
        yield from self._maneuvers.move(Phase.MOVE_TO_START, "first_step", goal, FIRST_STEP_MM_S)
        yield from self._maneuvers.settle(Phase.MOVE_TO_START, "first_step")
        moved_mm = -float((start.inverse() @ targets.measured()).position_mm[2])
        if moved_mm < 0.5 * FIRST_STEP_MM:
            self._monitor.trip(
                Cause.TRACKING_ERROR,
                f"the arm is not in mode MOVE and followed a first step of {FIRST_STEP_MM:g} mm by "
                f"{moved_mm:.1f} mm only: is the Cartesian controller active?",
            )
            yield
