"""A service that can respond later without blocking the executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node


class DeferredService:
    """A service whose callback returns a response, or None to respond later with `respond`.

    rclpy immediately sends what a callback returns, and it polls coroutines continuously, which
    occupies a whole core. Both of its executors send through the method `send_response` of the
    service, which this class replaces.
    """

    def __init__(
        self, node: Node, service_type: Any, name: str, callback: Callable[[Any, Any], Any]
    ) -> None:
        """Create the service.

        Args:
            node: node that offers the service.
            service_type: type of the service.
            name: name of the service.
            callback: function of the request and its ticket that returns the response, or None
                if the response follows later.
        """
        self._callback = callback
        self._service = node.create_service(service_type, name, self._on_request)
        self._send = self._service.send_response
        self._service.send_response = self._on_response
        self._pending: list[Any] = []

    def respond(self, ticket: Ticket, response: Any) -> None:
        """Send the response to a deferred request.

        Args:
            ticket: ticket that the callback received with the request.
            response: response to send.
        """
        self._send(response, ticket.header)

    def _on_request(self, request: Any, response: Any) -> Any:
        ticket = Ticket()
        immediate = self._callback(request, ticket)
        if immediate is None:
            self._pending.append(ticket)
            return response
        return immediate

    def _on_response(self, response: Any, header: Any) -> None:
        if self._pending:
            self._pending.pop().header = header
            return
        self._send(response, header)


class Ticket:
    """Identifies a request whose response follows later.

    Attributes:
        header: header of the request, which rclpy needs to send the response.
    """

    header: Any = None
