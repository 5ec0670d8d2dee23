"""ROS nodes as processes of their own, apart from every other ROS graph."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.resources import config_path

STOP_TIMEOUT_S = 8.0
LAST_DOMAIN = 100  # higher ones run into Linux's ephemeral ports
DDS_FIRST_PORT, DDS_PORTS_PER_DOMAIN = 7400, 250  # DDS-RTPS 2.2, section 9.6.1


def isolated_environment() -> dict[str, str]:
    """Environment with a domain of its own on this machine only.

    What is started for a demonstration must not command a robot on the network.

    Raises:
        InputError: every domain of this machine is in use.
    """
    return {
        **os.environ,
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }


def free_domain() -> int:
    """A ROS domain whose ports nobody on this machine has bound.

    Raises:
        InputError: every domain of this machine is in use.
    """
    used = {(port - DDS_FIRST_PORT) // DDS_PORTS_PER_DOMAIN for port in _bound_udp_ports()}
    free = [domain for domain in range(1, LAST_DOMAIN + 1) if domain not in used]
    if not free:
        raise InputError(f"the ROS domains 1 to {LAST_DOMAIN} are all in use: end some ROS nodes")
    return random.choice(free)  # noqa: S311


def _bound_udp_ports() -> list[int]:
    tables = [Path("/proc/net/udp"), Path("/proc/net/udp6")]
    lines = [line for path in tables if path.exists() for line in path.read_text().splitlines()]
    return [int(line.split()[1].rsplit(":", 1)[1], 16) for line in lines if "sl" not in line]


@contextmanager
def running_node(
    node: str, extra: list[str], log_file: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A node with the shipped parameters for virtual hardware, interrupted at the end.

    Args:
        node: name in `nodes.txt`.
        extra: further ROS arguments, ["-p", "source:=generated"].
        log_file: takes what the node prints.
        environment: as from `isolated_environment`.
    """
    files = [config_path("tacdiff.yaml"), config_path("fake_hardware.yaml")]
    parameters = [part for file in files for part in ("--params-file", str(file))] + extra
    command = [sys.executable, "-m", f"tacdiff_ros.nodes.{node}", "--ros-args", *parameters]
    with log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
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
