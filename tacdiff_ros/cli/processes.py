"""Runs ROS nodes as child processes, isolated from every other ROS graph."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tacdiff_ros.machine.ros_environment import (
    PARENT_VARIABLE,
    free_domain,
    isolated_environment,
)
from tacdiff_ros.resources import config_path

__all__ = ["free_domain", "isolated_environment", "running_node"]

STOP_TIMEOUT_S = 8.0


@contextmanager
def running_node(
    node: str, extra: list[str], log_file: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node with the shipped parameters for virtual hardware; interrupt it at the end.

    The node also ends when this process is killed.

    Args:
        node: node name in `nodes.txt`.
        extra: further ROS arguments, such as ["-p", "source:=generated"].
        log_file: file to which the output of the node is appended.
        environment: environment variables, see `isolated_environment`.

    Yields:
        Process of the node.
    """
    files = [config_path("tacdiff.yaml"), config_path("fake_hardware.yaml")]
    parameters = [part for file in files for part in ("--params-file", str(file))] + extra
    command = [sys.executable, "-m", f"tacdiff_ros.nodes.{node}", "--ros-args", *parameters]
    parent = {PARENT_VARIABLE: str(os.getpid())}
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            command,
            env=environment | parent,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
