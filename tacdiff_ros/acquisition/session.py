"""One acquisition run as a state machine.

It owns no thread, clock or transport: whoever drives it hands in states, images and the time, and
sends the targets that come out. So the same code runs on the robot, against the virtual arm and,
faster than real time, in tests.

Order of a trial: move to the start, reference images and tare, approach until contact, then the
protocol's steps (each move, settle, dwell), retract. While a stream is silent the target stands
still, and the run goes on when it comes back. A fault stops the target at once; after a moment the
sensor retracts along its approach, as soon as the arm can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.acquisition.contact import ImageContact
from tacdiff_ros.acquisition.faults import CAUSES_WITHOUT_CONTROL, Cause, Fault
from tacdiff_ros.acquisition.motion import ComplianceCorrection, MinimumJerkMotion, plan_motion
from tacdiff_ros.acquisition.protocol import Phase, Protocol, Trial
from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.acquisition.safety import SafetyLimits, SafetyMonitor
from tacdiff_ros.acquisition.sampling import Activity, Sample, Sampler
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig

CAUSES_THAT_MAY_RETRACT = frozenset(
    {Cause.STALE_IMAGES, Cause.IMAGE_CHANGED_FORMAT, Cause.CANCELLED, Cause.TERMINATED}
    | {Cause.RECORDING_FAILED, Cause.FORCE_BIAS, Cause.NO_CONTACT, Cause.UNEXPECTED_ERROR}
)
CAUSES_OF_OWN_MOTION = frozenset(
    {Cause.TRACKING_ERROR, Cause.SPEED_LIMIT, Cause.ROTATION_SPEED_LIMIT}
)
CONTACT_FORCE_CAUSES = frozenset({Cause.FORCE_LIMIT, Cause.TORQUE_LIMIT})
MAX_RETRACT_ATTEMPTS = 3
CORRECTION_FORCE_FRACTION = 0.7  # of the force limit; above, targets are not shifted further
MAX_TICK_S = 0.05  # a later tick counts as this much for the correction


class SessionSettings(BaseModel):
    """How a run moves and stops, besides the protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    retract_speed_mm_s: Annotated[
        float, Field(gt=0, le=50, description="peak speed of the way back")
    ] = 10.0
    pause_before_retract_s: Annotated[
        float, Field(ge=0, le=5, description="standstill between stop and way back")
    ] = 0.2
    wait_for_control_s: Annotated[
        float, Field(ge=0, le=60, description="wait so long for an arm that can be trusted again")
    ] = 2.0
    wait_for_streams_s: Annotated[
        float, Field(gt=0, le=60, description="wait so long for the first state and image")
    ] = 5.0
    compliance_gain_per_s: Annotated[
        float,
        Field(
            ge=0,
            le=20,
            description="how fast targets are shifted to reach the measured position in contact",
        ),
    ] = 6.0
    compliance_limit_mm: Annotated[float, Field(ge=0, le=20, description="largest such shift")] = (
        8.0
    )
    settled_mm: Annotated[
        float, Field(gt=0, le=5, description="a step has settled within this distance")
    ] = 0.05
    settle_limit_s: Annotated[
        float, Field(ge=0, le=10, description="wait no longer than this for settling")
    ] = 1.5
    contact_states: Annotated[
        int,
        Field(
            ge=1, le=100, description="so many states in a row above the contact force are contact"
        ),
    ] = 5


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        fault: why it was stopped; None when every trial was completed.
        retracted: the sensor stands clear of the indenter; False means that it was left in place.
        trials_completed: whole trials.
        samples: images handed out.
        images_without_state: images for which no robot state was known; they are not samples.
        pose_gap_max_s: farthest robot state that was used.
        force_max_n: largest force seen, bias removed.
    """

    fault: Fault | None
    retracted: bool
    trials_completed: int
    samples: int
    images_without_state: int
    pose_gap_max_s: float
    force_max_n: float


class AcquisitionSession:
    """Runs the trials of one goal; see the module's text.

    Call `on_state`, `on_image` and `tick` with one monotonic clock. `tick` is meant for 100 Hz;
    it gives the next target of the *end effector* in the robot base, or None while nothing may be
    sent. When `outcome` is set, the run is over.
    """

    def __init__(
        self,
        rig: Rig,
        protocol: Protocol,
        trials: list[Trial],
        limits: SafetyLimits,
        settings: SessionSettings,
        on_sample: Callable[[Sample], None],
    ) -> None:
        """Prepare a run; nothing moves before both streams have started.

        Raises:
            InputError: a speed or a pose of the plan is beyond the safety limits.
        """
        _check_speeds(protocol, settings, limits)
        self.monitor = SafetyMonitor(limits, rig.end_effector_to_gel)
        self.sampler = Sampler(rig.end_effector_to_gel, self.monitor.without_bias, on_sample)
        self.outcome: Outcome | None = None
        self.trial = 0
        self.rig = rig
        self._protocol = protocol
        self._trials = trials
        self._settings = settings
        self._mount_inverse = rig.end_effector_to_gel.inverse()
        self._image_contact = ImageContact()
        self._image_change = 0.0
        self._images = 0
        self._states_in_touch = 0
        self._correction = ComplianceCorrection(
            settings.compliance_gain_per_s, settings.compliance_limit_mm
        )
        self._indenter = rig.base_to_indenter
        self._wanted: Pose | None = None  # of the frame `gel`, before the correction
        self._sent: Pose | None = None  # of the frame `gel`, after it
        self._label = (Phase.IDLE, "wait_for_streams", "stopped")
        self._in_contact = False
        self._now_s = 0.0
        self._script_s = 0.0  # stands still while motion pauses
        self._interval_s = 0.0
        self._trials_completed = 0
        self._fault: Fault | None = None
        self._frozen = False
        self._stops = 0
        self._script_failed = False  # an exception ended it, and a new one is needed
        self._retract_force_limit_n = limits.force_n
        self._script: Iterator[None] = self._run()
        self._check_plan_inside()

    @property
    def trial_count(self) -> int:
        """Trials of this run."""
        return len(self._trials)

    @property
    def progress(self) -> float:
        """Share of the trials that is completed, 0 to 1."""
        return self._trials_completed / len(self._trials)

    @property
    def phase(self) -> Phase:
        """Where the run stands."""
        return self._label[0]

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether a fault, a cancelled goal or an ending process wants the run's end."""
        return self.monitor.fault is not None or self._fault is not None

    def abandoned(self) -> Outcome:
        """The outcome of a run that nobody can drive any more; the sensor is left where it is."""
        self._fault = self._fault or self.monitor.fault
        self._frozen = True
        self._finish()
        assert self.outcome is not None  # noqa: S101
        return replace(self.outcome, retracted=self._sent is None)

    def stop(self, cause: Cause, detail: str) -> None:
        """Ask for an early end: cancelled, terminated, or nothing left to record on."""
        self.monitor.trip(cause, detail)

    def on_state(self, state: RobotState, now_s: float) -> None:
        """Take in a robot state received at a monotonic time."""
        if not self.monitor.on_state(state, now_s):
            return
        self.sampler.add_state(state, now_s)
        force_n, _ = self.monitor.without_bias(state.force_n, state.torque_n_m)
        touching = float(np.linalg.norm(force_n)) >= self._protocol.approach.contact_force_n
        self._states_in_touch = self._states_in_touch + 1 if touching else 0

    def on_image(self, stamp_ns: int, image: NDArray[np.uint8], now_s: float) -> None:
        """Take in an image (H, W, 3) received at a monotonic time."""
        self._images += 1
        self.monitor.on_image(stamp_ns, image.shape, now_s)
        if self._protocol.approach.contact == "image":
            self._compare_with_reference(image)
        if self._wanted is not None and self.outcome is None:
            self.sampler.add_image(stamp_ns, self._activity(self._wanted), now_s)

    def tick(self, now_s: float) -> Pose | None:
        """Advance to a monotonic time; the next end-effector target, or None to send nothing."""
        elapsed_s = now_s - self._now_s if self._now_s else 0.0
        self._interval_s, self._now_s = min(elapsed_s, MAX_TICK_S), now_s
        if self.outcome is not None:
            return None
        self.sampler.flush(now_s)
        self.monitor.check_ages(now_s)
        self._react_to_fault()
        if self._fault is None and self.monitor.wants_pause(now_s):
            return self._sent @ self._mount_inverse if self._sent is not None else None
        self._script_s += elapsed_s
        self._script_failed = True  # until it has gone on
        ended = next(self._script, StopIteration) is StopIteration
        self._script_failed = False
        if ended:
            self._finish()
        return self._next_target()

    # The run as it happens. In the methods below, each `yield` waits for the next tick.

    def _run(self) -> Iterator[None]:
        yield from self._wait_for_streams()
        self._wanted = self._sent = self.sampler.newest_gel()
        for number, trial in enumerate(self._trials):
            self.trial = number
            yield from self._run_trial(trial)
            self._trials_completed += 1

    def _wait_for_streams(self) -> Iterator[None]:
        begin_s, limit_s = self._script_s, self._settings.wait_for_streams_s
        while self.sampler.states.newest is None or self._images == 0:
            if self._script_s - begin_s > limit_s:
                no_state = self.sampler.states.newest is None
                cause = Cause.STALE_STATE if no_state else Cause.STALE_IMAGES
                what = "robot state" if no_state else "image"
                self.monitor.trip(
                    cause, f"no {what} within {limit_s:g} s of the start: check topic and publisher"
                )
            yield

    def _run_trial(self, trial: Trial) -> Iterator[None]:
        self._indenter = self.rig.base_to_indenter
        yield from self._move_to_start(trial.start)
        yield from self._take_reference()
        yield from self._approach()
        for step in trial.steps:
            yield from self._move(
                step.phase, step.name, self._gel_for(step.target), self._protocol.speed_mm_s
            )
            yield from self._settle(step.phase, step.name)
            yield from self._wait(step.phase, step.name, "dwelling", self._protocol.dwell_s)
        yield from self._retract("retract")

    def _move_to_start(self, start: IndenterPose) -> Iterator[None]:
        """Rise along the approach, travel, descend, so that nothing is hit sideways."""
        goal = self._start_gel(start)
        here = self._require_wanted()
        height_mm = -float((goal.inverse() @ here).position_mm[2])  # of `here` above the goal
        risen = here.shifted([0.0, 0.0, min(0.0, height_mm)])
        over = goal.shifted([0.0, 0.0, -max(0.0, height_mm)])
        speed_mm_s = self._protocol.travel_speed_mm_s
        for waypoint in (risen, over, goal):
            yield from self._move(Phase.MOVE_TO_START, "move_to_start", waypoint, speed_mm_s)

    def _take_reference(self) -> Iterator[None]:
        self._image_contact.clear()
        yield from self._wait(Phase.REFERENCE, "reference", "settling", self._protocol.settle_s)
        newest = self.sampler.states.newest
        yield from self._wait(Phase.REFERENCE, "reference", "dwelling", self._protocol.dwell_s)
        if newest is not None:
            self.monitor.tare(self.sampler.states.since(newest.stamp_ns))

    def _approach(self) -> Iterator[None]:
        approach = self._protocol.approach
        here = self._require_wanted()
        goal = here.shifted([0.0, 0.0, approach.maximum_travel_mm])
        motion = self._plan(here, goal, approach.speed_mm_s)
        self._label = (Phase.APPROACH, "approach", "moving")
        self._states_in_touch, self._image_change = 0, 0.0
        begin_s = self._script_s
        while not self._touches():
            elapsed_s = self._script_s - begin_s
            self._wanted = motion.at(elapsed_s)
            if elapsed_s > motion.duration_s + 0.5:
                self.monitor.trip(
                    Cause.NO_CONTACT,
                    f"no contact within {approach.maximum_travel_mm:g} mm of travel: check the "
                    "pose of the indenter and the contact threshold",
                )
            yield
        self._set_depth_zero_here()

    def _set_depth_zero_here(self) -> None:
        """Contact defines depth 0: shift the indenter along the approach to the measured gel."""
        gel = self.sampler.newest_gel()
        height_mm = float((gel.inverse() @ self._indenter).position_mm[2])
        along_approach = gel.rotate([0.0, 0.0, -height_mm])
        self._indenter = Pose(self._indenter.position_mm + along_approach, self._indenter.matrix)
        self._in_contact = True

    def _retract(self, step: str) -> Iterator[None]:
        """Back along the sensor's own axis to the stand-off."""
        self._in_contact = False
        self._absorb_correction()
        here = self._require_wanted()
        depth_mm = -float((here.inverse() @ self._indenter).position_mm[2])
        back_mm = max(0.0, depth_mm + self._protocol.start.standoff_mm)
        goal = here.shifted([0.0, 0.0, -back_mm])
        yield from self._move(Phase.RETRACT, step, goal, self._settings.retract_speed_mm_s)

    def _move(self, phase: Phase, step: str, goal: Pose, speed_mm_s: float) -> Iterator[None]:
        motion = self._plan(self._require_wanted(), goal, speed_mm_s)
        self._label = (phase, step, "moving")
        begin_s = self._script_s
        while (elapsed_s := self._script_s - begin_s) < motion.duration_s:
            self._wanted = motion.at(elapsed_s)
            yield
        self._wanted = goal

    def _settle(self, phase: Phase, step: str) -> Iterator[None]:
        """At least the protocol's time, then until the arm is where it is wanted, within limits."""
        begin_s, settings = self._script_s, self._settings
        yield from self._wait(phase, step, "settling", self._protocol.settle_s)
        while self._script_s - begin_s < self._protocol.settle_s + settings.settle_limit_s:
            distance_mm, _ = self._require_wanted().distance_to(self.sampler.newest_gel())
            if distance_mm <= settings.settled_mm:
                return
            yield

    def _wait(self, phase: Phase, step: str, motion: str, duration_s: float) -> Iterator[None]:
        self._label = (phase, step, motion)
        begin_s = self._script_s
        while self._script_s - begin_s < duration_s:
            yield

    # Stopping.

    def _react_to_fault(self) -> None:
        """Begin to stop at the first fault; on the way back, end where a second one demands it."""
        fault = self.monitor.fault
        if fault is None:
            return
        if self._fault is None:
            self._fault = fault
            self._frozen = True
            self._script = self._stop_and_retract(fault)
        elif not self._frozen and not self._may_go_on_retracting(fault):
            self._frozen = True
            self._stops += 1
            self._label = (Phase.STOPPED, fault.cause.value, "stopped")
            again = self._stops <= MAX_RETRACT_ATTEMPTS
            self._script = self._stop_and_retract(fault) if again else iter(())

    def _stop_and_retract(self, fault: Fault) -> Iterator[None]:
        """Hold, then go back along the approach as soon as the arm can be trusted."""
        self.monitor.forget_streams()
        self.sampler.states.clear()
        yield from self._wait(
            Phase.STOPPED, fault.cause.value, "stopped", self._settings.pause_before_retract_s
        )
        begin_s = self._script_s
        while not self.monitor.is_trustworthy(self._now_s):
            if self._sent is None or self._script_s - begin_s > self._settings.wait_for_control_s:
                return
            yield
        if self._sent is None:
            return
        self._resume(fault)
        yield from self._retract("retract_after_stop")
        begin_s = self._script_s
        while not self._stands_clear() and self._script_s - begin_s < self._settings.settle_limit_s:
            yield  # an arm lags behind its targets

    def _resume(self, fault: Fault) -> None:
        """Start from where the arm is, not from the old target, if it may have moved by itself."""
        self.monitor.fault = None
        limit_n, force_n = self.monitor.limits.force_n, self.monitor.force_now_n
        self._retract_force_limit_n = max(1.2 * limit_n, force_n + 0.2 * limit_n)
        if fault.cause in CAUSES_WITHOUT_CONTROL | CAUSES_OF_OWN_MOTION:
            self._correction.reset()
            self._wanted = self._sent = self.sampler.newest_gel()
        self.monitor.forget_target()
        self._frozen = False

    def _may_go_on_retracting(self, fault: Fault) -> bool:
        """Whether a fault on the way back can be lived with; it is cleared then."""
        falling = self.monitor.force_now_n <= self._retract_force_limit_n
        harmless = fault.cause in CAUSES_THAT_MAY_RETRACT and not self._script_failed
        if harmless or (fault.cause in CONTACT_FORCE_CAUSES and falling):
            self.monitor.fault = None
            return True
        return False

    def _finish(self) -> None:
        self.outcome = Outcome(
            fault=self._fault,
            retracted=self._sent is None or (not self._frozen and self._stands_clear()),
            trials_completed=self._trials_completed,
            samples=self.sampler.samples,
            images_without_state=self.sampler.images_without_state,
            pose_gap_max_s=self.sampler.gap_max_s,
            force_max_n=self.monitor.force_max_n,
        )

    def _stands_clear(self) -> bool:
        """Whether the measured gel, not just its target, is off the indenter by half the gap."""
        height_mm = float((self.sampler.newest_gel().inverse() @ self._indenter).position_mm[2])
        return height_mm >= 0.5 * self._protocol.start.standoff_mm

    # Targets.

    def _next_target(self) -> Pose | None:
        """The target to send now; the last one again while stopped, None without control."""
        if self._wanted is None or self._sent is None:
            return None
        if self._frozen:
            without_control = self._fault is None or self._fault.cause in CAUSES_WITHOUT_CONTROL
            return None if without_control else self._sent @ self._mount_inverse
        target = self._wanted
        if self._in_contact:
            gel = self.sampler.newest_gel()
            target = self._correction.apply(target, gel, self._correction_interval_s())
        self.monitor.check_tracking(self._wanted, self.sampler.newest_gel())
        if self.monitor.on_target(target, self._now_s):
            self._sent = target
        return self._sent @ self._mount_inverse

    def _correction_interval_s(self) -> float:
        """Time to correct for; none while the force is high, so as not to push harder yet."""
        high = self.monitor.force_now_n > CORRECTION_FORCE_FRACTION * self.monitor.limits.force_n
        return 0.0 if high else self._interval_s

    def _absorb_correction(self) -> None:
        """Continue from the target that was sent, so that dropping the correction is no jump."""
        self._wanted = self._sent
        self._correction.reset()

    def _plan(self, start: Pose, goal: Pose, speed_mm_s: float) -> MinimumJerkMotion:
        return plan_motion(start, goal, speed_mm_s, np.radians(self._protocol.rotation_speed_deg_s))

    def _gel_for(self, indenter: IndenterPose) -> Pose:
        """Pose of the frame `gel` in the robot base that brings the indenter where it is wanted."""
        return self._indenter @ Pose(indenter.tip_mm, indenter.matrix).inverse()

    def _start_gel(self, start: IndenterPose) -> Pose:
        return self._gel_for(replace(start, depth_mm=-self._protocol.start.standoff_mm))

    def _check_plan_inside(self) -> None:
        """Refuse a plan whose poses lie outside the box, before anything moves."""
        for number, trial in enumerate(self._trials):
            targets = [self._start_gel(trial.start)]
            targets += [self._gel_for(step.target) for step in trial.steps]
            for target in targets:
                if not self.monitor.is_inside(target.position_mm):
                    raise InputError(f"trial {number}: {self.monitor.outside_detail(target)}")

    # What is seen.

    def _touches(self) -> bool:
        approach = self._protocol.approach
        if approach.contact == "image":
            return self._image_change >= approach.contact_image_change
        return self._states_in_touch >= self._settings.contact_states

    def _compare_with_reference(self, image: NDArray[np.uint8]) -> None:
        if self._label[0] is Phase.REFERENCE:
            self._image_contact.add_reference(image)
        elif self._label[0] is Phase.APPROACH:
            self._image_change = self._image_contact.change(image)

    def _activity(self, wanted: Pose) -> Activity:
        return Activity(self.trial, *self._label, self._in_contact, wanted, self._indenter)

    def _require_wanted(self) -> Pose:
        if self._wanted is None:
            raise RuntimeError("a motion was planned before the first robot state")
        return self._wanted


def _check_speeds(protocol: Protocol, settings: SessionSettings, limits: SafetyLimits) -> None:
    """Refuse a protocol that its own safety limits would stop."""
    for name, speed, limit in (
        ("travel_speed_mm_s", protocol.travel_speed_mm_s, limits.speed_mm_s),
        ("speed_mm_s", protocol.speed_mm_s, limits.speed_mm_s),
        ("approach.speed_mm_s", protocol.approach.speed_mm_s, limits.speed_mm_s),
        ("retract_speed_mm_s", settings.retract_speed_mm_s, limits.speed_mm_s),
        (
            "rotation_speed_deg_s",
            protocol.rotation_speed_deg_s,
            float(np.degrees(limits.rotation_speed_rad_s)),
        ),
    ):
        if speed > 0.9 * limit:
            raise InputError(f"'{name}' is {speed:g}; the safety limit {limit:g} allows 90 % of it")
