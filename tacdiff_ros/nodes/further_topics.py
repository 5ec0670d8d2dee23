"""Additional topics of any type that a run records, as listed in the parameter `also_record`."""

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
    """Subscriptions during a run, with the quality of service of the publishers.

    Attributes:
        topics: resolved names and types of the topics.
        definitions: text of the non-standard message definitions by full type name.
    """

    def __init__(self, node: Node, names: list[str], record: Callable[[str, bytes], None]) -> None:
        """Query the publishers of the topics and subscribe.

        Args:
            node: node that subscribes.
            names: relative or absolute topic names.
            record: callback for each message; it receives the topic name as in `names` and the
                serialised message.

        Raises:
            InputError: a topic has no publisher, or its type is not installed.
        """
        self._node = node
        publishers = [(name, _publishers(node, name)) for name in names]
        types = [(name, infos, infos[0].topic_type) for name, infos in publishers]
        classes = [_message_class(type_name) for _, _, type_name in types]
        self.topics = [Topic(node.resolve_topic_name(name), kind) for name, _, kind in types]
        packages = {kind.split("/")[0] for _, _, kind in types if not is_standard(kind)}
        self.definitions = read_definitions(sorted(packages))
        # Last, because an exception after it would leave open subscriptions.
        self._subscriptions = [
            node.create_subscription(
                message_class, name, partial(record, name), _common_qos(infos), raw=True
            )
            for (name, infos, _), message_class in zip(types, classes, strict=True)
        ]

    def close(self) -> None:
        """Unsubscribe from all topics."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []


def require_publishers(node: Node, names: list[str]) -> None:
    """Check that every topic is published.

    Args:
        node: node that asks.
        names: relative or absolute topic names.

    Raises:
        InputError: a topic has no publisher.
    """
    for name in names:
        _publishers(node, name)


def _publishers(node: Node, name: str) -> list[TopicEndpointInfo]:
    infos = node.get_publishers_info_by_topic(node.resolve_topic_name(name))
    if not infos:
        raise InputError(
            f"parameter 'also_record': nobody publishes {name}: start its node, or remove the name"
        )
    return list(infos)


def _message_class(type_name: str) -> Any:
    match = TYPE_NAME.fullmatch(type_name)
    try:
        package, name = match.groups() if match else ("", "")
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"parameter 'also_record': {type_name} is not installed or its workspace not sourced"
        ) from error


def _common_qos(infos: list[TopicEndpointInfo]) -> QoSProfile:
    """Return the strictest profile that all publishers offer; stricter ones would not connect."""
    offered = [info.qos_profile for info in infos]
    reliable = all(q.reliability == ReliabilityPolicy.RELIABLE for q in offered)
    latched = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
    return QoSProfile(
        depth=DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
