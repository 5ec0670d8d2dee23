"""A node that is told to end while it compiles ends at once, without a trace of its thread."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

from tacdiff_ros.machine.ros_environment import isolated_environment

MAX_START_S, MAX_END_S = 120.0, 10.0


def test_a_signal_during_the_preparation_ends_the_node_without_an_error(tmp_path):
    environment = os.environ | isolated_environment() | {"TACDIFF_CACHE_DIR": str(tmp_path)}
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tacdiff_ros.nodes.mesh_inversion"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        end_s = time.monotonic() + MAX_START_S
        while "compiling kernels" not in log.read_text() and time.monotonic() < end_s:
            time.sleep(0.2)
        assert "compiling kernels" in log.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(MAX_END_S) == 0
    finally:
        process.kill()
        process.wait()
    assert not re.search("Traceback|Error|Fatal|terminate", log.read_text())
