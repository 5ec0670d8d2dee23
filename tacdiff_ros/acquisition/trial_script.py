"""Script of one trial, from the motion to its start to the retraction."""

from __future__ import annotations

from collections.abc import Iterator

from tacdiff_ros.acquisition.contact_detector import ContactDetector
from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.indenter_frame import IndenterFrame
from tacdiff_ros.acquisition.maneuvers import Maneuvers, StepLabel
from tacdiff_ros.acquisition.protocol import Phase, Protocol, Trial
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.synchronisation import StateBuffer
from tacdiff_ros.geometry.indenter_pose import IndenterPose

APPROACH_OVERTIME_S = 0.5  # waiting time for contact at the end of the approach


class TrialScript:
    """Runs trials: move to start, reference, approach, the protocol's steps, retract.

    Each method is a generator; each `yield` waits for the next tick.
    """

    def __init__(
        self,
        protocol: Protocol,
        maneuvers: Maneuvers,
        contact: ContactDetector,
        monitor: SafetyMonitor,
        states: StateBuffer,
    ) -> None:
        """Prepare the script.

        Args:
            protocol: acquisition protocol.
            maneuvers: maneuvers with the indenter pose of the rig.
            contact: contact detector of the run.
            monitor: safety monitor, for the tare and for a missing contact.
            states: buffer of the last robot states, for the tare.
        """
        self._protocol = protocol
        self._maneuvers = maneuvers
        self._targets = maneuvers.targets
        self._clock = maneuvers.clock
        self._rig_indenter: IndenterFrame = maneuvers.indenter
        self._contact = contact
        self._monitor = monitor
        self._states = states
        self.progress = 0.0  # fraction of the current trial's steps that is completed

    def run(self, trial: Trial) -> Iterator[None]:
        """Run one trial."""
        maneuvers, protocol = self._maneuvers, self._protocol
        maneuvers.indenter = self._rig_indenter
        self.progress, step_fraction = 0.0, 1.0 / (len(trial.steps) + 2)  # approach and retraction
        yield from self._move_to_start(trial.start)
        yield from self._take_reference()
        yield from self._approach()
        for step in trial.steps:
            self.progress += step_fraction
            goal = maneuvers.indenter.gel_for(step.target)
            yield from maneuvers.move(step.phase, step.name, goal, protocol.speed_mm_s)
            yield from maneuvers.settle(step.phase, step.name)
            yield from maneuvers.wait(step.phase, step.name, "dwelling", protocol.dwell_s)
        self.progress += step_fraction
        yield from maneuvers.retract("retract")

    def _move_to_start(self, start: IndenterPose) -> Iterator[None]:
        """Rise along the approach, travel, descend: no lateral motion close to the indenter."""
        goal = self._maneuvers.indenter.start_gel(start)
        here = self._targets.require_desired()
        height_mm = -float((goal.inverse() @ here).position_mm[2])  # of `here` above the goal
        risen = here.shifted([0.0, 0.0, min(0.0, height_mm)])
        above_goal = goal.shifted([0.0, 0.0, -max(0.0, height_mm)])
        speed_mm_s = self._protocol.travel_speed_mm_s
        for waypoint in (risen, above_goal, goal):
            yield from self._maneuvers.move(
                Phase.MOVE_TO_START, "move_to_start", waypoint, speed_mm_s
            )

    def _take_reference(self) -> Iterator[None]:
        """Wait for the arm to settle, then dwell for reference images and for the tare."""
        self._contact.clear_reference()
        wait, protocol = self._maneuvers.wait, self._protocol
        yield from wait(Phase.REFERENCE, "reference", "settling", protocol.settle_s)
        newest = self._states.newest
        yield from wait(Phase.REFERENCE, "reference", "dwelling", protocol.dwell_s)
        if newest is not None:
            self._monitor.tare(self._states.since(newest.stamp_ns))

    def _approach(self) -> Iterator[None]:
        """Move along the sensor's axis until contact, which defines depth 0."""
        approach = self._protocol.approach
        here = self._targets.require_desired()
        goal = here.shifted([0.0, 0.0, approach.maximum_travel_mm])
        motion = self._maneuvers.plan(goal, approach.speed_mm_s)
        self._maneuvers.label = StepLabel(Phase.APPROACH, "approach", "moving")
        self._contact.restart()
        begin_s = self._clock.script_s
        while not self._contact.is_in_contact:
            elapsed_s = self._clock.script_s - begin_s
            self._targets.desired = motion.at(elapsed_s)
            if elapsed_s > motion.duration_s + APPROACH_OVERTIME_S:
                self._monitor.trip(
                    Cause.NO_CONTACT,
                    f"no contact within {approach.maximum_travel_mm:g} mm of travel: check the "
                    "pose of the indenter and the contact threshold",
                )
            yield
        self._set_depth_zero()

    def _set_depth_zero(self) -> None:
        """Shift the indenter such that the depth is 0 at the measured pose."""
        gel = self._targets.measured()
        self._maneuvers.indenter = self._maneuvers.indenter.shifted_to_contact(gel)
        self._targets.is_in_contact = True
