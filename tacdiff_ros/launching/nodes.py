"""Launch actions for the package's own nodes."""

from __future__ import annotations

from typing import Any

from launch_ros.actions import Node

# Before the node ends, an interrupted run retracts the arm and closes its recording.
TIME_TO_RETRACT_S = "20"


def tacdiff_node(name: str, namespace: str, log_level: str, **options: Any) -> Node:
    """Return a node of this package.

    Args:
        name: name of the node and of its executable.
        namespace: namespace of the node.
        log_level: least severe messages that it prints.
        options: further options of the action.
    """
    return Node(
        package="tacdiff_ros",
        executable=name,
        name=name,
        namespace=namespace,
        ros_arguments=["--log-level", log_level],
        output="screen",
        **options,
    )
