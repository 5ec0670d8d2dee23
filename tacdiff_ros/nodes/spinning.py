"""Start a node, spin it, and end it in order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from tacdiff_ros.errors import InputError


class StoppableNode(Protocol):
    """A node that wants to finish something before it ends."""

    def request_stop(self, reason: str) -> None:
        """Begin to finish; called once, from the spinning thread."""

    def is_finished(self) -> bool:
        """Whether the process may end now."""


def run(make_node: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Run a node until a signal; the exit code: 0, or 2 with one line for bad input.

    SIGINT and SIGTERM ask a `StoppableNode` to finish first; a second signal ends it at once.
    """
    signals: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    signal.signal(signal.SIGINT, remember)
    signal.signal(signal.SIGTERM, remember)
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
    except InputError as error:
        return _refuse(str(error))
    except Exception as error:
        if type(error).__name__ not in ("RCLError", "UnknownROSArgsError"):
            raise
        return _refuse(str(error))
    try:
        _spin(node, signals)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _spin(node: Any, signals: list[int]) -> None:
    executor = _make_executor()
    executor.add_node(node)
    stopping = False
    while rclpy.ok():
        try:
            executor.spin_once(timeout_sec=0.2)
        except ExternalShutdownException:
            return
        if signals and not hasattr(node, "request_stop"):
            return
        if signals and not stopping:
            stopping = True
            node.request_stop(signal.Signals(signals[0]).name)
        if len(signals) > 1 or (stopping and node.is_finished()):
            return


def _make_executor() -> Any:
    """The events executor where rclpy has it: a third of the CPU at 1 kHz."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _refuse(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    rclpy.try_shutdown()
    return 2
