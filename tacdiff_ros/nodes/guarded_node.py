"""A node that keeps running after any exception of a callback."""

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
    """A node that catches the exceptions of all its callbacks, including those of rclpy itself.

    A message that cannot be decoded, or whose callback raises InputError, is dropped and counted;
    diagnostics name the cause. Any other exception leaves its traceback in the log and is passed
    to `on_unexpected`. A request whose callback raises gets a response with `success` false and
    the cause.

    Attributes:
        dropped: counter of the dropped messages; None while the node is being constructed.
        summary: files, indenter and rates of the node, for its line `ready`.
    """

    summary = ""

    def __init__(self, name: str) -> None:
        """Create the node; it has only the parameters that rclpy declares."""
        self.dropped: DroppedMessages | None = None  # rclpy subscribes during the construction
        super().__init__(name)
        self.dropped = DroppedMessages(self)

    def on_unexpected(self, task: str, error: BaseException) -> None:
        """React to an exception other than InputError; its traceback is already in the log.

        Args:
            task: description of what failed.
            error: exception.
        """

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
        """Subscribe to a topic as `rclpy.node.Node.create_subscription` does.

        Messages are decoded here, because rclpy silently discards those that cannot be decoded.

        Args:
            msg_type: type of the messages.
            topic: name of the topic.
            callback: function that processes a message; it may raise any exception.
            qos_profile: quality of service, or queue depth.
            raw: whether the callback receives the serialised message.
            **options: further options of rclpy.

        Returns:
            rclpy subscription.
        """

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
        """Create a timer as `rclpy.node.Node.create_timer` does, with a guarded callback.

        Args:
            timer_period_sec: period, s.
            callback: function without arguments; it may raise any exception.
            *rest: further arguments of rclpy.
            **options: further options of rclpy.

        Returns:
            rclpy timer.
        """

        def call() -> None:
            try:
                callback()
            except Exception as error:
                self.report_unexpected("a timer failed", error)

        return super().create_timer(timer_period_sec, call, *rest, **options)

    def create_service(self, srv_type: Any, srv_name: str, callback: Any, **options: Any) -> Any:
        """Create a service as `rclpy.node.Node.create_service` does, with a guarded callback.

        The default queue is long enough that each request of a burst of some hundred gets a
        response.

        Args:
            srv_type: type of the service.
            srv_name: name of the service.
            callback: function of request and response that returns the response; it may raise any
                exception.
            **options: further options of rclpy.

        Returns:
            rclpy service.
        """
        options.setdefault("qos_profile", REQUESTS)

        def respond(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except InputError as error:
                return refusal(srv_type.Response(), str(error))
            except Exception as error:
                line = self.report_unexpected(f"a request of {srv_name} failed", error)
                return refusal(srv_type.Response(), line)

        return super().create_service(srv_type, srv_name, respond, **options)

    def refuse_on_error(self, response: Any) -> AbstractContextManager[None]:
        """Return a context that turns an exception into a refusal.

        Args:
            response: response or result that is filled in the context.

        Returns:
            Context manager that suppresses exceptions.
        """
        return _RefuseOnError(self, response)

    def drop(self, topic: str, cause: str) -> None:
        """Count a dropped message; can be called by any thread.

        Args:
            topic: topic of the message.
            cause: reason why the message was dropped.
        """
        if self.dropped is not None:
            self.dropped.add(topic, cause)

    def report_unexpected(self, task: str, error: BaseException) -> str:
        """Log an exception with its traceback and call `on_unexpected`.

        Args:
            task: description of what failed.
            error: exception.

        Returns:
            One line about the error for a client.
        """
        line = log_exception(log, task, error)
        try:
            self.on_unexpected(task, error)
        except Exception as second:  # the node must keep running
            log_exception(log, f"the reaction to '{task}' failed", second)
        return line


class _RefuseOnError(AbstractContextManager[None]):
    """Context that turns an exception while a response is filled into a refusal."""

    def __init__(self, node: GuardedNode, response: Any) -> None:
        self._node, self._response = node, response

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> bool:
        if isinstance(error, InputError):
            refusal(self._response, str(error))
        elif isinstance(error, Exception):
            refusal(self._response, self._node.report_unexpected("a response failed", error))
        return isinstance(error, Exception)


def decode(msg_type: Any, data: bytes) -> Any:
    """Deserialise a message.

    Args:
        msg_type: type of the message.
        data: serialised message.

    Returns:
        Message of this type.

    Raises:
        InputError: the bytes are not a message of this type.
    """
    try:
        return deserialize_message(data, msg_type)
    except Exception as error:  # rclpy raises RMWError, which it does not export, and others
        raise InputError(
            f"{len(data)} bytes are not a {msg_type.__name__}: check that both sides have the same "
            "version of its package"
        ) from error


def refusal(response: Any, line: str) -> Any:
    """Set a response to failure, if its type has `success` and `message`.

    Args:
        response: response or result, changed in place.
        line: reason of the failure.

    Returns:
        The same response.
    """
    if hasattr(response, "success") and hasattr(response, "message"):
        response.success, response.message = False, line
    return response
