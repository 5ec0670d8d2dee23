"""Publishes whether a node is ready: latched `readiness`, diagnostics and the log."""

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
LOG_PERIOD_S = 5.0  # minimum time between two log lines during a stage
ESTIMATE_STEP_S = 5.0  # change of the estimated time left that is published


class ReadinessReport:
    """Observes a node's attribute `preparation` and publishes every change of its state."""

    def __init__(self, node: Node) -> None:
        """Start the observation.

        Args:
            node: node to observe; without the attribute `preparation` it is ready immediately.
        """
        self._node = node
        self._published: tuple[Any, ...] = ()
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
        current = (*state, _rounded_estimate(preparation))
        if current != self._published:
            self._published = current
            self._publish(preparation, *state)
        elif preparation is not None and not (preparation.is_ready or preparation.failure):
            self._node.get_logger().info(preparation.describe(), throttle_duration_sec=LOG_PERIOD_S)

    def _publish(
        self,
        preparation: Preparation | None,
        ready: bool,
        stage: str,
        number: int,
        count: int,
        failure: str,
    ) -> None:
        """Publish the state as readiness message and as diagnostics, and log it.

        Args:
            preparation: preparation of the node; None if it has none.
            ready: whether the node is ready.
            stage: name of the current stage.
            number: number of the current stage, from 1.
            count: number of stages.
            failure: message of the failed stage; empty if none failed.
        """
        seconds_left = 0.0 if preparation is None else preparation.seconds_left
        message = Readiness(
            node=self._node.get_fully_qualified_name(),
            ready=ready,
            stage=stage,
            stage_number=number,
            stage_count=count,
            seconds_left=float(seconds_left),
            failure=failure,
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._ready.publish(message)
        line = "ready" if preparation is None else preparation.describe()
        summary = getattr(self._node, "summary", "")
        if ready and summary:
            line = f"{line}: {summary}"
        self._publish_diagnostics(line, ready, failure)
        logger = self._node.get_logger()
        if failure:
            logger.error(line)
        else:
            logger.info(line)

    def _publish_diagnostics(self, line: str, ready: bool, failure: str) -> None:
        level = DiagnosticStatus.OK if ready else DiagnosticStatus.WARN
        status = DiagnosticStatus(
            level=DiagnosticStatus.ERROR if failure else level,
            name=f"{self._node.get_fully_qualified_name()}: readiness",
            message=line,
        )
        report = DiagnosticArray(status=[status])
        report.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(report)


def _rounded_estimate(preparation: Preparation | None) -> int:
    """Return the time left in steps of `ESTIMATE_STEP_S`; -1 if it is unknown.

    A change of this number is published, so that the estimate is updated during a long stage.
    """
    left_s = 0.0 if preparation is None else preparation.seconds_left
    return -1 if math.isnan(left_s) else round(left_s / ESTIMATE_STEP_S)
