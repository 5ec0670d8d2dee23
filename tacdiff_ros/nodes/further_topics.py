"""Topics that a run records beside its own, whatever their type."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.definitions import read_definitions
from tacdiff_ros.recording.run_recorder import Topic, is_standard

DEPTH = 50
TYPE_NAME = re.compile(r"(\w+)/msg/(\w+)")


class FurtherTopics:
    """Subscribed while a run lasts, with the quality of service of their publishers."""

    def __init__(self, node: Node, names: list[str], record: Callable[[str, bytes], None]) -> None:
        """Look up who publishes and subscribe.

        Args:
            node: that subscribes.
            names: relative or absolute.
            record: takes a name as given and a serialised message.

        Raises:
            InputError: nobody publishes one of them, or its type is not installed.
        """
        self._node = node
        found = [(name, _publishers(node, name)) for name in names]
        types = [(name, infos, infos[0].topic_type) for name, infos in found]
        classes = [_message_class(kind) for _, _, kind in types]
        self.topics = [Topic(node.resolve_topic_name(name), kind) for name, _, kind in types]
        foreign = {kind.split("/")[0] for _, _, kind in types if not is_standard(kind)}
        self.definitions = read_definitions(sorted(foreign))
        self._subscriptions = [  # last: nothing below may fail
            node.create_subscription(kind, name, partial(record, name), _quality(infos), raw=True)
            for (name, infos, _), kind in zip(types, classes, strict=True)
        ]

    def close(self) -> None:
        """Take in no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []


def _publishers(node: Node, name: str) -> list[TopicEndpointInfo]:
    infos = node.get_publishers_info_by_topic(node.resolve_topic_name(name))
    if not infos:
        raise InputError(
            f"parameter 'also_record': nobody publishes {name}: start its node, or leave it out"
        )
    return list(infos)


def _message_class(kind: str) -> Any:
    named = TYPE_NAME.fullmatch(kind)
    try:
        package, name = named.groups() if named else ("", "")
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"parameter 'also_record': {kind} is not installed or not sourced"
        ) from error


def _quality(infos: list[TopicEndpointInfo]) -> QoSProfile:
    """The most that all publishers offer: others would not be heard."""
    offered = [info.qos_profile for info in infos]
    reliable = all(q.reliability == ReliabilityPolicy.RELIABLE for q in offered)
    kept = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
    return QoSProfile(
        depth=DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE,
    )
