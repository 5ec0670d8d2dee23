"""A service whose answer may come later, without blocking the executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node


class DeferredService:
    """A service whose callback returns a response, or None and answers later with `answer`.

    rclpy sends what a callback returns at once, and polls coroutines with a whole core. Both of its
    executors send through the service's own `send_response`, which is where this waits.
    """

    def __init__(
        self, node: Node, service_type: Any, name: str, callback: Callable[[Any, Any], Any]
    ) -> None:
        """Create the service; `callback(request, ticket)` returns a response or None."""
        self._callback = callback
        self._service = node.create_service(service_type, name, self._on_request)
        self._send = self._service.send_response
        self._service.send_response = self._on_response
        self._pending: list[Any] = []

    def answer(self, ticket: Ticket, response: Any) -> None:
        """Send the answer to a request that was put off."""
        self._send(response, ticket.header)

    def _on_request(self, request: Any, response: Any) -> Any:
        ticket = Ticket()
        given = self._callback(request, ticket)
        if given is None:
            self._pending.append(ticket)
            return response
        return given

    def _on_response(self, response: Any, header: Any) -> None:
        if self._pending:
            self._pending.pop().header = header
            return
        self._send(response, header)


class Ticket:
    """Stands for a request that is answered later."""

    header: Any = None
