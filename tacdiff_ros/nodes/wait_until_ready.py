"""Wait until nodes are ready, for scripts and launch files; exit code 1 where one never will be."""

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
    """Entry point."""
    interrupts: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: interrupts.append(number))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nodes", nargs="+", type=_name, help="names without namespace")
    parser.add_argument("--timeout", type=_seconds, default=600.0, help="seconds, above 0")
    words = sys.argv[1:]
    ros = words.index("--ros-args") if "--ros-args" in words else len(words)
    options, ros_arguments = parser.parse_args(words[:ros]), words[ros:]
    rclpy.init(args=[sys.argv[0], *ros_arguments], signal_handler_options=SignalHandlerOptions.NO)
    node = Node("wait_until_ready")
    line = wait(node, options.nodes, options.timeout, interrupts)
    node.destroy_node()
    rclpy.try_shutdown()
    if line:
        print(f"error: {line}", file=sys.stderr)
    return 1 if line else 0


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
    """Why the wait ended early; empty when all are ready."""
    watch = ReadinessWatch(node, names)
    end_s = time.monotonic() + timeout_s
    while missing := watch.missing():
        if interrupts:
            return "interrupted"
        if failures := watch.failures():
            return "; ".join(failures)
        if time.monotonic() > end_s:
            return f"not ready within {timeout_s:g} s: {missing}"
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
