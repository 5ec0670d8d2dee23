"""Calls of services and actions that do not block the executor and always end."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node

from tacdiff_ros.errors import InputError


def call_service(
    node: Node, service_type: Any, name: str, request: Any, timeout_s: float
) -> Generator[None, None, Any]:
    """Call a service; each `yield` waits for the next poll by the caller.

    Args:
        node: node that calls.
        service_type: type of the service.
        name: name of the service.
        request: request to send.
        timeout_s: maximum time from discovery to response, s.

    Returns:
        Response of the service.

    Raises:
        InputError: the service does not exist or does not respond in time.
    """
    end_s = time.monotonic() + timeout_s
    client = node.create_client(service_type, name)
    try:
        yield from _until(client.service_is_ready, end_s, f"nobody offers {client.srv_name}")
        future = client.call_async(request)
        yield from _until(future.done, end_s, f"{client.srv_name} did not respond in time")
        return future.result()
    finally:
        node.destroy_client(client)


def call_action(
    node: Node, action_type: Any, name: str, goal: Any, timeout_s: float
) -> Generator[None, None, int]:
    """Send a goal to an action and wait for its end; each `yield` waits for the next poll.

    Args:
        node: node that calls.
        action_type: type of the action.
        name: name of the action.
        goal: goal to send.
        timeout_s: maximum time from discovery to the end of the goal, s.

    Returns:
        Status of the goal, see action_msgs/msg/GoalStatus.

    Raises:
        InputError: the action does not exist, refuses the goal or does not end in time.
    """
    end_s = time.monotonic() + timeout_s
    client = ActionClient(node, action_type, name)
    try:
        yield from _until(client.server_is_ready, end_s, f"nobody offers the action {name}")
        accepted = client.send_goal_async(goal)
        yield from _until(accepted.done, end_s, f"{name} did not respond in time")
        if not accepted.result().accepted:
            raise InputError(f"{name} refused the goal")
        result = accepted.result().get_result_async()
        yield from _until(result.done, end_s, f"{name} did not end in time")
        return int(result.result().status)
    finally:
        client.destroy()


def _until(condition: Any, end_s: float, reason: str) -> Generator[None, None, None]:
    while not condition():
        if time.monotonic() > end_s:
            raise InputError(reason)
        yield
