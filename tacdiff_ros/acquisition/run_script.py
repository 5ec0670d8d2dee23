"""Script of a run: wait for the streams, then all trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.maneuvers import Maneuvers
from tacdiff_ros.acquisition.protocol import Trial
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.synchronisation import StateBuffer
from tacdiff_ros.acquisition.trial_script import TrialScript


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
        wait_for_streams_s: float,
    ) -> None:
        """Start before the first trial.

        Args:
            trials: planned trials, at least one.
            trial_script: script of each trial.
            maneuvers: maneuvers of the run.
            monitor: safety monitor, for streams that do not start.
            states: buffer of the last robot states.
            wait_for_streams_s: maximum waiting time for the first state and image, s.
        """
        self.trials = trials
        self.trial = 0
        self.trials_completed = 0
        self.has_image = False
        self._trial_script = trial_script
        self._targets = maneuvers.targets
        self._clock = maneuvers.clock
        self._monitor = monitor
        self._states = states
        self._wait_for_streams_s = wait_for_streams_s

    @property
    def progress(self) -> float:
        """Fraction of the trials that is completed, 0 to 1."""
        return self.trials_completed / len(self.trials)

    def run(self) -> Iterator[None]:
        """Run all trials; each `yield` waits for the next tick."""
        yield from self._wait_for_streams()
        self._targets.start_at_measured()
        for number, trial in enumerate(self.trials):
            self.trial = number
            yield from self._trial_script.run(trial)
            self.trials_completed += 1

    def _wait_for_streams(self) -> Iterator[None]:
        """Wait for the first robot state and the first image."""
        begin_s, limit_s = self._clock.script_s, self._wait_for_streams_s
        while self._states.newest is None or not self.has_image:
            if self._clock.script_s - begin_s > limit_s:
                no_state = self._states.newest is None
                cause = Cause.STALE_STATE if no_state else Cause.STALE_IMAGES
                what = "robot state" if no_state else "image"
                self._monitor.trip(
                    cause, f"no {what} within {limit_s:g} s of the start: check topic and publisher"
                )
            yield
