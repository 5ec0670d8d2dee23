"""A node under test in a process of its own, and a node to meet it on a domain of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Meeting:
    """The node that tests publish and subscribe with."""

    node: Any
    executor: Any

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Take in messages until something holds, or time is up."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)

    def meet(self, *publishers: Any) -> None:
        """Wait until somebody listens to the publishers."""
        self.spin(30.0, lambda: all(p.get_subscription_count() for p in publishers))
        self.spin(0.5)


@pytest.fixture(scope="session")
def ready() -> Callable[..., None]:
    """Waits until a node has compiled what it needs, however slow the machine is."""

    def wait(name: str, environment: dict[str, str], arguments: list[str] | None = None) -> None:
        command = [sys.executable, "-m", "tacdiff_ros.nodes.wait_until_ready", name]
        namespace = [word for word in arguments or [] if word.startswith("__ns:=")]
        remapped = ["--ros-args", "-r", *namespace] if namespace else []
        done = subprocess.run(
            [*command, *remapped], env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr

    return wait


@pytest.fixture(scope="module")
def meeting(tmp_path_factory, ready) -> Iterator[Callable[[str, list[str]], Meeting]]:
    """Starts a node with arguments, and gives a node to meet it."""
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    from tacdiff_ros.cli.processes import isolated_environment, running_node

    environment, before = isolated_environment(), dict(os.environ)
    os.environ.update(environment)
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("tester", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    with ExitStack() as stack:

        def start(name: str, arguments: list[str]) -> Meeting:
            log = tmp_path_factory.mktemp("log") / f"{name}.log"
            stack.enter_context(running_node(name, arguments, log, environment))
            ready(name, environment, arguments)
            return Meeting(node, executor)

        yield start
    node.destroy_node()
    context.try_shutdown()
    os.environ.clear()
    os.environ.update(before)
