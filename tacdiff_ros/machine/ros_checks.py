"""Checks of ROS 2: shell variables, packages, and communication between two processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tacdiff_ros.machine.check import Check
from tacdiff_ros.machine.ros_environment import (
    bundled_ros,
    foreign_entries,
    isolated_environment,
    missing_middleware,
    own_environment,
)

MAX_DOMAIN = 232  # DDS-RTPS 2.2, section 9.6.1: ports end at 65535
TIMEOUT_S = 5.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
MINIMUM_SHARED_MEMORY_MB = 16
LOOPBACK_FLAGS = Path("/sys/class/net/lo/flags")
IMPORTS = "import rclpy, sensor_msgs.msg, tacdiff_ros.msg, tacdiff_ros.srv, tacdiff_ros.action"
SETUP_ADVICE = "run `make setup`, or source a ROS workspace with this package"


def check_ros_variables(environment: Mapping[str, str] = os.environ) -> Check:
    """Check for variables that keep nodes from starting or from discovering each other.

    Processes started by `tacdiff` are not affected: they get a separate environment.

    Args:
        environment: environment variables to check.
    """
    name = "ROS variables"
    fatal, limiting = _fatal_variables(environment), _limiting_variables(environment)
    if fatal:
        advice = f"for nodes started by hand: unset {' '.join(sorted(fatal))}"
        return Check(name, "bad", "; ".join(fatal.values()), advice)
    if limiting:
        advice = "nodes started by hand discover only the nodes that these allow"
        return Check(name, "warning", "; ".join(limiting), advice)
    return Check(
        name, "good", f"domain {environment.get('ROS_DOMAIN_ID') or 0}, no conflicting ones"
    )


def check_ros_packages(
    environment: Mapping[str, str] | None = None, timeout_s: float = TIMEOUT_S
) -> Check:
    """Check that rclpy and the interfaces of this package can be imported.

    Args:
        environment: environment variables of the importing process; None for those of this shell.
        timeout_s: time limit of the import, s; a busy machine needs more.
    """
    name = "ROS packages"
    error = _import_error(environment or os.environ, timeout_s)
    if error is None:
        return Check(name, "good", "rclpy and the interfaces of tacdiff_ros can be imported")
    if "No module named" in error and not bundled_ros():
        advice = f"nodes and demo need it: {SETUP_ADVICE}"
        return Check(name, "warning", f"ROS 2 is not installed ({error})", advice)
    if _import_error(own_environment(os.environ), timeout_s) is None:
        advice = "unset the variables listed in 'ROS variables'; tacdiff's own processes work"
        return Check(name, "bad", f"the variables of this shell hide them: {error}", advice)
    return Check(name, "bad", error, SETUP_ADVICE)


def check_dds(timeout_s: float = TIMEOUT_S) -> Check:
    """Check that images are transported between two processes, best effort and reliable.

    Two processes on a separate domain exchange images of 320x240 pixels. The check reports the
    duration.

    Args:
        timeout_s: time limit for starting the receiver, and again for receiving the images, s; a
            busy machine needs more.
    """
    name = "DDS"
    try:
        received = _exchange_images(timeout_s)
    except subprocess.TimeoutExpired:
        return Check(name, "bad", f"no image within {2 * timeout_s:g} s", _likely_cause())
    except _ProbeError as error:
        return Check(name, "bad", str(error), SETUP_ADVICE)
    lost = [kind for kind in ("best_effort", "reliable") if not received[kind]]
    if lost:
        detail = f"no image arrived ({', '.join(lost).replace('_', ' ')})"
        return Check(name, "bad", detail, _likely_cause())
    detail = f"images arrive, best effort and reliable, after {received['seconds']:.1f} s"
    return Check(name, "good", detail)


class _ProbeError(Exception):
    """Failure of the sending or the receiving process, as one line."""


def _exchange_images(timeout_s: float) -> dict[str, Any]:
    """Send images between two processes and return the JSON object of the receiver.

    Raises:
        subprocess.TimeoutExpired: the receiver has not ended within twice the time limit.
        _ProbeError: a process has failed.
    """
    command = [sys.executable, "-m", "tacdiff_ros.nodes.dds_probe"]
    environment = isolated_environment()
    sender = subprocess.Popen(  # noqa: S603
        [*command, "send", f"{3 * timeout_s}"],  # it ends by itself after this time
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        receiver = subprocess.run(  # noqa: S603
            [*command, "receive", f"{timeout_s}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * timeout_s,
        )
    finally:
        sender_code = sender.poll()
        sender.kill()
        sender_output = (sender.communicate()[1] or "").strip().splitlines()
    if receiver.returncode:
        raise _ProbeError(f"receiver: {_last_line(receiver.stderr)}")
    if sender_code:
        reason = sender_output[-1] if sender_output else f"exit code {sender_code}"
        raise _ProbeError(f"sender: {reason}")
    return cast(dict[str, Any], json.loads(receiver.stdout))


def _fatal_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep nodes from starting, each with the reason."""
    fatal = {}
    if bundled_ros():
        for name, entries in foreign_entries(environment).items():
            fatal[name] = f"{name} has paths of another ROS ({entries[0]})"
    if missing := missing_middleware(environment):
        fatal["RMW_IMPLEMENTATION"] = f"RMW_IMPLEMENTATION={missing} is not installed"
    domain = environment.get("ROS_DOMAIN_ID", "")
    if domain and not (domain.isdecimal() and int(domain) <= MAX_DOMAIN):
        fatal["ROS_DOMAIN_ID"] = f"ROS_DOMAIN_ID={domain} is not a number from 0 to {MAX_DOMAIN}"
    enforced = environment.get("ROS_SECURITY_STRATEGY") == "Enforce"
    keys = environment.get("ROS_SECURITY_KEYSTORE", "")
    if environment.get("ROS_SECURITY_ENABLE") == "true":
        if enforced and not Path(keys).is_dir():
            fatal["ROS_SECURITY_ENABLE"] = f"ROS_SECURITY_KEYSTORE={keys} is not a folder"
        elif bundled_ros():
            fatal["ROS_SECURITY_ENABLE"] = "the ROS wheels have no DDS security: install ROS 2"
    return fatal


def _limiting_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that limit which nodes discover each other, as NAME=value."""
    names = [
        name
        for name in ("ROS_DISCOVERY_SERVER", "ROS_STATIC_PEERS", "CYCLONEDDS_URI")
        if environment.get(name)
    ]
    if environment.get("ROS_LOCALHOST_ONLY") == "1":
        names.append("ROS_LOCALHOST_ONLY")
    if environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET").upper() in ("OFF", "LOCALHOST"):
        names.append("ROS_AUTOMATIC_DISCOVERY_RANGE")
    return [f"{name}={environment[name]}" for name in names]


def _import_error(environment: Mapping[str, str], timeout_s: float) -> str | None:
    """Return why a Python process with these variables cannot import ROS; None if it can."""
    try:
        result = subprocess.run(  # noqa: S603
            [sys.executable, "-c", IMPORTS],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return f"the import takes over {timeout_s:g} s"
    return None if result.returncode == 0 else _last_line(result.stderr)


def _likely_cause() -> str:
    """Return the likely reason why two processes of this machine cannot communicate."""
    if LOOPBACK_FLAGS.exists() and not int(LOOPBACK_FLAGS.read_text(), 16) & 1:
        return "the loopback interface is down: `sudo ip link set lo up`"
    if not os.access(SHARED_MEMORY, os.W_OK):
        return (
            f"{SHARED_MEMORY} cannot be written to: mount it, or FASTDDS_BUILTIN_TRANSPORTS=UDPv4"
        )
    free_mb = shutil.disk_usage(SHARED_MEMORY).free / 1e6
    if free_mb < MINIMUM_SHARED_MEMORY_MB:
        return f"{SHARED_MEMORY} has {free_mb:.0f} MB left: empty it, or docker --shm-size=256m"
    return "allow UDP on the loopback interface (firewall, container network)"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "ended without output"
