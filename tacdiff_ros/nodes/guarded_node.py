"""A node that goes on whatever a message, a request or a timer makes its callbacks raise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.nodes.dropped_messages import DroppedMessages
from tacdiff_ros.nodes.qos import REQUESTS

log = logging.getLogger(__name__)


class GuardedNode(Node):
    """Every callback of the node, rclpy's own included, runs under one guard.

    A message that cannot be decoded, or whose callback raises InputError, is dropped and counted;
    diagnostics name the cause. Any other exception leaves its traceback in the log and goes to
    `on_unexpected`. A request whose callback raises is answered with `success` false and the cause.
    """

    def __init__(self, name: str) -> None:
        """Create the node; it has the parameters that rclpy declares and no others."""
        self.dropped: DroppedMessages | None = None  # rclpy subscribes while the node is made
        super().__init__(name)
        self.dropped = DroppedMessages(self)

    def on_unexpected(self, task: str, error: BaseException) -> None:
        """React to an exception that is no InputError; its traceback is in the log already."""

    def create_subscription(
        self,
        msg_type: Any,
        topic: str,
        callback: Callable[[Any], None],
        qos_profile: QoSProfile | int,
        *,
        raw: bool = False,
        **options: Any,
    ) -> Any:
        """As rclpy's; bytes are decoded here, because rclpy loses undecodable ones silently."""

        def take(data: bytes) -> None:
            try:
                callback(data if raw else decode(msg_type, data))
            except InputError as error:
                self.drop(topic, str(error))
            except Exception as error:
                self.report_unexpected(f"a message on {topic} failed", error)
                self.drop(topic, f"{type(error).__name__}: {error}")

        return super().create_subscription(msg_type, topic, take, qos_profile, raw=True, **options)

    def create_timer(
        self, timer_period_sec: float, callback: Any, *rest: Any, **options: Any
    ) -> Any:
        """As rclpy's."""

        def call() -> None:
            try:
                callback()
            except Exception as error:
                self.report_unexpected("a timer failed", error)

        return super().create_timer(timer_period_sec, call, *rest, **options)

    def create_service(self, srv_type: Any, srv_name: str, callback: Any, **options: Any) -> Any:
        """As rclpy's; bursts of requests are kept, so that each of some hundred is answered."""
        options.setdefault("qos_profile", REQUESTS)

        def answer(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except InputError as error:
                return refusal(srv_type.Response(), str(error))
            except Exception as error:
                line = self.report_unexpected(f"a request of {srv_name} failed", error)
                return refusal(srv_type.Response(), line)

        return super().create_service(srv_type, srv_name, answer, **options)

    def answering(self, response: Any) -> AbstractContextManager[None]:
        """Context that fills a response or result: what is raised in it becomes a refusal."""
        return _Answering(self, response)

    def drop(self, topic: str, cause: str) -> None:
        """Count a message of a topic that is not used; from any thread."""
        if self.dropped is not None:
            self.dropped.add(topic, cause)

    def report_unexpected(self, task: str, error: BaseException) -> str:
        """Log an exception with its traceback, react to it; one line for a caller."""
        line = log_exception(log, task, error)
        try:
            self.on_unexpected(task, error)
        except Exception as second:  # the node goes on
            log_exception(log, f"the reaction to '{task}' failed", second)
        return line


class _Answering(AbstractContextManager[None]):
    """Turns what goes wrong while a response is filled into its refusal."""

    def __init__(self, node: GuardedNode, response: Any) -> None:
        self._node, self._response = node, response

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> bool:
        if isinstance(error, InputError):
            refusal(self._response, str(error))
        elif isinstance(error, Exception):
            refusal(self._response, self._node.report_unexpected("an answer failed", error))
        return isinstance(error, Exception)


def decode(msg_type: Any, data: bytes) -> Any:
    """Message of its serialised bytes.

    Raises:
        InputError: the bytes are no such message.
    """
    try:
        return deserialize_message(data, msg_type)
    except Exception as error:  # rclpy raises RMWError, which it does not export, and others
        raise InputError(
            f"{len(data)} bytes are no {msg_type.__name__}: do both sides have the same version of "
            "its package?"
        ) from error


def refusal(response: Any, line: str) -> Any:
    """A response that says why a request failed, as far as its type can."""
    if hasattr(response, "success") and hasattr(response, "message"):
        response.success, response.message = False, line
    return response
