"""Wait until nodes are ready; exit code 1 if a node cannot become ready or the time is up."""

from __future__ import annotations

import argparse
import signal
import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from tacdiff_ros.nodes.readiness_watch import ReadinessWatch


def main() -> int:
    """Run the command line program."""
    interrupts: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: interrupts.append(number))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", nargs="+", type=_name, help="node names without namespace")
    parser.add_argument(
        "--timeout", type=_seconds, default=600.0, help="maximum waiting time, s, above 0"
    )
    words = sys.argv[1:]
    ros_index = words.index("--ros-args") if "--ros-args" in words else len(words)
    options, ros_arguments = parser.parse_args(words[:ros_index]), words[ros_index:]
    rclpy.init(args=[sys.argv[0], *ros_arguments], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("wait_until_ready")
    failure = wait(node, options.nodes, options.timeout, interrupts)
    node.destroy_node()
    rclpy.try_shutdown()
    if failure:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failure else 0


def _name(text: str) -> str:
    if "/" in text:
        raise argparse.ArgumentTypeError(f"'{text}': give the name without its namespace")
    return text


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} s: expected above 0 and below 1e6")
    return value


def wait(node: Node, names: list[str], timeout_s: float, interrupts: list[int]) -> str:
    """Wait until nodes are ready.

    Args:
        node: node that listens.
        names: names of the awaited nodes, without namespace.
        timeout_s: maximum waiting time, s.
        interrupts: received signals; the wait ends as soon as there is one.

    Returns:
        Reason why the wait ended early; empty if all nodes are ready.
    """
    watch = ReadinessWatch(node, names)
    end_s = time.monotonic() + timeout_s
    while pending := watch.describe_pending():
        if interrupts:
            return "interrupted"
        if failures := watch.failures():
            return "; ".join(failures)
        if time.monotonic() > end_s:
            return f"not ready within {timeout_s:g} s: {pending}"
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
