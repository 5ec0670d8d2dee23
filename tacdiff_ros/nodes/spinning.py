"""Start a node, spin it, and end it in order."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.machine.ros_environment import PARENT_VARIABLE
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.readiness import ReadinessReport

log = logging.getLogger(__name__)

WATCH_PERIOD_S = 0.1  # a signal waits so long when nothing happens
FAREWELL_S = 0.3
PAUSE_AFTER_ERROR_S = 1e-3
SAME_SIGNAL_S = 1.0


@runtime_checkable
class StoppableNode(Protocol):
    """A node that wants to finish something before it ends."""

    def request_stop(self, reason: str) -> None:
        """Begin to finish; called once, from the spinning thread."""

    def is_finished(self) -> bool:
        """Whether the process may end now."""


def run(make_node: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Run a node until a signal; the exit code: 0, or 2 with one line for bad input.

    A node with an attribute `preparation` says on `readiness` how far it is; others are ready at
    once. SIGINT and SIGTERM ask a `StoppableNode` to finish first; a second signal, later than a
    moment, ends it at once.
    """
    signals: list[tuple[int, float]] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        signals.append((number, time.monotonic()))

    signal.signal(signal.SIGINT, remember)
    signal.signal(signal.SIGTERM, remember)
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
        ReadinessReport(node)
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


def _spin(node: Any, signals: list[tuple[int, float]]) -> None:
    """Spin until the watch ends it.

    One event at a time: `EventsExecutor.spin` of rclpy 7.1 takes a whole core when signals are not
    rclpy's own, and runs Python's signal handlers late.
    """
    executor = _make_executor()
    executor.add_node(node)
    watch = _SignalWatch(node, signals)
    while True:
        try:
            if watch.wants_end():
                return
            executor.spin_once(timeout_sec=WATCH_PERIOD_S)
        except ExternalShutdownException:
            return
        except Exception as error:  # of rclpy itself, or of a callback that it makes
            _report(node, error)


def _report(node: Any, error: Exception) -> None:
    """Log an exception that came out of the executor, and go on."""
    if isinstance(node, GuardedNode):
        node.report_unexpected("an event failed", error)
    else:
        log_exception(log, "an event failed", error)
    time.sleep(PAUSE_AFTER_ERROR_S)  # one that comes back at once must not take a whole core


class _SignalWatch:
    """Ends the node when a signal came and it has finished.

    The end of the process that started the node, where that asks for it, counts as SIGTERM.
    """

    def __init__(self, node: Any, signals: list[tuple[int, float]]) -> None:
        self._parent = int(os.environ.get(PARENT_VARIABLE, "0"))
        self._node = node
        self._signals = signals
        self._asked = False
        self._finished_s: float | None = None

    def wants_end(self) -> bool:
        """Whether to leave the spinning now; cheap, it is asked after every event."""
        if self._parent and os.getppid() != self._parent:
            self._parent = 0
            self._signals.append((signal.SIGTERM, time.monotonic()))
        if not self._signals:
            return False
        if not isinstance(self._node, StoppableNode) or self._insisted():
            return True
        if not self._asked:
            self._asked = True
            self._node.request_stop(signal.Signals(self._signals[0][0]).name)
        if not self._node.is_finished():
            return False
        # Results that are on their way shall still reach their clients.
        self._finished_s = self._finished_s or time.monotonic()
        return time.monotonic() - self._finished_s > FAREWELL_S

    def _insisted(self) -> bool:
        """A launch and its terminal may both send the first signal; that is no second one."""
        after_s = getattr(self._node, "insists_after_s", SAME_SIGNAL_S)
        return self._signals[-1][1] - self._signals[0][1] > after_s


def _make_executor() -> Any:
    """The events executor where rclpy has it: it takes less CPU at 1 kHz."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _refuse(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    rclpy.try_shutdown()
    return 2
