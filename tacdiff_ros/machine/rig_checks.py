"""Checks of the rig: of its file, and by the running node `acquisition` (`check_rig`)."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from tacdiff_ros.acquisition.rig_file import read_rig
from tacdiff_ros.acquisition.rig_settings import CHECKSUM_DIGITS, RigSettings
from tacdiff_ros.errors import InputError
from tacdiff_ros.machine.check import Check, State
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.sensor_file import read_sensor

TIMEOUT_S = 30.0
MAX_MOUNT_MM = 400.0
NAMESPACE = re.compile(r"(/?[A-Za-z_]\w*)(/[A-Za-z_]\w*)*/?|/?")
LINE = re.compile(r"(good|warning|bad) +([^:]+): (.*)")
START_ADVICE = (
    "start it with `ros2 launch tacdiff_ros bringup.launch.py params_file:=YOUR_RIG.yaml`, or give "
    "its --namespace"
)


def check_rig_file(path: Path) -> Iterator[Check]:
    """Check a rig file, without nodes.

    Args:
        path: rig file, or a parameter file with a rig.

    Yields:
        One check per part of the rig; a single bad one if there is no valid rig.
    """
    try:
        rig = read_rig(path)
    except InputError as error:
        yield Check("rig file", "bad", str(error))
        return
    yield Check("rig file", "good", rig.line)
    yield _check_mount(rig)
    yield _check_part(
        "indenter",
        rig.indenter,
        lambda spec: f"{_height_mm(spec):.1f} mm high",
        "name it, so that twin and recordings agree: `tacdiff rig write --indenter SPEC`",
    )
    yield _check_part(
        "sensor file",
        rig.sensor_file,
        lambda file: _described_sensor(Path(file).expanduser()),
        "calibrate the sensor (docs/calibration.md), and `tacdiff rig write --sensor FILE`",
    )
    frames = [name for name in ("base_frame", "end_effector_frame") if not getattr(rig, name)]
    if frames:
        advice = "name them, as in the shipped tacdiff.yaml"
        yield Check("frames", "warning", f"{' and '.join(frames)} not named", advice)
    else:
        yield Check("frames", "good", f"{rig.end_effector_frame} in {rig.base_frame}")


def compare_checksums(path: Path, checks: Iterable[Check]) -> Check:
    """Compare a rig file with the rig of the running node.

    Args:
        path: rig file.
        checks: checks by the node, one of which states its rig.
    """
    try:
        expected = read_rig(path).checksum[:CHECKSUM_DIGITS]
    except InputError as error:
        return Check("running rig", "bad", str(error))
    stated = next((check.detail for check in checks if check.name == "rig"), "")
    if f"checksum {expected}," in stated:
        return Check("running rig", "good", f"the nodes run with {path}")
    advice = f"start them with rig_file:={path}"
    return Check("running rig", "bad", f"the nodes have another rig ({stated or 'none'})", advice)


def _check_mount(rig: RigSettings) -> Check:
    """Check that the mount's pose is one of a sensor at a hand."""
    distance_mm = math.hypot(*rig.mount_position_mm)
    detail = f"gel {distance_mm:.1f} mm from the end effector"
    if distance_mm > MAX_MOUNT_MM:
        return Check("mount", "bad", detail, f"expected up to {MAX_MOUNT_MM:g}: are these mm?")
    if rig.mount_position_mm == RigSettings().mount_position_mm:
        advice = "measure yours, or find it by `tacdiff rig mount RUN`"
        return Check("mount", "warning", f"{detail}, as in the shipped file", advice)
    return Check("mount", "good", detail)


def _check_part(name: str, value: str, read: Callable[[str], str], advice: str) -> Check:
    """Check a part of the rig that may be missing.

    Args:
        name: name of the part.
        value: value in the rig; empty if it is missing.
        read: function that describes the value, or raises InputError.
        advice: remedy if it is missing.
    """
    if not value:
        return Check(name, "warning", "not named", advice)
    try:
        return Check(name, "good", f"{value} ({read(value)})")
    except InputError as error:
        return Check(name, "bad", str(error))


def _height_mm(spec: str) -> float:
    low, high = build_indenter(spec).bounds
    return float(high[2] - low[2])


def _described_sensor(path: Path) -> str:
    model = read_sensor(path)
    return f"{model.sensor_id}, checksum {model.checksum[:CHECKSUM_DIGITS]}"


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
