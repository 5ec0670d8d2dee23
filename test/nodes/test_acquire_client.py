"""The client of the action `acquire` beside a server of this test, over real DDS."""

import os
import threading

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
from rclpy.action import ActionClient, ActionServer  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.task import Future  # noqa: E402
from tacdiff_ros.action import Acquire  # noqa: E402

from tacdiff_ros.cli.processes import isolated_environment  # noqa: E402
from tacdiff_ros.nodes import acquire_client  # noqa: E402


@pytest.fixture
def client_node(monkeypatch):
    """A node of a client; a server that succeeds with every goal spins in another thread."""
    for name, value in isolated_environment().items():
        monkeypatch.setitem(os.environ, name, value)
    rclpy.init()
    server_node = rclpy.create_node("server")

    def execute(handle):
        handle.succeed()
        return Acquire.Result(success=True, message=f"{handle.request.trials} trials")

    server = ActionServer(server_node, Acquire, "acquire", execute)
    executor = SingleThreadedExecutor()
    executor.add_node(server_node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    node = rclpy.create_node("client")
    yield node
    executor.shutdown()
    thread.join()
    server.destroy()
    server_node.destroy_node()
    node.destroy_node()
    rclpy.try_shutdown()


def test_a_goal_whose_response_was_lost_is_followed_to_its_result(client_node, monkeypatch):
    monkeypatch.setattr(acquire_client, "LOST_RESPONSE_S", 0.2)
    send = ActionClient.send_goal_async

    def lose(self, *arguments):
        send(self, *arguments)
        return Future()

    monkeypatch.setattr(ActionClient, "send_goal_async", lose)
    result = acquire_client.acquire(client_node, Acquire.Goal(trials=3), 20.0, [])
    assert (result["success"], result["message"]) == (True, "3 trials")
