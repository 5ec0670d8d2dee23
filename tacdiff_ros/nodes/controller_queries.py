"""Asks the controller manager and the subscribers of the targets, without blocking."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node

from tacdiff_ros.acquisition.rig_observation import Controller, SteeredFrames

LIST_CONTROLLERS = "controller_manager/list_controllers"
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
        self._node = node
        self._end_s = time.monotonic() + RESPONSE_TIMEOUT_S
        services = {name for name, _ in node.get_service_names_and_types()}
        self._listing: _Query | None = None
        list_controllers = _list_controllers_type()
        name = node.resolve_service_name(LIST_CONTROLLERS)
        if list_controllers is not None and name in services:
            self._listing = _Query(node, list_controllers, name, list_controllers.Request())
        self._parameters = {
            subscriber: _Query(
                node,
                GetParameters,
                f"{subscriber}/get_parameters",
                GetParameters.Request(names=list(PARAMETERS)),
            )
            for subscriber in subscribers[:MAX_NODES]
            if f"{subscriber}/get_parameters" in services
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
        """Return the loaded controllers; None without a response."""
        response = self._listing.response() if self._listing is not None else None
        if response is None:
            return None
        return tuple(Controller(each.name, each.state) for each in response.controller)

    def steered_frames(self) -> tuple[SteeredFrames, ...]:
        """Return the frames of those subscribers that have the parameter `end_effector_frame`."""
        frames = []
        for node, query in self._parameters.items():
            response = query.response()
            values = [value.string_value for value in response.values] if response else []
            if len(values) == len(PARAMETERS) and values[0]:
                frames.append(SteeredFrames(node, *values))
        return tuple(frames)

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
