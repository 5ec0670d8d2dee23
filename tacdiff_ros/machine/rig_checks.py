"""Checks of the rig by the running node `acquisition`, through its service `check_rig`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

from tacdiff_ros.errors import InputError
from tacdiff_ros.machine.check import Check, State

TIMEOUT_S = 30.0
NAMESPACE = re.compile(r"(/?[A-Za-z_]\w*)(/[A-Za-z_]\w*)*/?|/?")
LINE = re.compile(r"(good|warning|bad) +([^:]+): (.*)")
START_ADVICE = (
    "start it with `ros2 launch tacdiff_ros bringup.launch.py params_file:=YOUR_RIG.yaml`, or give "
    "its --namespace"
)


def check_rig(namespace: str) -> Iterator[Check]:
    """Ask the node `acquisition` to check the rig, without a motion.

    Args:
        namespace: namespace of the node; empty for none.

    Yields:
        One check per finding; a single bad one if the node cannot be asked.

    Raises:
        InputError: the namespace is not a valid name.
    """
    if not NAMESPACE.fullmatch(namespace):
        raise InputError(
            f"namespace is '{namespace[:60]}', expected letters, digits and _, separated by /"
        )
    result = _call_service("/" + namespace.strip("/"))
    if result["error"]:
        yield Check("rig", "bad", result["error"], START_ADVICE)
        return
    for line in result["message"].splitlines():
        match = LINE.fullmatch(line)
        state, name, detail = match.groups() if match else ("bad", "rig", line)
        yield Check(name, cast(State, state), detail)


def _call_service(namespace: str) -> dict[str, Any]:
    """Return the JSON object of the client, which is a process with ROS in this environment."""
    command = [sys.executable, "-m", "tacdiff_ros.nodes.check_rig_client"]
    try:
        done = subprocess.run(  # noqa: S603
            [*command, "--ros-args", "-r", f"__ns:={namespace}"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        return cast(dict[str, Any], json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return {"error": f"no response within {TIMEOUT_S:g} s"}
    except json.JSONDecodeError:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1].strip() if lines else f"exit code {done.returncode}"
        return {"error": f"ROS does not start here ({reason}), see `tacdiff doctor`"}
