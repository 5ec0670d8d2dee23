"""Recorded touches, frame by frame: from a run, any rosbag2, or a folder of images and poses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.images.frame_sources import open_frames
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import one_line, printable, read_table, require_columns
from tacdiff_ros.recording.bag_reading import RecordedRun, images, messages, open_run

STATE_TYPE = "tacdiff_ros/msg/AcquisitionState"
PHASES = (  # of AcquisitionState, by their numbers
    *("idle", "move_to_start", "reference", "approach"),
    *("indent", "translate", "rotate", "retract", "stopped"),
)
POSES = "poses.csv"
POSE_COLUMNS = ("image", "x_mm", "y_mm", "depth_mm", "yaw_rad")
MAX_POSES_BYTES = 16 * 1024 * 1024
MAX_TRIAL, MAX_PHASE_CHARACTERS = 1_000_000_000, 64
UNTOUCHED = "reference"
PERIOD_NS = 40_000_000  # of images without stamps


@dataclass(frozen=True)
class FrameState:
    """What a recording knows of one image.

    Attributes:
        pose: of the indenter in the frame `gel`.
        trial: number.
        phase: of the protocol.
    """

    pose: IndenterPose
    trial: int
    phase: str


@dataclass(frozen=True)
class ReplayFrame:
    """One image and where the indenter was.

    Attributes:
        stamp_ns: of the image.
        image: (H, W, 3) uint8.
        state: None where the recording has no pose for it.
    """

    stamp_ns: int
    image: NDArray[np.uint8]
    state: FrameState | None


@dataclass(frozen=True)
class Recording:
    """A recording that can be read again and again.

    Attributes:
        source: run folder, bag or image folder.
        indenter: spec, where the recording says it; else empty.
        states: by stamp.
        topic: of the images; None for `image_raw`, or the only one.
    """

    source: Path
    indenter: str
    states: dict[int, FrameState]
    topic: str | None = None

    def frames(self) -> Iterator[ReplayFrame]:
        """All images in the order of recording.

        Raises:
            InputError: the recording is cut short or damaged.
        """
        for stamp_ns, image in _images(self.source, self.topic):
            yield ReplayFrame(stamp_ns, image, self.states.get(stamp_ns))


def open_recording(source: Path, topic: str | None = None, from_rig: bool = False) -> Recording:
    """Open a recording.

    Args:
        source: folder of a run of this package (`index.csv`), a rosbag2 with images and
            `acquisition_state`, or a folder with images and `poses.csv` (columns image, x_mm,
            y_mm, depth_mm, yaw_rad; optional trial, phase), or a video, which has no poses.
        topic: of the images in a bag; None for `image_raw`, or the only one.
        from_rig: depths count from where the run was told that the indenter is, not from where
            contact was felt. For runs.

    Raises:
        InputError: none of these, or damaged.
    """
    if (source / "index.csv").is_file():
        run = open_run(source)
        indenter = str(run.run.get("indenter") or "")
        states = _states_of_rig(run) if from_rig else _states_of_index(run.columns)
        return Recording(source, indenter, states, topic)
    if from_rig:
        raise InputError(f"{source} is no run of this package: only these say where the rig was")
    if (source / POSES).is_file():
        return Recording(source, "", _states_of_poses(source / POSES))
    if not source.exists():
        raise InputError(f"no recording at {source}")
    if source.is_file():
        return Recording(source, "", {})
    return Recording(source, "", _states_of_bag(source), topic)


def _images(source: Path, topic: str | None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    if (source / "index.csv").is_file():
        yield from images(source / "bag", topic)
    elif (source / POSES).is_file():
        for number, name in enumerate(_pose_columns(source / POSES)["image"]):
            if Path(name).name != name or not name.isprintable():
                raise InputError(
                    f"{printable(source / POSES)}: image {name[:80]!r} is no file name"
                )
            yield number * PERIOD_NS, read_image(source / name)
    elif source.is_file():
        yield from _video(source)
    else:
        yield from images(source, topic)


def _video(path: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    frames = open_frames(str(path), loop=False)
    try:
        for number in itertools.count():
            image = frames.read()
            if image is None:
                return
            yield number * PERIOD_NS, image
    finally:
        frames.close()


def _states_of_index(columns: dict[str, NDArray[Any]]) -> dict[int, FrameState]:
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


def _states_of_rig(run: RecordedRun) -> dict[int, FrameState]:
    """The same frames, with the indenter where run.yaml has it in the robot base."""
    told: Any = run.run.get("base_to_indenter")
    try:
        indenter = Pose.from_quaternion(
            _numbers(told["position_mm"], 3), _numbers(told["quaternion_xyzw"], 4)
        )
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{run.folder}: run.yaml does not say where the indenter was") from error
    states = _states_of_index(run.columns)
    names = ("x_mm", "y_mm", "z_mm", "qx", "qy", "qz", "qw")
    gels = np.stack([run.columns[f"gel_{name}"] for name in names], axis=1)
    for stamp, gel in zip(run.columns["stamp_ns"], gels, strict=True):
        try:
            pose = Pose.from_quaternion(gel[:3], gel[3:]).inverse() @ indenter
        except ValueError as error:
            raise InputError(f"{run.folder}: index.csv has no pose of the gel ({error})") from error
        x, y, z = (float(value) for value in pose.position_mm)
        place = IndenterPose(x, y, -z, float(pose.yaw_rad))
        states[int(stamp)] = replace(states[int(stamp)], pose=place)
    return states


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    """(count,) finite numbers of a file; ValueError for anything else."""
    numbers = np.array(values, np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"expected {count} finite numbers")
    return numbers


def _states_of_bag(bag: Path) -> dict[int, FrameState]:
    try:
        return {stamp: _state_of_message(m) for stamp, m in messages(bag, STATE_TYPE)}
    except InputError as error:
        if "has no topic" not in str(error):
            raise
        raise InputError(
            f"{bag} has no acquisition_state, so where the indenter was is not known: record that "
            "topic as well, or give a folder with images and poses.csv"
        ) from error


def _state_of_message(message: Any) -> FrameState:
    """State of a message whose definition came with the bag; it may lack any field."""
    try:
        pose = message.measured_indenter
        q = pose.orientation
        yaw = math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))
        p = pose.position
        phase = PHASES[message.phase] if 0 <= message.phase < len(PHASES) else "stopped"
        place = IndenterPose(1e3 * p.x, 1e3 * p.y, -1e3 * p.z, yaw)
        return FrameState(place, int(message.trial), phase)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a message is none of type {STATE_TYPE} ({one_line(error)})") from error


def _states_of_poses(path: Path) -> dict[int, FrameState]:
    columns = _pose_columns(path)
    return {
        number * PERIOD_NS: _state_of_row(
            {name: values[number] for name, values in columns.items()},
            f"{printable(path)}, row {number + 1}",
        )
        for number in range(len(columns["image"]))
    }


def _state_of_row(row: dict[str, str], origin: str) -> FrameState:
    try:
        numbers = [float(row[name]) for name in POSE_COLUMNS[1:]]
        trial = int(row.get("trial") or 0)
    except ValueError as error:
        raise InputError(f"{origin}: {one_line(error)}") from error
    if not all(math.isfinite(value) for value in numbers):
        raise InputError(f"{origin}: a number is not finite")
    phase = row.get("phase") or ("indent" if numbers[2] > 0 else UNTOUCHED)
    if not 0 <= trial <= MAX_TRIAL or len(phase) > MAX_PHASE_CHARACTERS:
        raise InputError(
            f"{origin}: expected a trial of 0 to {MAX_TRIAL} and a phase of up to "
            f"{MAX_PHASE_CHARACTERS} characters"
        )
    return FrameState(IndenterPose(*numbers), trial, printable(phase))


def _pose_columns(path: Path) -> dict[str, list[str]]:
    columns = read_table(path, "poses", MAX_POSES_BYTES)
    require_columns(columns, POSE_COLUMNS, printable(path))
    if not columns["image"]:
        raise InputError(f"{printable(path)} has no rows: give one for each image")
    return columns
