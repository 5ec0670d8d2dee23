"""Nodes that compile say so, and refuse requests meanwhile with the time that is left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from tacdiff_ros.msg import Readiness
from tacdiff_ros.srv import SimulateTouch

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.nodes.qos import LATCHED_FROM_MANY
from tacdiff_ros.optics import llvm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
    ),
]
COMPILING_S = 240.0  # on a busy core


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A simulator that finds no compiled kernel, and a node to meet it."""
    folder = tmp_path_factory.mktemp("cold")
    environment = isolated_environment() | {"TACDIFF_CACHE_DIR": str(folder / "cache")}
    environment.pop("DRJIT_CACHE_DIR", None)  # this process may have chosen it for itself
    before = dict(os.environ)
    os.environ.update(environment)
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("tester", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    said: list[Readiness] = []
    node.create_subscription(Readiness, "readiness", said.append, LATCHED_FROM_MANY)
    node.diagnostics = []
    node.create_subscription(DiagnosticArray, "/diagnostics", node.diagnostics.append, 10)
    touch = node.create_client(SimulateTouch, "simulate_touch")

    def call(patience_s: float, tries: int = 1) -> SimulateTouch.Response:
        """Asked again where an answer is lost: the server may not have met this client yet."""
        request = SimulateTouch.Request(indenter="sphere:diameter=5", depth=3e-4)
        for _ in range(tries):
            future = touch.call_async(request)
            executor.spin_until_future_complete(future, timeout_sec=patience_s)
            if future.done():
                return future.result()
        pytest.fail("no answer")

    with ExitStack() as stack:
        stack.enter_context(running_node("tactile_simulator", [], folder / "log", environment))
        assert touch.wait_for_service(60.0)
        yield node, executor, said, call, environment
    node.destroy_node()
    context.try_shutdown()
    os.environ.clear()
    os.environ.update(before)


def test_a_request_before_readiness_is_told_how_long_to_wait(cold):
    _node, _executor, _said, call, _environment = cold
    response = call(5.0, tries=12)
    assert not response.success
    assert response.message.startswith("not ready yet: compiling kernels, first run only")
    assert "s left" in response.message


def test_waiting_for_readiness_ends_when_requests_are_answered(cold):
    _node, executor, said, call, environment = cold
    waiter = [sys.executable, "-m", "tacdiff_ros.nodes.wait_until_ready", "tactile_simulator"]
    done = subprocess.run(
        waiter, env=environment, capture_output=True, text=True, timeout=COMPILING_S
    )
    assert done.returncode == 0, done.stderr
    end = time.monotonic() + 10.0
    while not (said and said[-1].ready) and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    assert said[-1].node == "/tactile_simulator"
    assert call(60.0).success
    stages = [message.stage_number for message in said if not message.ready]
    assert stages == sorted(stages) and said[0].stage_count >= 1


def test_what_is_compiled_is_kept_in_the_users_folder(cold):
    environment = cold[-1]
    kept = {path.name for path in Path(environment["TACDIFF_CACHE_DIR"]).iterdir()}
    assert {"numba", "drjit", "warm"} <= kept


def test_a_node_that_is_no_more_is_waited_for_no_longer_than_asked(cold):
    environment = cold[-1]
    waiter = [sys.executable, "-m", "tacdiff_ros.nodes.wait_until_ready", "nobody"]
    done = subprocess.run(
        [*waiter, "--timeout", "1"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "not ready within 1 s: nobody is not running yet" in done.stderr
