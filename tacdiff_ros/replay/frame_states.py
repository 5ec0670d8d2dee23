"""Recorded state at each image: from the index of a run, messages of a bag, or poses.csv."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.input_files import one_line, printable, read_table, require_columns
from tacdiff_ros.recording.bag_reading import RecordedRun

STATE_TYPE = "tacdiff_ros/msg/AcquisitionState"
PHASES = (  # phases of AcquisitionState, in the order of their numbers
    *("idle", "move_to_start", "reference", "approach"),
    *("indent", "translate", "rotate", "retract", "stopped"),
)
POSES = "poses.csv"
POSE_COLUMNS = ("image", "x_mm", "y_mm", "depth_mm", "yaw_rad")
MAX_POSES_BYTES = 16 * 1024 * 1024
MAX_TRIAL, MAX_PHASE_CHARACTERS = 1_000_000_000, 64
REFERENCE_PHASE = "reference"
PERIOD_NS = 40_000_000  # assumed period of images without stamps


@dataclass(frozen=True)
class FrameState:
    """Recorded state at one image.

    Attributes:
        pose: indenter pose in the frame `gel`.
        trial: number of the trial.
        phase: phase of the protocol.
    """

    pose: IndenterPose
    trial: int
    phase: str


def states_of_index(columns: dict[str, NDArray[Any]]) -> dict[int, FrameState]:
    """Return the states by stamp, from the columns of a run's index.

    Args:
        columns: columns as in `RecordedRun`.

    Raises:
        InputError: the index has no rows.
    """
    if not len(columns["sample"]):
        raise InputError("the run's index has no samples: nothing was recorded")
    names = [f"measured_{name}" for name in ("x_mm", "y_mm", "depth_mm", "yaw_rad")]
    poses = np.stack([columns[name] for name in names], axis=1)
    return {
        int(stamp): FrameState(IndenterPose(*map(float, pose)), int(trial), str(phase))
        for stamp, pose, trial, phase in zip(
            columns["stamp_ns"], poses, columns["trial"], columns["phase"], strict=True
        )
    }


def states_of_rig(run: RecordedRun) -> dict[int, FrameState]:
    """Return the states by stamp, with the indenter at its configured pose from run.yaml.

    Args:
        run: recorded run.

    Raises:
        InputError: run.yaml has no pose of the indenter, or the index has no valid poses.
    """
    indenter = configured_indenter(run)
    states = states_of_index(run.columns)
    names = ("x_mm", "y_mm", "z_mm", "qx", "qy", "qz", "qw")
    gels = np.stack([run.columns[f"gel_{name}"] for name in names], axis=1)
    for stamp, gel in zip(run.columns["stamp_ns"], gels, strict=True):
        try:
            pose = Pose.from_quaternion(gel[:3], gel[3:]).inverse() @ indenter
        except ValueError as error:
            raise InputError(
                f"{run.folder}: index.csv has an invalid pose of the gel ({error})"
            ) from error
        x, y, z = (float(value) for value in pose.position_mm)
        indenter_pose = IndenterPose(x, y, -z, float(pose.yaw_rad))
        states[int(stamp)] = replace(states[int(stamp)], pose=indenter_pose)
    return states


def configured_indenter(run: RecordedRun) -> Pose:
    """Return the configured pose of the indenter in the robot base, from run.yaml.

    Args:
        run: recorded run.

    Raises:
        InputError: run.yaml has no valid pose of the indenter.
    """
    return configured_pose(run, "base_to_indenter")


def configured_pose(run: RecordedRun, name: str) -> Pose:
    """Return a configured pose from run.yaml.

    Args:
        run: recorded run.
        name: `base_to_indenter` or `end_effector_to_gel`.

    Raises:
        InputError: run.yaml has no such pose.
    """
    configured: Any = run.run.get(name)
    try:
        return Pose.from_quaternion(
            _numbers(configured["position_mm"], 3), _numbers(configured["quaternion_xyzw"], 4)
        )
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        subject = "the indenter" if name == "base_to_indenter" else "the sensor"
        raise InputError(f"{run.folder}: run.yaml has no valid pose of {subject}") from error


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    """Return (count,) finite numbers of a file; ValueError for any other value."""
    numbers = np.array(values, np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"expected {count} finite numbers")
    return numbers


def state_of_message(message: Any) -> FrameState:
    """Return the state of a message of `STATE_TYPE`.

    Args:
        message: message of a bag; its definition comes from the bag and may lack any field.

    Raises:
        InputError: a field is missing or has another type.
    """
    try:
        pose = message.measured_indenter
        q = pose.orientation
        yaw = math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))
        p = pose.position
        phase = PHASES[message.phase] if 0 <= message.phase < len(PHASES) else "stopped"
        indenter_pose = IndenterPose(1e3 * p.x, 1e3 * p.y, -1e3 * p.z, yaw)
        return FrameState(indenter_pose, int(message.trial), phase)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a message is not of type {STATE_TYPE} ({one_line(error)})") from error


def states_of_poses(path: Path) -> dict[int, FrameState]:
    """Return the states of a table of poses, by the assumed stamps of its images.

    Args:
        path: poses.csv.

    Raises:
        InputError: the table is not valid.
    """
    columns = pose_columns(path)
    return {
        number * PERIOD_NS: _state_of_row(
            {name: values[number] for name, values in columns.items()},
            f"{printable(path)}, row {number + 1}",
        )
        for number in range(len(columns["image"]))
    }


def _state_of_row(row: dict[str, str], origin: str) -> FrameState:
    """Return the state of one row of poses.csv; InputError, starting with `origin`, if invalid."""
    try:
        numbers = [float(row[name]) for name in POSE_COLUMNS[1:]]
        trial = int(row.get("trial") or 0)
    except ValueError as error:
        raise InputError(f"{origin}: {one_line(error)}") from error
    if not all(math.isfinite(value) for value in numbers):
        raise InputError(f"{origin}: a number is not finite")
    phase = row.get("phase") or ("indent" if numbers[2] > 0 else REFERENCE_PHASE)
    if not 0 <= trial <= MAX_TRIAL or len(phase) > MAX_PHASE_CHARACTERS:
        raise InputError(
            f"{origin}: expected a trial of 0 to {MAX_TRIAL} and a phase of up to "
            f"{MAX_PHASE_CHARACTERS} characters"
        )
    return FrameState(IndenterPose(*numbers), trial, printable(phase))


def pose_columns(path: Path) -> dict[str, list[str]]:
    """Return the columns of a table of poses by name.

    Args:
        path: poses.csv.

    Raises:
        InputError: the table is not valid, or has no rows.
    """
    columns = read_table(path, "poses", MAX_POSES_BYTES)
    require_columns(columns, POSE_COLUMNS, printable(path))
    if not columns["image"]:
        raise InputError(f"{printable(path)} has no rows: give one for each image")
    return columns
