"""Waits for nodes that compile before they are ready, and reports their progress."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence

import rclpy
from rclpy.node import Node

from tacdiff_ros.msg import Readiness
from tacdiff_ros.nodes.qos import LATCHED_FROM_MANY
from tacdiff_ros.nodes.readiness import READINESS_TOPIC

PERIOD_S = 0.2
PRINT_PERIOD_S = 1.0


class ReadinessWatch:
    """Latest readiness messages of the awaited nodes."""

    def __init__(self, node: Node, names: Sequence[str], if_there: Sequence[str] = ()) -> None:
        """Subscribe to the readiness of nodes.

        Args:
            node: node that subscribes.
            names: names of the awaited nodes, without namespace.
            if_there: names of further nodes that are awaited only if they run, without namespace.
        """
        self._node = node
        self._latest: dict[str, Readiness | None] = dict.fromkeys(names)
        self._optional = set(if_there)
        # Awaited nodes that were present in the ROS graph; it may list a node only after that
        # node's first message.
        self._discovered: set[str] = set()
        self._printed_s = 0.0
        if names or if_there:
            node.create_subscription(
                Readiness, READINESS_TOPIC, self._on_readiness, LATCHED_FROM_MANY
            )

    def describe_pending(self) -> str:
        """Spin briefly, then return the state of the nodes that are not ready.

        The state is also printed to stderr as JSON, at most once per `PRINT_PERIOD_S`.

        Returns:
            One line that names every pending node; empty if all nodes are ready.
        """
        if not (self._latest or self._optional):
            return ""
        rclpy.spin_once(self._node, timeout_sec=PERIOD_S)
        pending = [
            (name, message)
            for name, message in self._latest.items()
            if message is None or not message.ready
        ]
        if not pending:
            return ""
        line = "; ".join(_describe(name, message) for name, message in pending)
        if time.monotonic() - self._printed_s > PRINT_PERIOD_S:
            self._printed_s = time.monotonic()
            print(json.dumps({"waiting": line}), file=sys.stderr, flush=True)
        return line

    def failures(self) -> list[str]:
        """Return one line with name and reason for each node that will never become ready."""
        alive = set(self._node.get_node_names())
        failed = {
            name: message.failure
            for name, message in self._latest.items()
            if message and message.failure
        }
        self._discovered |= alive & set(self._latest)
        gone = dict.fromkeys(self._discovered - alive, "has ended")
        return [f"{name}: {reason}" for name, reason in (gone | failed).items()]

    def _on_readiness(self, message: Readiness) -> None:
        name = message.node.rsplit("/", 1)[-1]
        if name in self._latest or name in self._optional:
            self._latest[name] = message


def _describe(name: str, message: Readiness | None) -> str:
    if message is None:
        return f"{name} is not running yet"
    left = message.seconds_left
    estimate = "" if math.isnan(left) else f", about {left:.0f} s left"
    number, count = message.stage_number, message.stage_count
    return f"{name} is preparing {message.stage} ({number} of {count}{estimate})"
