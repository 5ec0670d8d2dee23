"""Counts messages that a node could not use, and reports them in diagnostics and the log."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType

PERIOD_S = 1.0
LOG_PERIOD_S = 5.0  # minimum time between two log lines for one topic
CLEAN_S = 10.0  # time without a dropped message after which the status is OK again
MAX_CAUSE_CHARACTERS = 300


@dataclass
class _DropStatistics:
    """Dropped messages of one topic; times are those of the monotonic clock, s."""

    count: int = 0
    cause: str = ""
    last_s: float = -math.inf
    logged_s: float = -LOG_PERIOD_S


class DroppedMessages:
    """Number and last cause of the dropped messages of each topic; can be used by any thread."""

    def __init__(self, node: Any) -> None:
        """Start the periodic report: every second while messages are dropped, and once after that.

        Args:
            node: node that publishes the diagnostics.
        """
        self._node = node
        self._topics: dict[str, _DropStatistics] = {}
        self._lock = threading.Lock()
        self._reported_ok_count = 0  # count with which the status OK was last published
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def count(self) -> int:
        """Number of dropped messages of all topics."""
        with self._lock:
            return sum(topic.count for topic in self._topics.values())

    def add(self, topic: str, cause: str) -> None:
        """Count a dropped message and log it, at most once per topic and `LOG_PERIOD_S`.

        Args:
            topic: topic of the message.
            cause: reason why the message was dropped.
        """
        now_s, line = time.monotonic(), " ".join(cause.split())[:MAX_CAUSE_CHARACTERS]
        with self._lock:
            dropped = self._topics.setdefault(topic, _DropStatistics())
            dropped.count, dropped.cause, dropped.last_s = dropped.count + 1, line, now_s
            logged_recently = now_s - dropped.logged_s < LOG_PERIOD_S
            if not logged_recently:
                dropped.logged_s = now_s
            count = dropped.count
        if not logged_recently:
            self._node.get_logger().warning(f"{topic}: message dropped ({count} so far): {line}")

    def _report(self) -> None:
        with self._lock:
            topics = {name: (topic.count, topic.cause) for name, topic in self._topics.items()}
            last_s = max((topic.last_s for topic in self._topics.values()), default=-math.inf)
        count = sum(number for number, _ in topics.values())
        dropped_recently = time.monotonic() - last_s < CLEAN_S
        if not dropped_recently and count == self._reported_ok_count:
            return  # the status OK is published only once
        self._reported_ok_count = -1 if dropped_recently else count
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN if dropped_recently else DiagnosticStatus.OK,
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
