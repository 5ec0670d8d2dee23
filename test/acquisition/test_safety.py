"""Each limit trips above its value and not below it, under its own name."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose

MOUNT = Pose.from_euler([0.0, 0.0, 40.0], [0.0, 0.0, 0.0])
BOX = {"box_min_mm": (-50.0, -50.0, -50.0), "box_max_mm": (50.0, 50.0, 50.0)}
LIMITS = SafetyLimits(
    **BOX,
    speed_mm_s=60.0,
    rotation_speed_rad_s=0.6,
    force_n=15.0,
    torque_n_m=2.0,
    force_bias_n=8.0,
    tracking_mm=12.0,
    state_age_s=0.1,
    image_age_s=0.4,
    clock_jump_s=0.2,
)
EPOCH_NS = 1_700_000_000 * 1_000_000_000
IMAGE = (240, 320, 3)
AT_REST = RobotState(
    stamp_ns=EPOCH_NS,
    position_mm=np.array([0.0, 0.0, -40.0]),  # the gel at the middle of the box
    quaternion_xyzw=np.array([0.0, 0.0, 0.0, 1.0]),
    force_n=np.zeros(3),
    torque_n_m=np.zeros(3),
    mode=RobotMode.MOVE,
)
UNIT = np.array([1.0, -2.0, 2.0]) / 3.0


def monitor() -> SafetyMonitor:
    return SafetyMonitor(LIMITS, MOUNT)


def cause_of(watch: SafetyMonitor) -> Cause | None:
    return watch.fault.cause if watch.fault is not None else None


def after(seconds: float, **changes) -> RobotState:
    """The resting state, later and changed."""
    return replace(AT_REST, stamp_ns=EPOCH_NS + round(seconds * 1e9), **changes)


def feed(watch: SafetyMonitor, state: RobotState) -> None:
    """Give a state at the time of its stamp."""
    watch.on_state(state, 5.0 + (state.stamp_ns - EPOCH_NS) * 1e-9)


def moving(speed_mm_s: float, turn_rad_s: float, rate_hz: float, seconds: float = 0.3):
    """States of an arm that moves and turns at constant rates."""
    for k in range(round(seconds * rate_hz)):
        time_s = k / rate_hz
        position = AT_REST.position_mm + speed_mm_s * time_s * UNIT
        turn = Rotation.from_rotvec([0.0, 0.0, turn_rad_s * time_s]).as_quat()
        yield after(time_s, position_mm=position, quaternion_xyzw=turn)


# Both sides of every limit: a factor on the limit, and what is handed to the monitor.


def push(watch, side):
    feed(watch, replace(AT_REST, force_n=side * LIMITS.force_n * UNIT))


def twist(watch, side):
    feed(watch, replace(AT_REST, torque_n_m=side * LIMITS.torque_n_m * UNIT))


def tare_loaded(watch, side):
    watch.tare([replace(AT_REST, force_n=side * LIMITS.force_bias_n * UNIT)] * 3)


def run_fast(watch, side):
    for state in moving(side * LIMITS.speed_mm_s, 0.0, 1000.0):
        feed(watch, state)


def run_fast_with_slow_states(watch, side):
    for state in moving(side * LIMITS.speed_mm_s, 0.0, 30.0):
        feed(watch, state)


def turn_fast(watch, side):
    for state in moving(0.0, side * LIMITS.rotation_speed_rad_s, 1000.0):
        feed(watch, state)


def leave_box_upward(watch, side):
    feed(watch, replace(AT_REST, position_mm=np.array([0.0, 0.0, side * 50.0 - 40.0])))


def leave_box_sideways(watch, side):
    feed(watch, replace(AT_REST, position_mm=np.array([0.0, -side * 50.0, -40.0])))


def leave_box_by_tilting(watch, side):
    """The gel swings on its 40 mm lever while the flange stays where it is."""
    angle = np.arcsin(side * 30.0 / 40.0)
    flange = np.array([20.0, 0.0, -40.0])
    tilted = Rotation.from_rotvec([0.0, angle, 0.0]).as_quat()
    feed(watch, replace(AT_REST, position_mm=flange, quaternion_xyzw=tilted))


def aim_outside(watch, side):
    watch.on_target(Pose.from_euler([side * 50.0, 0.0, 0.0], [0, 0, 0]), 1.0)


def aim_fast(watch, side):
    for k in range(5):
        place = 0.01 * k * side * LIMITS.speed_mm_s * UNIT
        watch.on_target(Pose.from_euler(place, [0, 0, 0]), 1.0 + 0.01 * k)


def aim_turning_fast(watch, side):
    for k in range(5):
        angle = 0.01 * k * side * LIMITS.rotation_speed_rad_s
        watch.on_target(Pose.from_euler([0, 0, 0], [0, angle, 0]), 1.0 + 0.01 * k)


def lag_behind(watch, side):
    ahead = Pose.from_euler(side * LIMITS.tracking_mm * UNIT, [0, 0, 0])
    watch.check_tracking(ahead, Pose.from_euler([0, 0, 0], [0, 0, 0]))


def silent_states(watch, side):
    feed(watch, AT_REST)
    watch.check_ages(5.0 + side * LIMITS.state_age_s)


def silent_images(watch, side):
    watch.on_image(EPOCH_NS, IMAGE, 5.0)
    watch.check_ages(5.0 + side * LIMITS.image_age_s)


def late_state(watch, side):
    """A state that was queued somewhere: its stamp is older than its arrival says."""
    feed(watch, AT_REST)
    watch.on_state(after(0.01), 5.01 + side * LIMITS.state_age_s)


def late_image(watch, side):
    watch.on_image(EPOCH_NS, IMAGE, 5.0)
    watch.on_image(EPOCH_NS + 40_000_000, IMAGE, 5.04 + side * LIMITS.image_age_s)


def stopped_stamps(watch, side):
    """States keep coming, but their stamps stand still: the data are old."""
    for k in range(round(side * 100)):
        watch.on_state(AT_REST, 5.0 + 1e-3 * k)


def state_clock_forward(watch, side):
    feed(watch, AT_REST)
    watch.on_state(after(0.01 + side * LIMITS.clock_jump_s), 5.01)


def image_clock_forward(watch, side):
    for k in range(26):
        watch.on_image(EPOCH_NS + k * 40_000_000, IMAGE, 5.0 + 0.04 * k)
    stamp_ns = EPOCH_NS + round((1.04 + side * LIMITS.clock_jump_s) * 1e9)
    watch.on_image(stamp_ns, IMAGE, 6.04)


def image_clock_forward_at_the_start(watch, side):
    """Further than a first image that came late explains."""
    watch.on_image(EPOCH_NS, IMAGE, 5.0)
    stamp_ns = EPOCH_NS + round((0.04 + side * LIMITS.image_age_s) * 1e9)
    watch.on_image(stamp_ns, IMAGE, 5.04)


def state_clock_back(watch, side):
    """Between two states 10 ms apart, the clock is set back by a little less or more than that."""
    feed(watch, AT_REST)
    watch.on_state(after(0.01 - side * 0.01), 5.01)


def image_clock_back(watch, side):
    watch.on_image(EPOCH_NS, IMAGE, 5.0)
    watch.on_image(EPOCH_NS + round((0.04 - side * 0.04) * 1e9), IMAGE, 5.04)


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        (push, Cause.FORCE_LIMIT),
        (twist, Cause.TORQUE_LIMIT),
        (tare_loaded, Cause.FORCE_BIAS),
        (run_fast, Cause.SPEED_LIMIT),
        (run_fast_with_slow_states, Cause.SPEED_LIMIT),
        (turn_fast, Cause.ROTATION_SPEED_LIMIT),
        (leave_box_upward, Cause.OUTSIDE_WORKSPACE),
        (leave_box_sideways, Cause.OUTSIDE_WORKSPACE),
        (leave_box_by_tilting, Cause.OUTSIDE_WORKSPACE),
        (aim_outside, Cause.TARGET_OUTSIDE_WORKSPACE),
        (aim_fast, Cause.TARGET_TOO_FAST),
        (aim_turning_fast, Cause.TARGET_TOO_FAST),
        (lag_behind, Cause.TRACKING_ERROR),
        (silent_states, Cause.STALE_STATE),
        (silent_images, Cause.STALE_IMAGES),
        (late_state, Cause.STALE_STATE),
        (late_image, Cause.STALE_IMAGES),
        (stopped_stamps, Cause.STALE_STATE),
        (state_clock_forward, Cause.CLOCK_JUMP),
        (image_clock_forward_at_the_start, Cause.CLOCK_JUMP),
        (image_clock_forward, Cause.CLOCK_JUMP),
        (state_clock_back, Cause.CLOCK_JUMP),
        (image_clock_back, Cause.CLOCK_JUMP),
    ],
)
def test_just_below_its_limit_nothing_trips_and_just_above_the_right_cause_does(act, cause):
    below, above = monitor(), monitor()
    act(below, 0.97)
    assert below.fault is None
    act(above, 1.03)
    assert above.fault is not None
    assert above.fault.cause is cause
    assert "\n" not in above.fault.detail


@pytest.mark.parametrize("mode", [*RobotMode, 42])
def test_only_idle_and_move_let_the_arm_move(mode):
    watch = monitor()
    feed(watch, replace(AT_REST, mode=int(mode)))
    known = {RobotMode.IDLE: None, RobotMode.MOVE: None, RobotMode.REFLEX: Cause.REFLEX}
    assert cause_of(watch) is known.get(mode, Cause.ROBOT_MODE)


def test_a_raised_error_flag_stops_and_is_named():
    watch = monitor()
    feed(watch, replace(AT_REST, errors=("joint_velocity_violation",)))
    assert watch.fault is not None
    assert watch.fault.cause is Cause.ROBOT_ERROR
    assert "joint_velocity_violation" in watch.fault.detail


@pytest.mark.parametrize("name", ["position_mm", "quaternion_xyzw", "force_n", "torque_n_m"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_makes_a_state_unusable(name, number):
    watch = monitor()
    broken = getattr(AT_REST, name).copy()
    broken[1] = number
    assert not watch.on_state(replace(AT_REST, **{name: broken}), 5.0)
    assert cause_of(watch) is Cause.NOT_FINITE


@pytest.mark.parametrize("length", [0.0, 1e-200, 1e-160, 1e200])
def test_a_quaternion_that_is_no_rotation_makes_a_state_unusable(length):
    watch = monitor()
    assert not watch.on_state(replace(AT_REST, quaternion_xyzw=np.array([0, 0, 0, length])), 5.0)
    assert cause_of(watch) is Cause.NOT_FINITE


@pytest.mark.parametrize("length", [0.5, 1.0 - 1e-4, 2.0])
def test_the_length_of_a_quaternion_is_no_rotation(length):
    still, turning = monitor(), monitor()
    for state in moving(0.0, 0.0, 1000.0):
        feed(still, replace(state, quaternion_xyzw=length * state.quaternion_xyzw))
    assert still.fault is None
    for state in moving(0.0, 1.1 * LIMITS.rotation_speed_rad_s, 1000.0):
        feed(turning, replace(state, quaternion_xyzw=length * state.quaternion_xyzw))
    assert cause_of(turning) is Cause.ROTATION_SPEED_LIMIT


def test_noise_on_the_pose_is_no_speed():
    """0.02 mm and 0.1 mrad of noise at 1 kHz look like 28 mm/s and more from state to state."""
    random = np.random.default_rng(0)
    watch = monitor()
    naive_mm_s, last = 0.0, None
    for state in moving(0.8 * LIMITS.speed_mm_s, 0.0, 1000.0, 0.8):
        position = state.position_mm + 0.02 * random.standard_normal(3)
        turn = Rotation.from_rotvec(1e-4 * random.standard_normal(3)).as_quat()
        if last is not None:
            naive_mm_s = max(naive_mm_s, np.linalg.norm(position - last) / 1e-3)
        last = position
        feed(watch, replace(state, position_mm=position, quaternion_xyzw=turn))
    assert naive_mm_s > 1.3 * LIMITS.speed_mm_s
    assert watch.fault is None


def test_states_delivered_in_a_burst_are_no_speed():
    """The speed comes from the stamps: a slow arm whose states arrive 20 at once stays slow."""
    watch = monitor()
    for k, state in enumerate(moving(0.8 * LIMITS.speed_mm_s, 0.0, 1000.0, 0.6)):
        watch.on_state(state, 5.0 + 0.020 * (k // 20 + 1))
    assert watch.fault is None


def test_the_bias_found_in_free_space_does_not_count_as_force():
    watch = monitor()
    bias_n, bias_n_m = np.array([0.0, 0.0, -6.0]), np.array([0.5, 0.0, 0.0])
    random = np.random.default_rng(1)
    watch.tare(
        [
            replace(
                AT_REST,
                force_n=bias_n + 0.1 * random.standard_normal(3),
                torque_n_m=bias_n_m + 0.01 * random.standard_normal(3),
            )
            for _ in range(400)
        ]
    )
    for size in (0.97, 1.03):
        force = bias_n + size * LIMITS.force_n * UNIT
        feed(watch, replace(AT_REST, force_n=force, torque_n_m=bias_n_m))
        assert (watch.fault is None) == (size < 1)
    assert watch.force_max_n == pytest.approx(1.03 * LIMITS.force_n, rel=0.01)
    force_n, torque_n_m = watch.without_bias(bias_n, bias_n_m)
    np.testing.assert_allclose(force_n, 0.0, atol=0.03)
    np.testing.assert_allclose(torque_n_m, 0.0, atol=0.003)


def test_the_first_fault_is_kept():
    watch = monitor()
    push(watch, 2.0)
    first = watch.fault
    twist(watch, 2.0)
    watch.trip(Cause.CANCELLED, "asked to")
    assert watch.fault is first


def test_images_must_not_change_their_size():
    watch = monitor()
    watch.on_image(EPOCH_NS, IMAGE, 5.0)
    watch.on_image(EPOCH_NS + 40_000_000, IMAGE, 5.04)
    assert watch.fault is None
    watch.on_image(EPOCH_NS + 80_000_000, (480, 640, 3), 5.08)
    assert cause_of(watch) is Cause.IMAGE_CHANGED_FORMAT


def test_nothing_is_silent_before_it_has_begun():
    watch = monitor()
    watch.check_ages(1e6)
    assert watch.fault is None
    assert not watch.wants_pause(1e6)


@pytest.mark.parametrize(
    ("stream", "limit_s"), [("state", LIMITS.state_pause_s), ("image", LIMITS.image_pause_s)]
)
def test_motion_pauses_for_a_short_silence(stream, limit_s):
    watch = monitor()
    if stream == "state":
        feed(watch, AT_REST)
    else:
        watch.on_image(EPOCH_NS, IMAGE, 5.0)
    assert not watch.wants_pause(5.0 + 0.97 * limit_s)
    assert watch.wants_pause(5.0 + 1.03 * limit_s)


def test_two_clocks_that_run_apart_slowly_never_trip():
    """A camera clock that loses 0.5 ms a second is 1.8 s off after an hour: drift, no jump."""
    slow, fast = monitor(), monitor()
    for k in range(90_000):
        time_s = 0.04 * k
        slow.on_image(EPOCH_NS + round(time_s * (1 - 5e-4) * 1e9), IMAGE, 5.0 + time_s)
        fast.on_image(EPOCH_NS + round(time_s * (1 + 5e-4) * 1e9), IMAGE, 5.0 + time_s)
    assert slow.fault is None
    assert fast.fault is None


def test_after_a_stop_the_streams_are_watched_anew():
    """The clock may have jumped for good; the new time is then the right one."""
    watch = monitor()
    feed(watch, AT_REST)
    watch.on_image(EPOCH_NS, IMAGE, 5.0)
    watch.forget_streams()
    watch.on_state(after(-1000.0), 5.5)
    watch.on_state(after(-999.999), 5.501)
    watch.on_image(EPOCH_NS + 10**12, (480, 640, 3), 5.5)
    watch.check_ages(5.51)
    assert watch.fault is None


def test_a_target_that_is_no_pose_is_not_sent():
    """NaN in the position or in the orientation, as the first target or a later one."""
    sound = Pose.from_euler([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    for broken in (
        Pose(np.array([0.0, np.nan, 0.0]), np.eye(3)),
        Pose(np.array([np.inf, 0.0, 0.0]), np.eye(3)),
        Pose(np.zeros(3), np.full((3, 3), np.nan)),
    ):
        for earlier in ([], [sound]):
            watch = monitor()
            assert all(watch.on_target(target, 1.0) for target in earlier)
            assert not watch.on_target(broken, 1.01)
            assert cause_of(watch) is Cause.NOT_FINITE


def test_a_refused_target_does_not_become_the_base_of_the_next_one():
    watch = monitor()
    assert watch.on_target(Pose.from_euler([0, 0, 0], [0, 0, 0]), 1.00)
    assert not watch.on_target(Pose.from_euler([20, 0, 0], [0, 0, 0]), 1.01)
    assert not watch.on_target(Pose.from_euler([20.1, 0, 0], [0, 0, 0]), 1.02)


def test_a_late_timer_may_take_one_larger_step():
    watch = monitor()
    step_mm = 0.9 * LIMITS.speed_mm_s * 0.05
    assert watch.on_target(Pose.from_euler([0, 0, 0], [0, 0, 0]), 1.0)
    assert watch.on_target(Pose.from_euler([step_mm, 0, 0], [0, 0, 0]), 1.05)
    assert watch.fault is None


def test_after_a_stop_the_target_may_start_where_the_arm_is():
    watch = monitor()
    assert watch.on_target(Pose.from_euler([0, 0, 0], [0, 0, 0]), 1.0)
    watch.forget_target()
    assert watch.on_target(Pose.from_euler([40, 0, 0], [0, 0, 0]), 1.01)


@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ({}, True),
        ({"mode": RobotMode.IDLE}, True),
        ({"mode": RobotMode.REFLEX}, False),
        ({"errors": ("power_limit_violation",)}, False),
        ({"position_mm": np.array([0.0, 80.0, -40.0])}, False),
    ],
)
def test_an_arm_is_trusted_again_when_it_may_move_and_is_inside_the_box(change, trusted):
    watch = monitor()
    assert not watch.is_trustworthy(5.0)
    feed(watch, replace(AT_REST, **change))
    assert watch.is_trustworthy(5.01) is trusted
    assert not watch.is_trustworthy(5.2)  # by then it is old


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"box_min_mm": (50.0, -50.0, -50.0)}, "empty along x"),
        ({"box_max_mm": (50.0, 50.0, -60.0)}, "empty along z"),
        ({"box_min_mm": (np.nan, 0.0, 0.0)}, "box_min_mm"),
        ({"box_min_mm": (0.0, 0.0)}, "box_min_mm"),
        ({"box_min_mm": None}, "box_min_mm"),
        ({"force_n": 0.0}, "force_n"),
        ({"force_n": -5.0}, "force_n"),
        ({"force_n": 61.0}, "force_n"),
        ({"force_n": np.inf}, "force_n"),
        ({"torque_n_m": -1.0}, "torque_n_m"),
        ({"force_bias_n": -1.0}, "force_bias_n"),
        ({"speed_mm_s": np.nan}, "speed_mm_s"),
        ({"speed_mm_s": 501.0}, "speed_mm_s"),
        ({"rotation_speed_rad_s": 0.0}, "rotation_speed_rad_s"),
        ({"speed_window_s": 0.0}, "speed_window_s"),
        ({"tracking_mm": -1.0}, "tracking_mm"),
        ({"state_age_s": 0.0}, "state_age_s"),
        ({"image_age_s": -0.1}, "image_age_s"),
        ({"clock_jump_s": 0.0}, "clock_jump_s"),
        ({"force_limit": 5.0}, "force_limit"),  # a misspelt limit must not go unnoticed
    ],
)
def test_limits_that_protect_nothing_are_refused(change, named):
    with pytest.raises(ValidationError, match=named):
        SafetyLimits(**{**BOX, **change})


@pytest.mark.parametrize("left_out", ["box_min_mm", "box_max_mm"])
def test_there_is_no_default_workspace(left_out):
    with pytest.raises(ValidationError, match=left_out):
        SafetyLimits(**{name: value for name, value in BOX.items() if name != left_out})


def test_one_stamp_far_ahead_is_not_remembered_for_ever():
    watch = monitor()
    feed(watch, after(1e6))
    for k in range(500):
        watch.on_state(after(1e-3 * k), 5.0 + 1e-3 * k)
    assert len(watch._speeds._states) < 50


# --- control and frame ---------------------------------------------------------------------


def test_an_arm_that_changes_from_move_to_idle_has_lost_its_controller():
    watch = monitor()
    feed(watch, AT_REST)
    assert watch.fault is None
    feed(watch, after(0.01, mode=RobotMode.IDLE))
    assert cause_of(watch) is Cause.ROBOT_MODE
    assert "IDLE" in watch.fault.detail


def test_after_a_user_stop_an_idle_arm_without_flags_is_not_trusted_until_it_is_in_move():
    watch = monitor()
    for seconds, mode in ((0.0, RobotMode.USER_STOPPED), (0.01, RobotMode.IDLE)):
        feed(watch, after(seconds, mode=mode))
    assert not watch.is_trustworthy(5.01)
    feed(watch, after(0.02, mode=RobotMode.MOVE))
    assert watch.is_trustworthy(5.02)


def test_targets_without_effect_are_no_reason_to_trust_the_arm():
    watch = monitor()
    feed(watch, AT_REST)
    assert watch.is_trustworthy(5.0)
    watch.is_blocked = True
    assert not watch.is_trustworthy(5.0)


def test_states_in_another_frame_than_the_targets_stop_the_run_and_name_both():
    watch = SafetyMonitor(LIMITS, MOUNT, "base")
    feed(watch, replace(AT_REST, frame_id="base"))
    assert watch.fault is None
    feed(watch, after(0.01, frame_id="fr3_link0"))
    assert cause_of(watch) is Cause.BASE_FRAME
    assert "'fr3_link0'" in watch.fault.detail and "'base'" in watch.fault.detail
