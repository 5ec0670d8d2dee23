"""Says on DDS whether a node can do its work: latched `readiness`, diagnostics and the log."""

from __future__ import annotations

import math
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from tacdiff_ros.msg import Readiness
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.preparation import Preparation

READINESS_TOPIC = "readiness"
PERIOD_S = 0.25
QUIET_S = 5.0  # between two lines of the log


class ReadinessReport:
    """Watches a node's attribute `preparation` and publishes every change."""

    def __init__(self, node: Node) -> None:
        """Begin; a node without the attribute is ready now."""
        self._node = node
        self._said: tuple[Any, ...] = ()
        self._ready = node.create_publisher(Readiness, READINESS_TOPIC, LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._report()

    def _report(self) -> None:
        preparation = getattr(self._node, "preparation", None)
        if preparation is None:
            state = (True, "", 0, 0, "")
        else:
            state = (
                preparation.is_ready,
                preparation.stage,
                preparation.number,
                preparation.count,
                preparation.failure,
            )
        said = (*state, _coarse_s(preparation))
        if said != self._said:
            self._said = said
            self._publish(preparation, *state)
        elif preparation is not None and not (preparation.is_ready or preparation.failure):
            self._node.get_logger().info(preparation.describe(), throttle_duration_sec=QUIET_S)

    def _publish(
        self,
        preparation: Preparation | None,
        ready: bool,
        stage: str,
        number: int,
        count: int,
        failure: str,
    ) -> None:
        left = 0.0 if preparation is None else preparation.seconds_left
        message = Readiness(
            node=self._node.get_fully_qualified_name(),
            ready=ready,
            stage=stage,
            stage_number=number,
            stage_count=count,
            seconds_left=float(left),
            failure=failure,
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._ready.publish(message)
        line = "ready" if preparation is None else preparation.describe()
        self._diagnose(line, ready, failure)
        logger = self._node.get_logger()
        if failure:
            logger.error(line)
        else:
            logger.info(line)

    def _diagnose(self, line: str, ready: bool, failure: str) -> None:
        level = DiagnosticStatus.OK if ready else DiagnosticStatus.WARN
        status = DiagnosticStatus(
            level=DiagnosticStatus.ERROR if failure else level,
            name=f"{self._node.get_fully_qualified_name()}: readiness",
            message=line,
        )
        report = DiagnosticArray(status=[status])
        report.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(report)


def _coarse_s(preparation: Preparation | None) -> int:
    """Time left in steps of 5 s, so that it is published while a stage goes on; -1: not known."""
    left_s = 0.0 if preparation is None else preparation.seconds_left
    return -1 if math.isnan(left_s) else round(left_s / 5.0)
