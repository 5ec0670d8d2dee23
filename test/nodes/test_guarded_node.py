"""One guard around every callback: what arrives is dropped, counted and answered, never fatal."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import os

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from tacdiff_ros.errors import InputError
from tacdiff_ros.machine.ros_environment import isolated_environment
from tacdiff_ros.nodes.guarded_node import GuardedNode


class FragileNode(GuardedNode):
    """Raises at what its callbacks are given."""

    def __init__(self) -> None:
        super().__init__("fragile")
        self.widths: list[int] = []
        self.unexpected: list[str] = []
        self.ticks = 0
        self.create_subscription(Image, "pictures", self._on_image, 10)
        self.create_service(Trigger, "trigger", self._on_trigger)
        self.create_timer(0.01, self._tick)

    def on_unexpected(self, task: str, error: BaseException) -> None:
        self.unexpected.append(f"{task}: {error}")

    def _on_image(self, message: Image) -> None:
        if message.width == 13:
            raise InputError("thirteen is not wanted")
        if message.width == 66:
            raise ZeroDivisionError("sixty-six")
        self.widths.append(message.width)

    def _on_trigger(self, _request: Trigger.Request, response: Trigger.Response):
        raise KeyError("trigger")

    def _tick(self) -> None:
        self.ticks += 1
        if self.ticks == 3:
            raise ZeroDivisionError("the third tick")


class Meeting:
    def __init__(self, node: FragileNode, context) -> None:
        self.node = node
        self.tester = rclpy.create_node("tester", context=context)
        self.pictures = self.tester.create_publisher(Image, "pictures", 50)
        self.clock = self.tester.create_publisher(Clock, "/clock", 10)
        self.diagnostics: list[DiagnosticStatus] = []
        self.tester.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=context)
        self.executor.add_node(node)
        self.executor.add_node(self.tester)
        self.until(lambda: self.pictures.get_subscription_count() > 0)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics += [s for s in message.status if s.name.endswith("messages")]

    def until(self, holds, seconds: float = 20.0) -> None:
        for _ in range(int(seconds / 0.02)):
            if holds():
                return
            self.executor.spin_once(timeout_sec=0.02)
        pytest.fail("it does not happen")


@pytest.fixture(scope="module")
def meeting():
    before = dict(os.environ)
    os.environ.update(isolated_environment())
    rclpy.init()
    meeting = Meeting(FragileNode(), rclpy.get_default_context())
    yield meeting
    meeting.node.destroy_node()
    meeting.tester.destroy_node()
    rclpy.try_shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("data", [b"\0\1\0\0", b"\0\1\0\0" + b"\xff" * 50, b"\0"])
def test_bytes_that_are_no_message_are_dropped_and_the_next_message_is_taken(meeting, data):
    dropped = meeting.node.dropped.count
    meeting.pictures.publish(data)
    meeting.until(lambda: meeting.node.dropped.count == dropped + 1)
    meeting.node.widths.clear()
    meeting.pictures.publish(Image(width=7))
    meeting.until(lambda: meeting.node.widths == [7])


def test_what_callbacks_raise_costs_that_message_only(meeting):
    meeting.node.widths.clear()
    for width in (1, 13, 66, 2):
        meeting.pictures.publish(Image(width=width))
    meeting.until(lambda: meeting.node.widths == [1, 2])
    assert meeting.node.unexpected.count("a message on pictures failed: sixty-six") == 1


def test_diagnostics_name_topic_count_and_cause(meeting):
    meeting.pictures.publish(Image(width=13))
    meeting.until(
        lambda: any("thirteen" in s.values[0].value for s in meeting.diagnostics if s.values)
    )
    status = meeting.diagnostics[-1]
    assert status.level == DiagnosticStatus.WARN
    assert status.values[0].key == "pictures"
    assert f"{meeting.node.dropped.count} messages dropped" == status.message


def test_a_timer_goes_on_after_it_raised(meeting):
    meeting.until(lambda: meeting.node.ticks > 5)
    assert "a timer failed: the third tick" in meeting.node.unexpected


def test_a_request_that_raises_is_answered_with_the_cause(meeting):
    client = meeting.tester.create_client(Trigger, "trigger")
    assert client.wait_for_service(20.0)
    future = client.call_async(Trigger.Request())
    meeting.until(future.done)
    assert not future.result().success
    assert "KeyError" in future.result().message


def test_a_clock_before_the_beginning_of_time_is_dropped(meeting):
    meeting.node.set_parameters([Parameter("use_sim_time", value=True)])
    meeting.until(lambda: meeting.clock.get_subscription_count() > 0)
    dropped = meeting.node.dropped.count
    message = Clock()
    message.clock.sec = -5
    meeting.clock.publish(message)
    meeting.until(lambda: meeting.node.dropped.count > dropped)
    message.clock.sec = 5
    meeting.clock.publish(message)
    meeting.until(lambda: meeting.node.get_clock().now().nanoseconds == 5_000_000_000)
