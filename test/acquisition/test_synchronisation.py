"""The state at an image's stamp: compared with motion that is known in closed form."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.synchronisation import StateBuffer

MILLISECOND_NS = 1_000_000
EPOCH_NS = 1_700_000_000 * 1_000_000_000
VELOCITY_MM_S = np.array([30.0, -12.0, 5.0])
TURN_RAD_S = np.array([0.2, -0.4, 0.9])
FORCE_N_S = np.array([1.0, 2.0, -20.0])
START_MM = np.array([450.0, 3.0, 120.0])
START_TURN = Rotation.from_euler("xyz", [3.1, 0.05, -0.6])


def truth(stamp_ns: int) -> RobotState:
    """An arm that moves, turns and loads up at constant rates."""
    time_s = (stamp_ns - EPOCH_NS) * 1e-9
    turn = Rotation.from_rotvec(time_s * TURN_RAD_S) * START_TURN
    return RobotState(
        stamp_ns=stamp_ns,
        position_mm=START_MM + time_s * VELOCITY_MM_S,
        quaternion_xyzw=turn.as_quat(),
        force_n=time_s * FORCE_N_S,
        torque_n_m=0.01 * time_s * FORCE_N_S,
        mode=RobotMode.MOVE,
    )


def filled(stamps_ns, capacity: int = 4000) -> StateBuffer:
    buffer = StateBuffer(capacity)
    for stamp_ns in stamps_ns:
        buffer.add(truth(stamp_ns))
    return buffer


def assert_is_truth(found, stamp_ns: int) -> None:
    expected = truth(stamp_ns)
    np.testing.assert_allclose(found.end_effector.position_mm, expected.position_mm, atol=1e-6)
    turn = Rotation.from_matrix(found.end_effector.matrix)
    error = (turn.inv() * Rotation.from_quat(expected.quaternion_xyzw)).magnitude()
    assert error < 1e-8
    np.testing.assert_allclose(found.force_n, expected.force_n, atol=1e-6)
    np.testing.assert_allclose(found.torque_n_m, expected.torque_n_m, atol=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_constant_motion_is_reproduced_exactly_between_jittered_states(seed):
    random = np.random.default_rng(seed)
    stamps = EPOCH_NS + np.cumsum(random.integers(1, 30 * MILLISECOND_NS, 100))
    buffer = filled(stamps.tolist())
    for stamp_ns in random.integers(stamps[0], stamps[-1], 200).tolist():
        assert_is_truth(buffer.at(stamp_ns), stamp_ns)


def test_the_sign_of_a_quaternion_does_not_send_the_arm_the_long_way_round():
    buffer = StateBuffer()
    buffer.add(truth(EPOCH_NS))
    last = truth(EPOCH_NS + 20 * MILLISECOND_NS)
    flipped = {**vars(last), "quaternion_xyzw": -last.quaternion_xyzw}
    buffer.add(RobotState(**flipped))
    middle = EPOCH_NS + 10 * MILLISECOND_NS
    assert_is_truth(buffer.at(middle), middle)


def test_gap_is_the_time_to_the_farther_state_and_zero_at_a_state():
    buffer = filled([EPOCH_NS, EPOCH_NS + 10 * MILLISECOND_NS, EPOCH_NS + 30 * MILLISECOND_NS])
    for offset_ms, gap_ms in ((0, 0), (2, 8), (8, 8), (5, 5), (10, 0), (11, 19), (30, 0)):
        found = buffer.at(EPOCH_NS + offset_ms * MILLISECOND_NS)
        assert 1e3 * found.gap_s == pytest.approx(gap_ms)


@pytest.mark.parametrize(("offset_ms", "off"), [(-5, "5.0 ms"), (107, "8.0 ms")])
def test_a_stamp_outside_the_known_states_is_never_extrapolated(offset_ms, off):
    buffer = filled(range(EPOCH_NS, EPOCH_NS + 100 * MILLISECOND_NS, MILLISECOND_NS))
    stamp_ns = EPOCH_NS + offset_ms * MILLISECOND_NS
    assert not buffer.covers(stamp_ns)
    with pytest.raises(LookupError, match=off):
        buffer.at(stamp_ns)


def test_an_empty_buffer_says_that_no_state_came():
    with pytest.raises(LookupError, match="no robot state received yet"):
        StateBuffer().at(EPOCH_NS)


def test_old_states_make_room_and_are_no_longer_covered():
    buffer = filled(range(EPOCH_NS, EPOCH_NS + 300 * MILLISECOND_NS, MILLISECOND_NS), capacity=100)
    assert not buffer.covers(EPOCH_NS + 199 * MILLISECOND_NS)
    assert_is_truth(
        buffer.at(EPOCH_NS + 200 * MILLISECOND_NS + 1), EPOCH_NS + 200 * MILLISECOND_NS + 1
    )


def test_states_that_arrive_out_of_order_or_twice_do_not_bend_the_motion():
    stamps = [EPOCH_NS + offset * MILLISECOND_NS for offset in (0, 10, 20, 15, 20, 30)]
    buffer = filled(stamps)
    for offset_ms in np.linspace(0, 30, 31):
        stamp_ns = EPOCH_NS + int(offset_ms * MILLISECOND_NS)
        assert_is_truth(buffer.at(stamp_ns), stamp_ns)
    assert [s.stamp_ns for s in buffer.since(EPOCH_NS + 11)] == [stamps[i] for i in (1, 2, 5)]


def test_after_a_clock_jump_nothing_before_it_is_used():
    buffer = filled([EPOCH_NS, EPOCH_NS + MILLISECOND_NS])
    buffer.clear()
    assert buffer.newest is None
    buffer.add(truth(EPOCH_NS - 500 * MILLISECOND_NS))
    assert buffer.newest is not None
    assert not buffer.covers(EPOCH_NS)
