"""Counts messages that a node could not use, and says so in diagnostics and the log."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType

PERIOD_S = 1.0
QUIET_S = 5.0  # between two lines of the log for one topic
CLEAN_S = 10.0  # without a bad message, after which the status is OK again
MAX_CAUSE_CHARACTERS = 300


@dataclass
class _Dropped:
    """Of one topic."""

    count: int = 0
    cause: str = ""
    last_s: float = 0.0
    logged_s: float = -QUIET_S


class DroppedMessages:
    """By topic; may be told from any thread."""

    def __init__(self, node: Any) -> None:
        """Report once a second while messages are dropped, and once when that is over."""
        self._node = node
        self._topics: dict[str, _Dropped] = {}
        self._lock = threading.Lock()
        self._reported_clean = 0  # the count at which it was said that all is well
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def count(self) -> int:
        """Of all topics."""
        with self._lock:
            return sum(topic.count for topic in self._topics.values())

    def add(self, topic: str, cause: str) -> None:
        """A message of a topic was not used."""
        now_s, line = time.monotonic(), " ".join(cause.split())[:MAX_CAUSE_CHARACTERS]
        with self._lock:
            dropped = self._topics.setdefault(topic, _Dropped())
            dropped.count, dropped.cause, dropped.last_s = dropped.count + 1, line, now_s
            quiet = now_s - dropped.logged_s < QUIET_S
            if not quiet:
                dropped.logged_s = now_s
            count = dropped.count
        if not quiet:
            self._node.get_logger().warning(f"{topic}: message dropped ({count} so far): {line}")

    def _report(self) -> None:
        with self._lock:
            topics = {name: (topic.count, topic.cause) for name, topic in self._topics.items()}
            last_s = max((topic.last_s for topic in self._topics.values()), default=0.0)
        count = sum(number for number, _ in topics.values())
        bad = time.monotonic() - last_s < CLEAN_S
        if not bad and count == self._reported_clean:
            return  # said once that it is over
        self._reported_clean = -1 if bad else count
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN if bad else DiagnosticStatus.OK,
            name=f"{self._node.get_fully_qualified_name()}: messages",
            message=f"{count} messages dropped",
            values=[
                KeyValue(key=name, value=f"{number} dropped; last: {cause}")
                for name, (number, cause) in topics.items()
            ],
        )
        report = DiagnosticArray(status=[status])
        report.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(report)
