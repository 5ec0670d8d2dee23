"""Whatever reaches `acquisition` in contact: the arm comes back, the bag closes, the node goes on.

The node's own callbacks are called with serialised messages of the virtual arm, in simulated time.
Whether the arm is clear comes from the simulation's own state.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from builtin_interfaces.msg import Time
from franka_msgs.msg import FrankaRobotState
from rclpy.action import CancelResponse
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from tacdiff_ros.action import Acquire
from tacdiff_ros.msg import AcquisitionState

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.acquisition import AcquisitionNode
from tacdiff_ros.nodes.conversion.geometry import to_time
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.deferred_service import Ticket
from tacdiff_ros.nodes.franka_state_message import FrankaStateMessage
from tacdiff_ros.recording.bag_reading import open_run
from tacdiff_ros.resources import config_path
from tacdiff_ros.virtual.contact import StiffContactParameters
from tacdiff_ros.virtual.faults import ArmFault
from tacdiff_ros.virtual.panda import ImpedanceParameters
from tacdiff_ros.virtual.rig import VirtualRig

MS = 1_000_000
NUMBERS = count()
START_NS = 1_700_000_000_000_000_000
STATE_MS, IMAGE_MS, TICK_MS = 5, 40, 10
START = Pose.from_euler([450.0, 0.0, 142.0], [np.pi, 0.0, 0.0])  # the gel 2 mm above the tip
PROTOCOL: dict[str, Any] = {
    "trials": 1,
    "start": {"offset_x_mm": 0.5, "offset_y_mm": 0.5, "yaw_deg": 2.0, "standoff_mm": 1.5},
    "approach": {"speed_mm_s": 8.0, "maximum_travel_mm": 6.0},
    "depth_mm": 0.8,
    "directions": [],
    "rotation_deg": 0.0,
    "speed_mm_s": 6.0,
    "travel_speed_mm_s": 40.0,
    "settle_s": 0.05,
    "dwell_s": 0.2,
}


class SimulatedTime:
    """Stands in for the lock step of a node that is alone: time is what the test says."""

    is_on, now, standstill_s = False, START_NS, 0.0

    def now_ns(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return 1e-9 * (self.now - START_NS) + 1.0

    def published(self, _stamp_ns: int) -> None:
        """Nobody waits."""

    def stalled_for_s(self) -> float:
        return self.standstill_s


class Goal:
    """What rclpy hands in for an accepted goal."""

    is_cancel_requested = False

    def __init__(self, **content: Any) -> None:
        self.request = Acquire.Goal(protocol="press.yaml", **content)
        self.result: Any = None
        self.ended = ""

    def publish_feedback(self, _message: Any) -> None:
        """Nobody listens."""

    def execute(self, set_state: Any) -> None:
        self.result = set_state(self)

    def succeed(self) -> None:
        self.ended = "succeeded"

    def abort(self) -> None:
        self.ended = "aborted"

    def canceled(self) -> None:
        self.ended = "canceled"


class World:
    """One node and a virtual arm, each of the node's callbacks as rclpy would call it."""

    def __init__(self, node: AcquisitionNode) -> None:
        self.node, self.time = node, SimulatedTime()
        node._lock_step = node._observer._lock_step = self.time
        self.publishers = 1  # of targets; the nodes of other tests do not count
        # No controller publishes its pose, for which the check of the rig would wait.
        node.count_publishers = lambda topic: (
            0 if topic.endswith("current_pose") else self.publishers
        )
        topics = {subscription.topic_name: subscription for subscription in node.subscriptions}
        self.take_state = next(s for t, s in topics.items() if t.endswith("robot_state")).callback
        self.take_image = next(s for t, s in topics.items() if t.endswith("image_raw")).callback
        self.ticks = [t.callback for t in node.timers if t.timer_period_ns == TICK_MS * MS]
        assert len(self.ticks) == 1
        self.arm = VirtualRig(
            node._rig, START, ImpedanceParameters(), StiffContactParameters(), force_noise_n=0.02
        )
        self.messages = FrankaStateMessage("fr3")
        self.image = to_image(np.full((48, 64, 3), 90, np.uint8), Time(), "gel")
        self.gap_mm, self.targets = np.inf, 0
        publish = node._targets.publish

        def follow(data: bytes) -> None:
            self.targets += 1
            publish(data)

        node._targets = SimpleNamespace(publish=follow)
        send = node._send

        def send_and_move(target: Pose) -> None:
            send(target)
            self.arm.follow(target)

        node._send = send_and_move

    def accept(self, **content: Any) -> Goal:
        goal = Goal(output=f"run_{next(NUMBERS)}", **content)
        self.node._goal._on_accepted(goal)
        return goal

    def go(self, goal: Goal, act: Any = None, seconds: float = 20.0) -> Any:
        """Run until the goal has ended; `act` once, when the indenter is pressed in."""
        for millisecond in range(1, int(1000 * seconds)):
            self.time.now = now_ns = self.time.now + MS
            self.reading = reading = self.arm.advance(now_ns)[-1]
            self.gap_mm = float(reading.gel_to_indenter.position_mm[2])
            if act is not None and self.phase is Phase.INDENT and self.gap_mm < -0.3:
                act, _ = None, act(self)
            if millisecond % STATE_MS == 0:
                self.take_state(self.messages.fill(reading.arm, reading.reported))
            if millisecond % IMAGE_MS == 0:
                self.image.header.stamp = to_time(now_ns)
                self.take_image(serialize_message(self.image))
            if millisecond % TICK_MS == 0:
                self.ticks[0]()
            if goal.result is not None:
                assert act is None, "the run ended before it touched"
                return goal.result
        pytest.fail("the run does not end")

    @property
    def phase(self) -> Phase | None:
        return None if self.node._run is None else self.node._run.session.phase


@pytest.fixture(scope="module")
def make_node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    (folder / "press.yaml").write_text(yaml.safe_dump(PROTOCOL))
    arguments = ["--ros-args", "--params-file", str(config_path("tacdiff.yaml"))]
    for name in ("data_folder", "protocol_folder"):
        arguments += ["-p", f"{name}:={folder}"]
    # Every test has a node of its own, and none is steered: their targets have no subscriber.
    arguments += ["-p", "protocol:=press.yaml", "-p", "tolerated_checks:=['target topic']"]
    rclpy.init(args=arguments)
    nodes = []

    def make() -> AcquisitionNode:
        nodes.append(AcquisitionNode())
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def world(make_node):
    return World(make_node())


class UnforeseenError(Exception):
    """Nobody expects it."""


def raising_once(owner: Any, name: str) -> Any:
    """Make a method raise at its next call only."""

    def act(world: World) -> None:
        target = owner(world)
        original = getattr(target, name)

        def replacement(*arguments: Any) -> Any:
            setattr(target, name, original)
            raise UnforeseenError("out of the blue")

        setattr(target, name, replacement)

    return act


def sent(take: str, data: bytes) -> Any:
    return lambda world: getattr(world, take)(data)


def changed_state(**changes: Any) -> Any:
    """A robot state with some fields of the end effector's pose replaced."""

    def act(world: World) -> None:
        data = world.messages.fill(world.reading.arm, world.reading.reported)
        message = deserialize_message(data, FrankaRobotState)
        for name, value in changes.items():
            setattr(message.o_t_ee.pose.orientation, name, value)
        world.take_state(serialize_message(message))

    return act


def lying_image(**changes: Any) -> Any:
    def act(world: World) -> None:
        message = Image(height=48, width=64, step=192, encoding="rgb8", data=bytes(48 * 192))
        message.header.stamp = to_time(world.time.now)
        for name, value in changes.items():
            setattr(message, name, value)
        world.take_image(serialize_message(message))

    return act


def session(world: World) -> Any:
    return world.node._run.session


def open_run_outcome(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "run.yaml").read_text())["outcome"]


CASES = {
    "on_state raises": (raising_once(session, "on_state"), "unexpected_error"),
    "on_image raises": (raising_once(session, "on_image"), "unexpected_error"),
    "tick raises": (raising_once(session, "tick"), "unexpected_error"),
    "recording raises": (
        raising_once(lambda world: world.node._run.recorder, "write"),
        "unexpected_error",
    ),
    "a sample raises": (raising_once(lambda w: w.node._run, "_publish_sample"), "unexpected_error"),
    "sending raises": (raising_once(lambda w: w.node, "_send"), "unexpected_error"),
    "decoding a state raises": (
        raising_once(lambda w: w.node._run._decoder, "decode"),
        "unexpected_error",
    ),
    "four bytes for an image": (sent("take_image", b"\0\1\0\0"), "image_changed_format"),
    "an image that lies": (lying_image(step=7), "image_changed_format"),
    "four bytes for a state": (sent("take_state", b"\0\1\0\0"), "not_finite"),
    "a zero quaternion": (changed_state(x=0.0, y=0.0, z=0.0, w=0.0), "not_finite"),
    "a quaternion that is no number": (changed_state(x=float("nan")), "not_finite"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_arm_retracts_the_bag_is_closed_and_the_node_goes_on(world, name):
    act, cause = CASES[name]
    result = world.go(world.accept(), act)
    assert (result.success, result.cause) == (False, cause)
    assert "retracted" in result.message
    assert world.gap_mm > 0.4 * PROTOCOL["start"]["standoff_mm"]
    assert open_run(Path(result.bag).parent).sample_count > 10
    assert world.node._run is None


def test_after_all_that_the_next_run_succeeds(world):
    world.go(world.accept(), CASES["tick raises"][0])
    assert world.go(world.accept()).success


def test_a_run_that_nobody_can_drive_ends_and_no_target_is_sent(world):
    def break_it(world: World) -> None:
        def tick(_now_s: float) -> None:
            raise UnforeseenError("for ever")

        session(world).tick = tick
        world.targets = 0

    result = world.go(world.accept(), break_it)
    assert result.cause == "unexpected_error"
    assert "left where it stopped" in result.message
    assert world.targets == 0
    assert world.go(world.accept()).success


def test_samples_that_always_raise_do_not_keep_the_arm_from_retracting(world):
    def break_it(world: World) -> None:
        def publish_sample(_sample: Any, _run: Any) -> None:
            raise UnforeseenError("for ever")

        world.node._run._publish_sample = publish_sample

    result = world.go(world.accept(), break_it)
    assert result.cause == "unexpected_error"
    assert "retracted" in result.message
    assert world.gap_mm > 0.4 * PROTOCOL["start"]["standoff_mm"]


def test_an_error_in_the_way_back_begins_it_anew(world):
    def break_it(world: World) -> None:
        world.node._run.session.stop(Cause.CANCELLED, "asked for")
        maneuvers = session(world)._maneuvers
        original = maneuvers.retract

        def retract(step: str) -> Any:
            maneuvers.retract = original
            raise UnforeseenError("on the way back")
            yield

        maneuvers.retract = retract

    result = world.go(world.accept(), break_it)
    assert "retracted" in result.message
    assert world.gap_mm > 0.4 * PROTOCOL["start"]["standoff_mm"]


def test_a_cancelled_run_ends_though_the_virtual_clock_stands_still(world):
    goal = world.accept()

    def cancel(world: World) -> None:
        world.node._cancel()
        world.time.standstill_s = 11.0
        world.node._end_at_standstill()

    assert world.go(goal, cancel).cause == "cancelled"
    assert not open_run_outcome(Path(goal.result.bag).parent)["success"]


def test_a_goal_cancelled_before_its_run_ends_without_motion_or_recording(world):
    goal = world.accept()
    world.node._cancel()
    result = world.go(goal)
    assert (result.cause, "nothing has moved" in result.message) == ("cancelled", True)
    assert not (world.node._planner.data_folder / goal.request.output).exists()
    assert world.targets == 0
    assert world.go(world.accept()).success


def test_a_goal_is_refused_with_the_reason_while_the_robot_cannot_move(world):
    world.arm.inject(ArmFault.USER_STOPPED, 0.0)
    result = world.go(world.accept())
    assert result.cause == "refused"
    assert "robot mode: USER_STOPPED, expected IDLE or MOVE" in result.message
    assert world.targets == 0


def test_a_virtual_clock_that_stood_still_before_the_goal_refuses_nothing(world):
    world.time.standstill_s = 60.0
    assert world.go(world.accept()).success


def test_a_check_that_fails_unexpectedly_refuses_the_goal(world, monkeypatch):
    def fail(*_arguments: Any) -> Any:
        raise UnforeseenError("in a check")

    monkeypatch.setattr("tacdiff_ros.nodes.rig_observer.check_rig", fail)
    result = world.go(world.accept())
    assert result.cause == "refused" and "in a check" in result.message


def test_the_last_state_of_a_run_says_that_nothing_is_touched(world):
    states = []
    publish = world.node._states.publish
    world.node._states = SimpleNamespace(publish=lambda m: (states.append(m), publish(m)))
    world.go(world.accept(), CASES["four bytes for an image"][0])
    assert states[-1].phase == AcquisitionState.PHASE_IDLE
    assert not states[-1].in_contact


def test_a_last_state_that_cannot_be_sent_keeps_no_client_waiting(world):
    publish = world.node._states.publish

    def fragile(message: Any) -> None:
        if getattr(message, "phase", None) == AcquisitionState.PHASE_IDLE:
            raise UnforeseenError("the last one")
        publish(message)

    world.node._states = SimpleNamespace(publish=fragile)
    assert world.go(world.accept()).success
    assert world.node._run is None


def test_a_bad_message_is_counted_with_its_topic(world):
    world.take_image(b"")  # no run is active: not looked at
    world.go(world.accept(), CASES["four bytes for an image"][0])
    assert world.node.dropped.count >= 1


def test_cancelling_a_refused_goal_does_not_stop_the_run_of_another_client(world):
    mine, other = world.accept(), world.accept()
    assert (other.ended, other.result.cause) == ("aborted", "refused")
    assert world.node._goal._on_cancel(other) is CancelResponse.REJECT
    assert world.go(mine).success
    assert mine.ended == "succeeded"


def test_a_goal_that_does_not_fit_on_the_disk_is_refused(world, monkeypatch):
    free = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr("tacdiff_ros.recording.run_cost.shutil.disk_usage", lambda _path: free)
    goal = world.accept()
    assert goal.result.cause == "refused"
    assert "0.0 GB are free" in goal.result.message
    assert not (world.node._planner.data_folder / goal.request.output).exists()


def test_a_second_publisher_of_targets_stops_the_run_and_the_arm_retracts_once_it_has_left(world):
    def appear(world: World) -> None:
        world.publishers, world.seen_ns = 2, world.time.now

    def watch(_data: bytes) -> None:
        if world.publishers == 2 and world.time.now - world.seen_ns > 500 * MS:
            world.publishers = 1

    original, world.take_state = world.take_state, lambda data: (watch(data), original(data))
    result = world.go(world.accept(), appear)
    assert result.cause == "second_publisher"
    assert "expected only this node" in result.message
    assert "retracted" in result.message


def test_robot_states_in_another_frame_stop_the_run_and_the_message_names_both(world):
    result = world.go(world.accept(), lambda w: w.arm.inject(ArmFault.OTHER_FRAME_ID, 0.3))
    assert result.cause == "base_frame"
    assert "'world'" in result.message and "'base'" in result.message


def test_recover_is_refused_while_a_run_is_active_and_a_goal_during_a_recovery(world):
    goal = world.accept()
    response = world.node._recovery._on_request(None, None)
    assert (response.success, response.message[:15]) == (False, "a run is active")
    assert world.go(goal).success
    assert world.node._recovery._on_request(None, Ticket()) is None
    refused = world.accept()
    assert refused.result.cause == "refused"
    assert "`recover` is active" in refused.result.message


def test_a_run_starts_without_building_the_types_of_its_recording(world, monkeypatch):
    """It took a tenth of a second, in which no target would be sent and no state processed."""
    monkeypatch.setattr("tacdiff_ros.recording.run_recorder.get_types_from_msg", None)
    assert world.go(world.accept()).success


def test_the_rig_is_not_checked_during_a_run(world):
    responses = []

    def check(world: World) -> None:
        responses.append(world.node._checks._on_request(None, None))

    assert world.go(world.accept(), check).success
    assert [response.success for response in responses] == [False]
    assert "a run is active" in responses[0].message
    assert world.node._checks._on_request(None, Ticket()) is None


def test_streams_that_never_came_are_named(make_node, monkeypatch):
    node = make_node()
    lines: list[str] = []
    monkeypatch.setattr(node, "get_logger", lambda: SimpleNamespace(warning=lines.append))
    node._on_image(serialize_message(Image()))
    node._warn_of_silence()
    (line,) = lines
    assert "robot_state" in line and "broadcaster" in line
