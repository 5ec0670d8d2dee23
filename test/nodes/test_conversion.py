"""What comes over the wire and what the core works with say the same, in other units."""

import array
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("rclpy")
pytest.importorskip("franka_msgs")

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import Point, Quaternion
from geometry_msgs.msg import Pose as PoseMessage
from rclpy.serialization import deserialize_message, serialize_message

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.conversion.geometry import (
    from_pose,
    from_wrench,
    to_nanoseconds,
    to_pose,
    to_time,
    to_wrench,
)
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder

FLAGS = [
    name.lstrip("_") for name in FrankaRobotState().current_errors.get_fields_and_field_types()
]


MAX_PADDING = 12  # bytes that rclpy leaves behind the last field


def random_text(random: np.random.Generator) -> str:
    return "".join(random.choice(list("abcäπ_ ")) for _ in range(random.integers(0, 20)))


def fill(message, random: np.random.Generator) -> None:
    """Random values in every field, strings and sequences of random lengths."""
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if kind == "string":
            setattr(message, name, random_text(random))
        elif kind == "boolean":
            setattr(message, name, bool(random.random() < 0.2))
        elif kind == "double":
            setattr(message, name, float(random.normal()))
        elif kind == "uint8":
            setattr(message, name, int(random.integers(0, 256)))
        elif kind in ("int32", "uint32"):
            setattr(message, name, int(random.integers(0, 2**31 - 1)))
        elif kind == "sequence<string>":
            setattr(message, name, [random_text(random) for _ in range(random.integers(0, 9))])
        elif kind == "sequence<double>":
            setattr(message, name, array.array("d", random.normal(size=random.integers(0, 9))))
        elif kind.startswith("double["):
            setattr(message, name, random.normal(size=len(value)))
        else:
            fill(value, random)


def random_state(seed: int) -> bytes:
    message = FrankaRobotState()
    fill(message, np.random.default_rng(seed))
    return serialize_message(message)


def assert_same(decoded, data: bytes) -> None:
    """Against rclpy's own deserialisation."""
    message = deserialize_message(data, FrankaRobotState)
    stamp, pose = message.header.stamp, message.o_t_ee.pose
    wrench = message.o_f_ext_hat_k.wrench
    assert decoded.stamp_ns == stamp.sec * 10**9 + stamp.nanosec
    place, turn = pose.position, pose.orientation
    np.testing.assert_allclose(decoded.position_mm, [1e3 * place.x, 1e3 * place.y, 1e3 * place.z])
    np.testing.assert_array_equal(decoded.quaternion_xyzw, [turn.x, turn.y, turn.z, turn.w])
    for vector, part in ((decoded.force_n, wrench.force), (decoded.torque_n_m, wrench.torque)):
        np.testing.assert_array_equal(vector, [part.x, part.y, part.z])
    assert decoded.mode == message.robot_mode
    raised = tuple(name for name in FLAGS if getattr(message.current_errors, name))
    assert decoded.errors == raised


def test_states_are_read_as_rclpy_reads_them_whatever_their_layout():
    """Every message has other lengths than the one before, then each comes twice."""
    decoder = RobotStateDecoder()
    for seed in range(40):
        data = random_state(seed)
        assert_same(decoder.decode(data), data)
        assert_same(decoder.decode(data), data)


def test_two_layouts_of_the_same_length_are_told_apart():
    """A string that is longer here and one that is shorter there: the same number of bytes."""
    decoder = RobotStateDecoder()
    messages = []
    for first, second in (("base", "hand____________"), ("base____________", "hand")):
        message = FrankaRobotState()
        message.header.frame_id = first
        message.o_t_ee.header.frame_id = second
        message.o_t_ee.pose.position.x = 0.45
        message.robot_mode = 2
        messages.append(serialize_message(message))
    assert len(messages[0]) == len(messages[1])
    for data in messages * 2:
        assert_same(decoder.decode(data), data)


def test_a_state_is_decoded_many_times_faster_than_it_arrives():
    """At 1 kHz a state must cost far less than its millisecond, also on a shared machine."""
    from time import perf_counter

    decoder, data = RobotStateDecoder(), random_state(1)
    decoder.decode(data)
    times_s = []
    for _ in range(200):
        begin_s = perf_counter()
        decoder.decode(data)
        times_s.append(perf_counter() - begin_s)
    assert np.median(times_s) < 0.2e-3


def test_truncated_states_are_refused_at_every_length():
    """Padding behind the last field may be missing; what is read must then still be right."""
    whole = random_state(3)
    for decoder in (RobotStateDecoder(), primed(whole)):
        for size in range(len(whole)):
            cut = whole[:size]
            try:
                decoded = decoder.decode(cut)
            except InputError as error:
                assert "\n" not in str(error)
                continue
            assert len(whole) - size <= MAX_PADDING
            assert_same(decoded, whole)


def primed(data: bytes) -> RobotStateDecoder:
    decoder = RobotStateDecoder()
    decoder.decode(data)
    return decoder


def test_random_bytes_are_refused_or_read_but_never_crash():
    random = np.random.default_rng(0)
    decoder = primed(random_state(5))
    for _ in range(200):
        noise = b"\x00\x01\x00\x00" + random.bytes(int(random.integers(0, 4000)))
        with pytest.raises(InputError, match="same version of its package"):
            decoder.decode(noise)


@pytest.mark.parametrize("begin", [b"\x00\x00", b"\x00\x03", b"\xff\xff", b""])
def test_other_serialisations_are_refused(begin):
    data = random_state(6)
    for decoder in (RobotStateDecoder(), primed(data)):
        with pytest.raises(InputError, match="little-endian CDR"):
            decoder.decode(begin + (data[2:] if begin else b""))


# --- poses, wrenches and times -------------------------------------------------------------


def test_messages_are_in_metres_and_the_core_in_millimetres():
    """A quarter turn about z that was written down by hand."""
    half = np.sqrt(0.5)
    message = PoseMessage(
        position=Point(x=0.45, y=-0.02, z=0.1), orientation=Quaternion(z=half, w=half)
    )
    pose = from_pose(message)
    np.testing.assert_allclose(pose.position_mm, [450.0, -20.0, 100.0])
    np.testing.assert_allclose(pose.rotate([1.0, 0.0, 0.0]), [0.0, 1.0, 0.0], atol=1e-12)
    back = to_pose(pose)
    assert (back.position.x, back.position.y, back.position.z) == pytest.approx((0.45, -0.02, 0.1))
    turn = back.orientation
    assert abs(turn.z * half + turn.w * half) == pytest.approx(1.0)
    assert (turn.x, turn.y) == pytest.approx((0.0, 0.0))


def test_random_poses_survive_the_way_there_and_back():
    random = np.random.default_rng(1)
    for turn in Rotation.random(50, rng=random):
        pose = Pose(random.uniform(-900, 900, 3), turn.as_matrix())
        assert pose.distance_to(from_pose(to_pose(pose))) == pytest.approx((0, 0), abs=1e-9)


@pytest.mark.parametrize(
    "message",
    [
        PoseMessage(orientation=Quaternion(w=0.0)),
        PoseMessage(orientation=Quaternion(x=float("nan"))),
        PoseMessage(position=Point(y=float("inf"))),
        PoseMessage(position=Point(z=float("nan"))),
    ],
)
def test_a_pose_without_meaning_is_refused(message):
    with pytest.raises(ValueError, match=r"quaternion|not finite"):
        from_pose(message)


def test_wrenches_keep_their_units():
    force_n, torque_n_m = np.array([1.0, -2.0, 3.5]), np.array([0.1, 0.2, -0.3])
    message = to_wrench(force_n, torque_n_m)
    assert (message.force.z, message.torque.x) == (3.5, 0.1)
    for there, back in zip((force_n, torque_n_m), from_wrench(message), strict=True):
        np.testing.assert_array_equal(there, back)


def test_times_keep_every_nanosecond():
    """A float of seconds since 1970 would lose 200 ns."""
    stamps = [
        0,
        1,
        999_999_999,
        10**9,
        1_700_000_000_123_456_789,
        (2**31 - 1) * 10**9 + 999_999_999,
    ]
    assert [to_nanoseconds(to_time(stamp)) for stamp in stamps] == stamps
    assert all((a.sec, a.nanosec) < (b.sec, b.nanosec) for a, b in pairwise(map(to_time, stamps)))
