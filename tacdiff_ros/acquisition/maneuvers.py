"""Maneuvers that the scripts of a run are built from: move, settle, wait, retract.

A maneuver is a generator; each `yield` waits for the next tick.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tacdiff_ros.acquisition.indenter_frame import IndenterFrame
from tacdiff_ros.acquisition.motion import MinimumJerkMotion, plan_motion
from tacdiff_ros.acquisition.protocol import Phase, Protocol
from tacdiff_ros.acquisition.script_clock import ScriptClock
from tacdiff_ros.acquisition.session_settings import SessionSettings
from tacdiff_ros.acquisition.targets import TargetGenerator
from tacdiff_ros.geometry.pose import Pose


class StepLabel(NamedTuple):
    """Description of the current maneuver, as it is recorded with every sample.

    Attributes:
        phase: phase of the protocol.
        step: name of the step.
        motion: "moving", "settling", "dwelling" or "stopped".
    """

    phase: Phase
    step: str
    motion: str


class Maneuvers:
    """Generators that set the desired pose of the arm over time.

    Attributes:
        targets: generator of the arm's targets.
        clock: clock of the run.
        label: description of the current maneuver.
        indenter: indenter pose; shifted at contact such that the depth there is 0.
    """

    def __init__(
        self,
        targets: TargetGenerator,
        clock: ScriptClock,
        indenter: IndenterFrame,
        protocol: Protocol,
        settings: SessionSettings,
    ) -> None:
        """Start with the label of a run that waits for its streams.

        Args:
            targets: generator of the arm's targets.
            clock: clock of the run.
            indenter: indenter pose of the rig.
            protocol: acquisition protocol.
            settings: settings of the run.
        """
        self.targets = targets
        self.clock = clock
        self.label = StepLabel(Phase.IDLE, "wait_for_streams", "stopped")
        self.indenter = indenter
        self._protocol = protocol
        self._settings = settings

    def plan(self, goal: Pose, speed_mm_s: float) -> MinimumJerkMotion:
        """Plan a motion of the frame `gel` from the desired pose to a goal.

        Args:
            goal: goal of the frame `gel` in the robot base.
            speed_mm_s: peak speed of the translation, mm/s.
        """
        start = self.targets.require_desired()
        return plan_motion(start, goal, speed_mm_s, np.radians(self._protocol.rotation_speed_deg_s))

    def move(self, phase: Phase, step: str, goal: Pose, speed_mm_s: float) -> Iterator[None]:
        """Move to a goal.

        Args:
            phase: phase of the protocol.
            step: name of the step.
            goal: goal of the frame `gel` in the robot base.
            speed_mm_s: peak speed of the translation, mm/s.
        """
        motion = self.plan(goal, speed_mm_s)
        self.label = StepLabel(phase, step, "moving")
        begin_s = self.clock.script_s
        while (elapsed_s := self.clock.script_s - begin_s) < motion.duration_s:
            self.targets.desired = motion.at(elapsed_s)
            yield
        self.targets.desired = goal

    def settle(self, phase: Phase, step: str) -> Iterator[None]:
        """Wait for the protocol's settling time, then until the arm is close to the desired pose.

        The second wait ends after `settle_limit_s`, even if the arm has not settled.
        """
        begin_s, settings = self.clock.script_s, self._settings
        yield from self.wait(phase, step, "settling", self._protocol.settle_s)
        while self.clock.script_s - begin_s < self._protocol.settle_s + settings.settle_limit_s:
            desired = self.targets.require_desired()
            distance_mm, _ = desired.distance_to(self.targets.measured())
            if distance_mm <= settings.settled_mm:
                return
            yield

    def wait(self, phase: Phase, step: str, motion: str, duration_s: float) -> Iterator[None]:
        """Keep the desired pose for a duration, s."""
        self.label = StepLabel(phase, step, motion)
        begin_s = self.clock.script_s
        while self.clock.script_s - begin_s < duration_s:
            yield

    def retract(self, step: str) -> Iterator[None]:
        """Move back along the sensor's own axis to the stand-off."""
        targets = self.targets
        targets.is_in_contact = False
        targets.absorb_correction()
        here = targets.require_desired()
        back_mm = max(0.0, self.indenter.standoff_mm - self.indenter.height_mm(here))
        goal = here.shifted([0.0, 0.0, -back_mm])
        yield from self.move(Phase.RETRACT, step, goal, self._settings.retract_speed_mm_s)

    def wait_until_clear(self) -> Iterator[None]:
        """Wait until the sensor is clear of the indenter: an arm lags behind its targets."""
        begin_s = self.clock.script_s
        while not self.is_clear() and self.clock.script_s - begin_s < self._settings.settle_limit_s:
            yield

    def is_clear(self) -> bool:
        """Return whether the measured gel, not just its target, is clear by half the stand-off."""
        height_mm = self.indenter.height_mm(self.targets.measured())
        return height_mm >= 0.5 * self.indenter.standoff_mm
