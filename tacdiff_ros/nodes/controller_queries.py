"""Asks the controller manager and the subscribers of the targets, without blocking."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node

from tacdiff_ros.acquisition.rig_observation import Controller, SteeredFrames
from tacdiff_ros.nodes.topics import CONTROLLER_MANAGER

LIST_CONTROLLERS = f"{CONTROLLER_MANAGER}/list_controllers"
PARAMETERS = ("end_effector_frame", "base_frame")
RESPONSE_TIMEOUT_S = 1.0  # on the wall clock: services do not follow a virtual one
MAX_NODES = 8


class ControllerQueries:
    """Requests to the controller manager and to the nodes that subscribe to the targets.

    Only services that exist are called, so that a graph without them costs no time.
    """

    def __init__(self, node: Node, subscribers: Sequence[str]) -> None:
        """Send nothing yet; `are_done` sends each request as soon as its service responds.

        Args:
            node: node that asks.
            subscribers: full names of the nodes that subscribe to the targets.
        """
        self._subscribers = tuple(subscribers[:MAX_NODES])
        self._end_s = time.monotonic() + RESPONSE_TIMEOUT_S
        services = {name for name, _ in node.get_service_names_and_types()}
        self._listing: _Query | None = None
        list_controllers = _list_controllers_type()
        name = node.resolve_service_name(LIST_CONTROLLERS)
        if list_controllers is not None and name in services:
            self._listing = _Query(node, list_controllers, name, list_controllers.Request())
        # One request per name: a node that lacks one name of a request returns none of them.
        self._parameters = {
            (subscriber, parameter): _Query(
                node,
                GetParameters,
                f"{subscriber}/get_parameters",
                GetParameters.Request(names=[parameter]),
            )
            for subscriber in self._subscribers
            if f"{subscriber}/get_parameters" in services
            for parameter in PARAMETERS
        }

    def are_done(self) -> bool:
        """Return whether every request has its response, or the time is up."""
        pending = [query for query in self._queries() if not query.is_done()]
        return not pending or time.monotonic() > self._end_s

    def close(self) -> None:
        """Destroy the clients."""
        for query in self._queries():
            query.close()

    def controllers(self) -> tuple[Controller, ...] | None:
        """Return the loaded controllers, whose nodes have their names; None without a response."""
        response = self._listing.response() if self._listing is not None else None
        if response is None:
            return None
        nodes = {node.rpartition("/")[2] for node in self._subscribers}
        return tuple(
            Controller(each.name, each.state, each.name in nodes) for each in response.controller
        )

    def steered_frames(self) -> tuple[SteeredFrames, ...]:
        """Return the frames of those subscribers that have the parameter `end_effector_frame`."""
        nodes = dict.fromkeys(node for node, _ in self._parameters)
        frames = [
            SteeredFrames(node, *(self._text(node, parameter) for parameter in PARAMETERS))
            for node in nodes
        ]
        return tuple(each for each in frames if each.end_effector)

    def _text(self, node: str, parameter: str) -> str:
        """Return the value of a string parameter; empty if the node does not have it."""
        response = self._parameters[node, parameter].response()
        return response.values[0].string_value if response and response.values else ""

    def _queries(self) -> list[_Query]:
        return [*self._parameters.values(), *([self._listing] if self._listing else [])]


class _Query:
    """One request, sent as soon as its service is discovered."""

    def __init__(self, node: Node, service_type: Any, name: str, request: Any) -> None:
        self._node, self._request = node, request
        self._client = node.create_client(service_type, name)
        self._future: Any = None

    def is_done(self) -> bool:
        """Send the request if that is possible; return whether the response has arrived."""
        if self._future is None and self._client.service_is_ready():
            self._future = self._client.call_async(self._request)
        return self._future is not None and bool(self._future.done())

    def response(self) -> Any:
        """Return the response; None without one."""
        if self._future is None or not self._future.done() or self._future.exception():
            return None
        return self._future.result()

    def close(self) -> None:
        """Destroy the client."""
        self._node.destroy_client(self._client)


def _list_controllers_type() -> Any:
    """Return the service type; None if ros2_control is not installed."""
    try:
        from controller_manager_msgs.srv import ListControllers
    except ImportError:
        return None
    return ListControllers
