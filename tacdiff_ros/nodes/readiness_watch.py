"""Waits for nodes that compile before they are ready, and tells how far they are."""

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
SHOWN_EVERY_S = 1.0


class ReadinessWatch:
    """The last word of some nodes about their readiness."""

    def __init__(self, node: Node, names: Sequence[str], if_there: Sequence[str] = ()) -> None:
        """Listen.

        Args:
            node: that listens.
            names: of nodes that are waited for, without namespace.
            if_there: names of nodes that are waited for once they are there.
        """
        self._node = node
        self._said: dict[str, Readiness | None] = dict.fromkeys(names)
        self._if_there = set(if_there)
        self._met: set[str] = set()  # in the graph, which may know a node after its first message
        self._shown_s = 0.0
        if names or if_there:
            node.create_subscription(
                Readiness, READINESS_TOPIC, self._on_readiness, LATCHED_FROM_MANY
            )

    def missing(self) -> str:
        """What the first node that is not ready does; empty when all are ready."""
        if not (self._said or self._if_there):
            return ""
        rclpy.spin_once(self._node, timeout_sec=PERIOD_S)
        waiting = [
            (name, said) for name, said in self._said.items() if said is None or not said.ready
        ]
        if not waiting:
            return ""
        line = "; ".join(_describe(name, said) for name, said in waiting)
        if time.monotonic() - self._shown_s > SHOWN_EVERY_S:
            self._shown_s = time.monotonic()
            print(json.dumps({"waiting": line}), file=sys.stderr, flush=True)
        return line

    def failures(self) -> list[str]:
        """Nodes that will never be ready, and why."""
        alive = set(self._node.get_node_names())
        failed = {name: said.failure for name, said in self._said.items() if said and said.failure}
        self._met |= alive & set(self._said)
        gone = dict.fromkeys(self._met - alive, "has ended")
        return [f"{name}: {why}" for name, why in (gone | failed).items()]

    def _on_readiness(self, message: Readiness) -> None:
        name = message.node.rsplit("/", 1)[-1]
        if name in self._said or name in self._if_there:
            self._said[name] = message


def _describe(name: str, said: Readiness | None) -> str:
    if said is None:
        return f"{name} is not there yet"
    left = said.seconds_left
    about = "" if math.isnan(left) else f", about {left:.0f} s left"
    return f"{name} prepares {said.stage} ({said.stage_number} of {said.stage_count}{about})"
