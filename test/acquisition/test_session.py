"""Whole runs against the virtual arm, in simulated time.

The arm's true pose and the true contact force come from the simulation's own state, not from what
the session believes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, groupby, pairwise
from typing import Any

import numpy as np
import pytest

from tacdiff_ros.acquisition.faults import CAUSES_WITHOUT_CONTROL, Cause
from tacdiff_ros.acquisition.protocol import (
    Phase,
    Protocol,
    load_protocol,
    plan_trials,
)
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.acquisition.sampling import Sample
from tacdiff_ros.acquisition.session import AcquisitionSession, Outcome, SessionSettings
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.geometry.rig import Rig
from tacdiff_ros.resources import config_path
from tacdiff_ros.virtual.contact import StiffContactParameters
from tacdiff_ros.virtual.driver import CONTROLLER
from tacdiff_ros.virtual.faults import ArmFault
from tacdiff_ros.virtual.frames import GeneratedFrames
from tacdiff_ros.virtual.panda import ImpedanceParameters
from tacdiff_ros.virtual.rig import RigReading, VirtualRig

MS = 1_000_000
RIG = Rig(
    Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0]),
    Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0]),
)
START = Pose.from_euler([450.0, 0.0, 146.0], [np.pi, 0.0, 0.0])  # the gel 6 mm above the tip
LIMITS: dict[str, Any] = {
    "box_min_mm": (400.0, -60.0, 90.0),
    "box_max_mm": (520.0, 60.0, 180.0),
    "force_n": 15.0,
    "torque_n_m": 2.0,
    "force_bias_n": 8.0,
    "tracking_mm": 8.0,
}
PRESS: dict[str, Any] = {  # one press and nothing else: three simulated seconds
    "trials": 1,
    "start": {"offset_x_mm": 1.0, "offset_y_mm": 1.0, "yaw_deg": 5.0, "standoff_mm": 4.0},
    "approach": {"speed_mm_s": 8.0, "maximum_travel_mm": 6.0},
    "depth_mm": 1.0,
    "translation_mm": 1.0,
    "directions": (),
    "rotation_deg": 0.0,
    "speed_mm_s": 4.0,
    "rotation_speed_deg_s": 20.0,
    "settle_s": 0.05,
    "dwell_s": 0.3,
}
GREY = np.full((240, 320, 3), 90, np.uint8)


def grey_images(_reading: RigReading) -> np.ndarray:
    return GREY


@dataclass
class Run:
    """One session and one virtual arm on a clock of their own."""

    protocol: Protocol
    limits: SafetyLimits
    contact: StiffContactParameters = field(default_factory=StiffContactParameters)
    images: Callable[[RigReading], np.ndarray | None] = grey_images
    image_period_ms: int = 40
    samples: list[Sample] = field(default_factory=list)
    truth: dict[int, RigReading] = field(default_factory=dict)
    """By stamp in ns."""
    targets: list[tuple[float, Pose | None]] = field(default_factory=list)
    """What the session sent, by time in s."""
    labels: list[tuple[float, Phase, str, str]] = field(default_factory=list)
    """Phase, step and motion at each tick, by time in s."""
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.arm = VirtualRig(RIG, START, ImpedanceParameters(), self.contact)
        self.session = AcquisitionSession(
            RIG,
            self.protocol,
            plan_trials(self.protocol),
            self.limits,
            SessionSettings(
                wait_for_control_s=0.5, wait_for_recovery_s=0.5, wait_for_streams_s=0.4
            ),
            self.samples.append,
        )

    def go(self, act: Callable[["Run"], None] = lambda _: None) -> Outcome:
        """Run to the end; `act` is called each millisecond, before the arm moves."""
        for millisecond in count(1):
            self.now_s = 1e-3 * millisecond
            act(self)
            self._advance(millisecond)
            if self.session.outcome is not None:
                return self.session.outcome
            assert self.now_s < 90.0, "the run does not end"
        raise AssertionError

    def _advance(self, millisecond: int) -> None:
        (reading,) = self.arm.advance(millisecond * MS)
        self.truth[millisecond * MS] = reading
        if reading.reported is not None:
            self.session.on_state(reading.reported, self.now_s)
        if millisecond % self.image_period_ms == 0 and (image := self.images(reading)) is not None:
            self.session.on_image(millisecond * MS, image, self.now_s)
        if millisecond % 10 == 0:
            target = self.session.tick(self.now_s)
            self.targets.append((self.now_s, target))
            self.labels.append((self.now_s, *self.session.label))
            if target is not None:
                self.arm.follow(target)

    @property
    def gap_mm(self) -> float:
        """True distance of the gel from the indenter at the end."""
        return float(self.truth[max(self.truth)].gel_to_indenter.position_mm[2])

    def forces_n(self) -> np.ndarray:
        """True contact force, one a millisecond."""
        return np.array([reading.contact_force_n for reading in self.truth.values()])

    def first(self, phase: Phase) -> float:
        """Time of the first tick in a phase."""
        return next(time for time, current, *_ in self.labels if current is phase)

    def has_begun(self, phase: Phase) -> bool:
        return self.session.phase is phase

    def sent_between(self, begin_s: float, end_s: float) -> list[Pose]:
        return [p for time, p in self.targets if begin_s < time < end_s and p is not None]


def press(limits: dict[str, Any] | None = None, **protocol: Any) -> Run:
    return Run(Protocol(**{**PRESS, **protocol}), SafetyLimits(**{**LIMITS, **(limits or {})}))


def stands_still(targets: list[Pose]) -> bool:
    return all(targets[0].distance_to(pose) <= (1e-9, 1e-9) for pose in targets)


def once_in(
    phase: Phase, delay_s: float, act: Callable[[Run], None]
) -> tuple[Callable[[Run], None], list[float]]:
    """Do something once, a while after a phase began; the list gets the time when."""
    begun: list[float] = []
    done: list[float] = []

    def step(run: Run) -> None:
        if not begun and run.has_begun(phase):
            begun.append(run.now_s)
        if begun and not done and run.now_s >= begun[0] + delay_s:
            act(run)
            done.append(run.now_s)

    return step, done


# --- slow cameras --------------------------------------------------------------------------


def test_a_camera_of_10_hz_does_not_slow_the_motion_down():
    """A pause of 80 ms, the limit's default, would stop the motion for a fifth of the time."""
    durations = []
    for period_ms in (40, 100):
        run = Run(Protocol(**PRESS), SafetyLimits(**LIMITS), image_period_ms=period_ms)
        assert run.go().fault is None
        indents = [time for time, phase, *_ in run.labels if phase is Phase.INDENT]
        durations.append(indents[-1] - indents[0])
    assert durations[1] == pytest.approx(durations[0], abs=0.11)  # each phase waits for an image


# --- a run that succeeds -------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo() -> Run:
    """The shipped demonstration, in all four directions."""
    shipped = load_protocol(config_path("protocols") / "demo.yaml")
    protocol = shipped.model_copy(
        update={"directions": ("x+", "x-", "y+", "y-"), "return_to_center": True}
    )
    run = Run(protocol, SafetyLimits(**LIMITS))
    run.go()
    return run


def test_the_demo_protocol_runs_to_its_end(demo):
    outcome = demo.session.outcome
    assert outcome.fault is None
    assert outcome.trials_completed == demo.protocol.trials == 2
    assert outcome.retracted
    assert outcome.images_without_state == 0
    assert demo.gap_mm > 0.75 * demo.protocol.start.standoff_mm


def test_every_trial_goes_through_its_phases_in_order(demo):
    for trial in range(2):
        phases = [s.activity.phase for s in demo.samples if s.activity.trial == trial]
        in_contact = [s.activity.in_contact for s in demo.samples if s.activity.trial == trial]
        assert [phase for phase, _ in groupby(phases)] == [
            Phase.MOVE_TO_START,
            Phase.REFERENCE,
            Phase.APPROACH,
            Phase.INDENT,
            Phase.TRANSLATE,
            Phase.ROTATE,
            Phase.RETRACT,
        ]
        assert [touching for touching, _ in groupby(in_contact)] == [False, True, False]
    steps = [step for step, _ in groupby(s.activity.step for s in demo.samples)]
    assert steps.count("translate_y-_back") == 2
    assert len(steps) == 1 + 2 * 17  # the hold, then the trials


def dwelling(run: Run) -> list[Sample]:
    return [s for s in run.samples if s.activity.in_contact and s.activity.motion == "dwelling"]


def test_during_a_dwell_the_true_pose_is_the_commanded_one(demo):
    """Within 0.1 mm and 0.35 degree; depth counts from where contact was noticed.

    Contact is noticed at 0.3 N, which this gel of 2.5 N/mm gives at 0.12 mm.
    """
    noticed_mm = demo.protocol.approach.contact_force_n / demo.contact.stiffness_n_mm
    samples = dwelling(demo)
    assert len({(s.activity.trial, s.activity.step) for s in samples}) == 2 * 13
    for sample in samples:
        true = demo.truth[sample.stamp_ns].gel_to_indenter
        across = true.position_mm[:2] - sample.commanded.position_mm[:2]
        assert np.abs(across).max() < 0.1
        assert abs(np.degrees(true.yaw_rad - sample.commanded.yaw_rad)) < 0.35
        true_depth_mm = -true.position_mm[2] - noticed_mm
        assert true_depth_mm == pytest.approx(demo.protocol.depth_mm, abs=0.1)


def test_the_reported_depth_is_within_a_tenth_of_a_millimetre_of_the_commanded(demo):
    for sample in dwelling(demo):
        assert sample.depth_mm == pytest.approx(demo.protocol.depth_mm, abs=0.1)


def test_translations_and_rotations_cover_the_whole_asked_distance(demo):
    """Taken from the true motion between the end of the press and the end of each step."""
    reach = demo.protocol.translation_mm
    wanted = {
        "translate_x+": (reach, 0.0, 0.0),
        "translate_x-": (-reach, 0.0, 0.0),
        "translate_y+": (0.0, reach, 0.0),
        "translate_y-": (0.0, -reach, 0.0),
        "rotate_+": (0.0, 0.0, demo.protocol.rotation_deg),
        "rotate_-": (0.0, 0.0, -demo.protocol.rotation_deg),
    }
    for trial in range(2):
        last = {
            s.activity.step: demo.truth[s.stamp_ns].gel_to_indenter
            for s in dwelling(demo)
            if s.activity.trial == trial
        }
        pressed = last["indent"]
        for step, (x_mm, y_mm, yaw_deg) in wanted.items():
            moved = last[step].position_mm - pressed.position_mm
            turned_deg = np.degrees(last[step].yaw_rad - pressed.yaw_rad)
            np.testing.assert_allclose(moved, [x_mm, y_mm, 0.0], atol=0.1)
            assert turned_deg == pytest.approx(yaw_deg, abs=0.3)


def test_samples_carry_the_true_pose_and_force_of_their_instant(demo):
    """The bias of 0.6 N is gone; what is left is the sensor's noise of 0.05 N an axis."""
    for sample in demo.samples:
        true = demo.truth[sample.stamp_ns]
        gel = true.arm.end_effector @ RIG.end_effector_to_gel
        assert gel.distance_to(sample.gel) == pytest.approx((0.0, 0.0), abs=1e-6)
        if sample.activity.in_contact:
            np.testing.assert_allclose(sample.force_n, true.arm.force_n, atol=0.4)


def test_a_healthy_run_stays_far_below_the_force_limit(demo):
    assert demo.session.outcome.force_max_n == pytest.approx(demo.forces_n().max(), abs=0.4)
    assert demo.forces_n().max() < 0.5 * demo.limits.force_n


def test_every_image_of_the_run_is_a_sample(demo):
    stamps = [sample.stamp_ns for sample in demo.samples]
    assert set(np.diff(stamps)) == {40 * MS}
    assert demo.session.outcome.samples == len(stamps)


def test_targets_are_smooth(demo):
    """No step between two targets is larger than the fastest asked speed allows."""
    poses = [pose for _, pose in demo.targets if pose is not None]
    steps_mm = [a.distance_to(b)[0] for a, b in pairwise(poses)]
    assert max(steps_mm) < 1.05 * 0.01 * demo.protocol.travel_speed_mm_s


def test_contact_can_be_found_from_the_images():
    frames = GeneratedFrames()

    def view(reading: RigReading) -> np.ndarray:
        x_mm, y_mm, z_mm = reading.gel_to_indenter.position_mm
        return frames.render(IndenterPose(x_mm, y_mm, -z_mm, reading.gel_to_indenter.yaw_rad))

    run = press(approach={"contact": "image", "speed_mm_s": 4.0, "maximum_travel_mm": 6.0})
    run.images = view
    outcome = run.go()
    assert outcome.fault is None
    noticed = run.truth[round(run.first(Phase.INDENT) * 1000) * MS].gel_to_indenter.position_mm[2]
    assert 0.0 < -noticed < 0.4


def test_forward_only_steps_start_where_the_last_ended():
    run = press(return_to_center=False, directions=("x+", "x-"), rotation_deg=3.0, speed_mm_s=8.0)
    assert run.go().fault is None
    last = {s.activity.step: run.truth[s.stamp_ns].gel_to_indenter for s in dwelling(run)}
    offsets = [last[name].position_mm[0] - last["indent"].position_mm[0] for name in last]
    np.testing.assert_allclose(offsets, [0.0, 1.0, 0.0, 0.0, 0.0], atol=0.1)
    turns = [np.degrees(last[name].yaw_rad - last["indent"].yaw_rad) for name in last]
    np.testing.assert_allclose(turns, [0.0, 0.0, 0.0, 3.0, 0.0], atol=0.3)


def test_motion_waits_while_images_are_missing_for_a_moment():
    """0.25 s without images is above the pause (0.08 s) and below the stop (0.4 s)."""
    run = press(dwell_s=0.1)
    step, when = once_in(Phase.INDENT, 0.1, lambda _: None)

    def view(_reading: RigReading) -> np.ndarray | None:
        return None if when and run.now_s < when[0] + 0.25 else GREY

    run.images = view
    assert run.go(step).fault is None
    assert stands_still(run.sent_between(when[0] + 0.15, when[0] + 0.24))
    assert run.session.outcome.trials_completed == 1


# --- faults --------------------------------------------------------------------------------

FAR = {"tracking_mm": 60.0}
NARROW = {"box_max_mm": (460.0, 60.0, 180.0)}
SHEAR = {
    "directions": ("x+", "x-"),
    "translation_mm": 4.0,
    "return_to_center": False,
    "travel_speed_mm_s": 10.0,
}

# Fault, how long it lasts (0: for good), cause, limits and protocol that let it be seen.
SHORT_FAULTS = [
    (ArmFault.REFLEX, 0.4, Cause.REFLEX, {}, {}),
    (ArmFault.USER_STOPPED, 0.4, Cause.ROBOT_MODE, {}, {}),
    (ArmFault.GUIDING, 0.4, Cause.ROBOT_MODE, {}, {}),
    (ArmFault.ROBOT_ERROR, 0.4, Cause.ROBOT_ERROR, {}, {}),
    (ArmFault.STALE_STATE, 0.4, Cause.STALE_STATE, {}, {}),
    (ArmFault.NOT_FINITE, 0.4, Cause.NOT_FINITE, {}, {}),
    (ArmFault.FORCE_SPIKE, 0.1, Cause.FORCE_LIMIT, {}, {}),
    (ArmFault.TORQUE_SPIKE, 0.1, Cause.TORQUE_LIMIT, {}, {}),
    (ArmFault.CLOCK_JUMP, 0.1, Cause.CLOCK_JUMP, {}, {}),
    (ArmFault.CLOCK_JUMP, 0.4, Cause.CLOCK_JUMP, {}, {}),
    (ArmFault.POSE_JUMP, 0.1, Cause.SPEED_LIMIT, {}, {}),
    (ArmFault.POSE_JUMP, 0.4, Cause.SPEED_LIMIT, NARROW, {}),
    (ArmFault.ROTATION_JUMP, 0.1, Cause.ROTATION_SPEED_LIMIT, {}, {}),
    (ArmFault.DRIFT, 0.3, Cause.TRACKING_ERROR, {"tracking_mm": 5.0}, {}),
    (ArmFault.DRIFT, 0.7, Cause.OUTSIDE_WORKSPACE, FAR | NARROW, {}),
    (ArmFault.FROZEN_ARM, 3.0, Cause.TRACKING_ERROR, {"tracking_mm": 2.5}, SHEAR),
]
LASTING_FAULTS = [
    (ArmFault.REFLEX, Cause.REFLEX, {}),
    (ArmFault.RELEASED_USER_STOP, Cause.ROBOT_MODE, {}),
    (ArmFault.SILENT_REFLEX, Cause.STALE_STATE, {}),
    (ArmFault.USER_STOPPED, Cause.ROBOT_MODE, {}),
    (ArmFault.GUIDING, Cause.ROBOT_MODE, {}),
    (ArmFault.ROBOT_ERROR, Cause.ROBOT_ERROR, {}),
    (ArmFault.STALE_STATE, Cause.STALE_STATE, {}),
    (ArmFault.NOT_FINITE, Cause.NOT_FINITE, {}),
    (ArmFault.DRIFT, Cause.OUTSIDE_WORKSPACE, FAR | NARROW),
]
SEEN_WITH_DELAY = {ArmFault.DRIFT, ArmFault.FROZEN_ARM, ArmFault.RISING_INDENTER}


def inject_while_pressing(run: Run, fault: ArmFault, duration_s: float) -> float:
    """Run with a fault that begins in the middle of the press; the time it began."""
    step, when = once_in(Phase.INDENT, 0.1, lambda r: r.arm.inject(fault, duration_s))
    run.go(step)
    return when[0]


def assert_stopped_in_time(run: Run, fault: ArmFault, begin_s: float) -> None:
    """From 100 ms after the fault (a slow one: after it was noticed) the target stands still."""
    stopped_s = run.first(Phase.STOPPED)
    if fault not in SEEN_WITH_DELAY:
        assert stopped_s - begin_s <= 0.11
    going_back = [t for t, phase, *_ in run.labels if phase is Phase.RETRACT and t > stopped_s]
    end_s = going_back[0] if going_back else run.now_s
    from_s = min(begin_s + 0.1, stopped_s) if fault not in SEEN_WITH_DELAY else stopped_s
    held = run.sent_between(from_s, end_s)
    assert not held or stands_still(held)


@pytest.mark.parametrize(("fault", "duration_s", "cause", "limits", "protocol"), SHORT_FAULTS)
def test_after_a_fault_that_passes_the_sensor_stops_and_then_stands_clear(
    fault, duration_s, cause, limits, protocol
):
    run = press(limits, **protocol)
    begin_s = inject_while_pressing(run, fault, duration_s)
    outcome = run.session.outcome
    assert outcome.fault is not None
    assert outcome.fault.cause is cause
    assert_stopped_in_time(run, fault, begin_s)
    assert outcome.retracted
    assert run.gap_mm >= 3.0
    assert run.forces_n().max() < 5.0
    assert outcome.trials_completed == 0


@pytest.mark.parametrize(("fault", "cause", "limits"), LASTING_FAULTS)
def test_while_the_arm_cannot_be_trusted_nothing_is_sent(fault, cause, limits):
    run = press(limits)
    begin_s = inject_while_pressing(run, fault, 0.0)
    outcome = run.session.outcome
    assert outcome.fault is not None
    assert outcome.fault.cause is cause
    assert cause in CAUSES_WITHOUT_CONTROL
    assert_stopped_in_time(run, fault, begin_s)
    assert run.sent_between(run.first(Phase.STOPPED), run.now_s + 1) == []
    assert not outcome.retracted
    assert run.gap_mm < 1.0  # true: it still touches


@pytest.mark.parametrize("fault", [ArmFault.FORCE_SPIKE, ArmFault.TORQUE_SPIKE])
def test_a_force_that_does_not_fall_does_not_keep_the_sensor_on_the_indenter(fault):
    run = press()
    inject_while_pressing(run, fault, 0.0)
    assert run.gap_mm >= 3.0


@pytest.mark.parametrize("fault", [ArmFault.POSE_JUMP, ArmFault.ROTATION_JUMP])
def test_a_pose_that_cannot_be_right_ends_in_a_stop(fault):
    """The reported pose stays wrong: whatever is tried, the force must stay small."""
    run = press()
    inject_while_pressing(run, fault, 0.0)
    assert run.session.outcome.fault is not None
    assert run.forces_n().max() < 5.0
    assert not run.session.outcome.retracted


def test_an_arm_that_does_not_move_has_not_retracted():
    """The targets go back to the stand-off, 4 mm; the arm stays where it is, within its limit."""
    run = press({"tracking_mm": 8.0})
    inject_while_pressing(run, ArmFault.FROZEN_ARM, 0.0)
    outcome = run.session.outcome
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.TRACKING_ERROR
    assert run.gap_mm < 1.0
    assert not outcome.retracted


def test_an_arm_that_was_moved_meanwhile_goes_on_from_where_it_is():
    """Somebody takes it 40 mm aside while it reports an error; it must not be torn back."""
    run = press({"speed_mm_s": 25.0})
    begin_s = []

    def take_aside(r: Run) -> None:
        r.arm.inject(ArmFault.ROBOT_ERROR, 0.55)
        begin_s.append(r.now_s)

    step, _ = once_in(Phase.INDENT, 0.1, take_aside)

    def act(r: Run) -> None:
        step(r)
        if begin_s and begin_s[0] + 0.05 < r.now_s < begin_s[0] + 0.55:
            aside = START.position_mm + np.array([0.0, 40.0, 0.0])
            r.arm.arm.follow(Pose(aside, START.matrix))

    outcome = run.go(act)
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.ROBOT_ERROR
    again = next(p for time, p in run.targets if time > begin_s[0] + 0.2 and p is not None)
    assert again.position_mm[1] > 30.0
    assert run.truth[max(run.truth)].arm.end_effector.position_mm[1] > 30.0
    assert outcome.retracted


@pytest.mark.parametrize("limit_n", [10.0, 15.0])
def test_an_indenter_that_pushes_into_the_sensor_is_met_with_a_bounded_force(limit_n):
    """3 mm/s against gel and arm; the arm is held, then taken back, above the limit."""
    run = press({"force_n": limit_n} | FAR, dwell_s=5.0)
    begin_s = inject_while_pressing(run, ArmFault.RISING_INDENTER, 3.0)
    outcome = run.session.outcome
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.FORCE_LIMIT
    assert run.forces_n().max() > limit_n  # it was a real push
    assert run.forces_n().max() < 1.2 * limit_n
    assert_stopped_in_time(run, ArmFault.RISING_INDENTER, begin_s)


def test_images_that_stop_coming_stop_the_run():
    run = press()
    step, when = once_in(Phase.INDENT, 0.1, lambda _: None)

    def view(_reading: RigReading) -> np.ndarray | None:
        return None if when else GREY

    run.images = view
    outcome = run.go(step)
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.STALE_IMAGES
    assert stands_still(run.sent_between(when[0] + 0.14, run.first(Phase.RETRACT)))
    assert outcome.retracted
    assert run.gap_mm >= 3.0


def test_images_that_change_their_size_stop_the_run():
    run = press()
    step, when = once_in(Phase.INDENT, 0.1, lambda _: None)
    run.images = lambda _reading: GREY[::2, ::2] if when else GREY
    outcome = run.go(step)
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.IMAGE_CHANGED_FORMAT
    assert run.gap_mm >= 3.0


@pytest.mark.parametrize("cause", [Cause.CANCELLED, Cause.TERMINATED, Cause.RECORDING_FAILED])
@pytest.mark.parametrize("phase", [Phase.APPROACH, Phase.INDENT])
def test_a_run_that_is_asked_to_end_stops_and_goes_back(cause, phase):
    run = press()
    step, when = once_in(phase, 0.1, lambda r: r.session.stop(cause, "asked to"))
    outcome = run.go(step)
    assert outcome.fault is not None
    assert outcome.fault.cause is cause
    assert stands_still(run.sent_between(when[0] + 0.02, run.first(Phase.RETRACT)))
    assert outcome.retracted
    assert run.gap_mm >= 3.0


def test_a_run_that_is_cancelled_while_it_waits_has_not_moved_anything():
    run = press()
    run.images = lambda _reading: None
    outcome = run.go(lambda r: r.session.stop(Cause.CANCELLED, "at once"))
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.CANCELLED
    assert run.sent_between(0.0, 99.0) == []


def test_an_indenter_that_is_not_there_is_reported():
    """The tip is 9 mm lower than the set-up says; the approach may travel 6."""
    run = press()
    run.arm = VirtualRig(
        Rig(RIG.end_effector_to_gel, RIG.base_to_indenter.shifted([0.0, 0.0, 9.0])),
        START,
        ImpedanceParameters(),
        StiffContactParameters(),
    )
    outcome = run.go()
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.NO_CONTACT
    assert outcome.retracted
    assert run.forces_n().max() == 0.0


def test_a_sensor_that_is_loaded_before_contact_is_reported():
    run = press({"force_bias_n": 0.5})  # the virtual arm's bias is 0.62 N
    outcome = run.go()
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.FORCE_BIAS
    assert run.forces_n().max() == 0.0


@pytest.mark.parametrize(
    ("states", "images", "cause"),
    [(False, True, Cause.STALE_STATE), (True, False, Cause.STALE_IMAGES)],
)
def test_nothing_moves_before_both_streams_are_there(states, images, cause):
    run = press()
    if not states:
        run.arm.inject(ArmFault.STALE_STATE, 0.0)
    if not images:
        run.images = lambda _reading: None
    outcome = run.go()
    assert outcome.fault is not None
    assert outcome.fault.cause is cause
    assert run.sent_between(0.0, 99.0) == []
    assert outcome.samples == 0


# --- plans that are refused ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "protocol", "named"),
    [
        ({"box_min_mm": (400.0, -60.0, 100.5)}, {}, "outside the box"),  # the press goes to 99
        ({"box_max_mm": (520.0, 60.0, 103.0)}, {}, "outside the box"),  # the stand-off is at 104
        (
            {"box_max_mm": (453.0, 60.0, 180.0)},
            {"directions": ("x-",), "translation_mm": 4.0},
            "trial 0: .*outside the box",
        ),
        ({"speed_mm_s": 20.0}, {}, "travel_speed_mm_s"),
        ({"speed_mm_s": 30.0}, {"speed_mm_s": 28.0, "travel_speed_mm_s": 5.0}, "'speed_mm_s'"),
        ({"speed_mm_s": 8.0}, {"travel_speed_mm_s": 5.0}, "approach.speed_mm_s"),
        ({"speed_mm_s": 10.0}, {"travel_speed_mm_s": 5.0}, "retract_speed_mm_s"),
        ({"rotation_speed_rad_s": 0.35}, {}, "rotation_speed_deg_s"),
    ],
)
def test_a_plan_beyond_the_safety_limits_is_refused_before_anything_moves(limits, protocol, named):
    with pytest.raises(InputError, match=named):
        press(limits, **protocol)


def test_a_plan_just_inside_the_limits_is_accepted():
    press({"box_min_mm": (400.0, -60.0, 98.9), "box_max_mm": (520.0, 60.0, 104.1)})
    press({"rotation_speed_rad_s": 0.39, "speed_mm_s": 22.3})


def test_the_first_targets_are_the_arms_own_pose():
    """They overwrite a target that a controller has stored."""
    run = press()
    before = run.arm.arm.end_effector
    run.go()
    first_s = next(time for time, pose in run.targets if pose is not None)
    held = run.sent_between(0.0, first_s + run.session._run._settings.hold_s)
    assert len(held) > 20
    assert all(before.distance_to(pose) < (0.1, 1e-3) for pose in held)


@pytest.mark.parametrize("steered_mm", [[0.0, 0.0, -103.4], [8.0, 0.0, 0.0]])
def test_a_controller_that_steers_another_frame_ends_the_run_before_the_first_motion(steered_mm):
    """The flange instead of the hand's TCP, and a tool that Desk does not know."""
    run = press()
    follow, sent = run.arm.follow, []

    def follow_another_frame(target: Pose) -> None:
        sent.append(run.now_s)
        follow(target.shifted([-part for part in steered_mm]))

    run.arm.follow = follow_another_frame
    outcome = run.go()
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.UNCOMMANDED_MOTION
    assert "end_effector_frame" in outcome.fault.detail
    assert not outcome.retracted
    assert sent[-1] - sent[0] < 0.3
    assert not run.samples or not any(sample.depth_mm for sample in run.samples)


def test_an_arm_that_drifts_by_itself_ends_the_run_before_the_first_motion():
    run = press()
    run.arm.inject(ArmFault.DRIFT, 0.0)
    outcome = run.go()
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.UNCOMMANDED_MOTION


def test_an_idle_arm_must_follow_a_small_first_step_before_the_run():
    """What a user stop leaves: mode IDLE, no error flag, a controller that is not active."""
    run = press()
    run.arm.driver.switch([], [CONTROLLER])
    outcome = run.go()
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.TRACKING_ERROR
    assert "first step of 2 mm" in outcome.fault.detail
    sent = [pose for _, pose in run.targets if pose is not None]
    assert max(sent[0].distance_to(pose)[0] for pose in sent) <= 2.0 + 1e-9


def test_a_cancel_request_ends_the_wait_for_a_recovery_and_the_cause_remains_the_reflex():
    run = press()
    run.session = AcquisitionSession(
        RIG,
        run.protocol,
        plan_trials(run.protocol),
        run.limits,
        SessionSettings(wait_for_control_s=0.5, wait_for_recovery_s=60.0),
        run.samples.append,
    )
    reflex, _ = once_in(Phase.INDENT, 0.1, lambda r: r.arm.inject(ArmFault.REFLEX, 0.0))
    cancel, cancelled = once_in(Phase.STOPPED, 3.0, lambda r: r.session.stop(Cause.CANCELLED, ""))

    def act(run: Run) -> None:
        reflex(run)
        cancel(run)

    outcome = run.go(act)
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.REFLEX
    assert cancelled and run.now_s == pytest.approx(cancelled[0], abs=0.05)
    assert not outcome.retracted


def test_an_indenter_that_keeps_rising_exceeds_the_force_limit_by_less_than_a_fifth():
    run = press({"force_n": 6.0, "tracking_mm": 4.0}, dwell_s=3.0)
    rise, _ = once_in(Phase.INDENT, 0.1, lambda r: r.arm.inject(ArmFault.RISING_INDENTER, 0.0))
    outcome = run.go(rise)
    assert outcome.fault is not None
    assert outcome.fault.cause is Cause.FORCE_LIMIT
    assert outcome.retracted
    assert run.forces_n().max() < 1.15 * 6.0


@pytest.mark.parametrize("fault", [ArmFault.OTHER_END_EFFECTOR, ArmFault.STALE_TARGET])
def test_an_arm_that_moves_elsewhere_is_stopped_by_its_own_motion(fault):
    run = press()
    move, when = once_in(Phase.APPROACH, 0.1, lambda r: r.arm.inject(fault, 0.0))
    outcome = run.go(move)
    assert outcome.fault is not None
    assert outcome.fault.cause in (
        Cause.TRACKING_ERROR,
        Cause.SPEED_LIMIT,
        Cause.ROTATION_SPEED_LIMIT,
    )
    assert run.first(Phase.STOPPED) - when[0] < 0.2
    assert run.forces_n().max() < run.limits.force_n


def test_coalesced_states_do_not_stop_a_run():
    run = press()
    coalesce, _ = once_in(Phase.APPROACH, 0.1, lambda r: r.arm.inject(ArmFault.COALESCED_STATES, 0))
    outcome = run.go(coalesce)
    assert outcome.fault is None
    assert outcome.pose_gap_max_s <= 0.026
