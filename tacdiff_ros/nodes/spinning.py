"""Starts a node, spins it, and shuts it down in order."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, Protocol, runtime_checkable

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from tacdiff_ros.blas_threads import use_one_blas_thread
from tacdiff_ros.errors import InputError
from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.kept_memory import keep_freed_memory
from tacdiff_ros.machine.ros_environment import PARENT_VARIABLE
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.readiness import ReadinessReport

log = logging.getLogger(__name__)

WATCH_PERIOD_S = 0.1  # maximum delay of the reaction to a signal in a node without events
DELIVERY_S = 0.3  # time before the shutdown in which the last results reach their clients
PAUSE_AFTER_ERROR_S = 1e-3
SAME_SIGNAL_S = 1.0  # signals within this time count as one


@runtime_checkable
class StoppableNode(Protocol):
    """A node that completes some work before its process ends."""

    def request_stop(self, reason: str) -> None:
        """Begin to finish; called once, in the spinning thread, with the name of the signal."""

    def is_finished(self) -> bool:
        """Whether the process may end now."""


def run(make_node: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM.

    The state of a node's attribute `preparation` is published on `readiness`; a node without it is
    ready immediately. A signal asks a `StoppableNode` to finish first; a second signal, more than
    `SAME_SIGNAL_S` later, ends it immediately.

    Args:
        make_node: function that creates the node.
        arguments: ROS command line arguments; None for those of the process.

    Returns:
        Exit code 0. If the input is invalid, the process ends with 2 after one line on stderr.
    """
    # Images and matrices of this size gain no time by threads. Those of OpenCV cost 13 % more CPU,
    # and one of BLAS that waits for its partner occupies a core.
    cv2.setNumThreads(1)
    use_one_blas_thread()
    keep_freed_memory()
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
        _exit_with_error(str(error))
    except Exception as error:
        if type(error).__name__ not in ("RCLError", "UnknownROSArgsError"):
            raise
        _exit_with_error(str(error))
    try:
        _spin(node, signals)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    _end_if_preparing(node)
    return 0


def _end_if_preparing(node: Any) -> None:
    """End the process now if a preparation still runs.

    It cannot be interrupted, and an interpreter that takes the modules from under it aborts.
    """
    preparation = getattr(node, "preparation", None)
    if preparation is not None and preparation.is_running:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _spin(node: Any, signals: list[tuple[int, float]]) -> None:
    """Spin until the signal watch ends the node.

    The executor processes one event per call: `EventsExecutor.spin` of rclpy 7.1 occupies a whole
    core if rclpy does not handle the signals, and runs Python's signal handlers late.
    """
    executor = _make_executor()
    executor.add_node(node)
    watch = _SignalWatch(node, signals)
    while True:
        try:
            if watch.should_exit():
                return
            executor.spin_once(timeout_sec=WATCH_PERIOD_S)
        except ExternalShutdownException:
            return
        except Exception as error:  # of rclpy itself, or of a callback that rclpy creates
            _report(node, error)


def _report(node: Any, error: Exception) -> None:
    """Log an exception of the executor, so that spinning can continue."""
    if isinstance(node, GuardedNode):
        node.report_unexpected("an event failed", error)
    else:
        log_exception(log, "an event failed", error)
    time.sleep(PAUSE_AFTER_ERROR_S)  # an error that recurs immediately must not occupy a whole core


class _SignalWatch:
    """Decides after a signal when the node has finished and may end.

    If `PARENT_VARIABLE` names the process that started the node, the end of that process counts as
    SIGTERM.
    """

    def __init__(self, node: Any, signals: list[tuple[int, float]]) -> None:
        self._parent = int(os.environ.get(PARENT_VARIABLE, "0"))
        self._node = node
        self._signals = signals
        self._stop_requested = False
        self._finished_s: float | None = None

    def should_exit(self) -> bool:
        """Return whether to stop spinning now; cheap, because it is called after every event."""
        if self._parent and os.getppid() != self._parent:
            self._parent = 0
            self._signals.append((signal.SIGTERM, time.monotonic()))
        if not self._signals:
            return False
        if not isinstance(self._node, StoppableNode) or self._was_repeated():
            return True
        if not self._stop_requested:
            self._stop_requested = True
            self._node.request_stop(signal.Signals(self._signals[0][0]).name)
        if not self._node.is_finished():
            return False
        # Results that were just sent must still reach their clients.
        self._finished_s = self._finished_s or time.monotonic()
        return time.monotonic() - self._finished_s > DELIVERY_S

    def _was_repeated(self) -> bool:
        """Return whether the user sent a second signal.

        A launch file and its terminal may both pass on the first one, shortly after each other.
        """
        after_s = getattr(self._node, "second_signal_after_s", SAME_SIGNAL_S)
        return self._signals[-1][1] - self._signals[0][1] > after_s


def _make_executor() -> Any:
    """Return the events executor if rclpy has it: it needs less CPU time at 1 kHz."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def _exit_with_error(message: str) -> NoReturn:
    """End the process with one line and exit code 2.

    It ends at once: a node whose construction failed may have threads of native libraries, and an
    interpreter that takes the modules from under them sometimes aborts.
    """
    print("error: " + " ".join(message.split()), file=sys.stderr)
    rclpy.try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)
