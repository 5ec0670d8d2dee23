"""Frames of a recording: from a run, any bag, a video, or a folder of images and poses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.images.frame_sources import has_images, open_frames
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import one_line, printable, read_table, require_columns
from tacdiff_ros.recording.bag_reading import (
    RecordedRun,
    bag_images,
    images,
    messages,
    open_run,
    summarise_bag,
)
from tacdiff_ros.recording.bag_storage import is_bag

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


@dataclass(frozen=True)
class ReplayFrame:
    """One image with its recorded state.

    Attributes:
        stamp_ns: stamp of the image, ns.
        image: (H, W, 3) uint8 RGB image.
        state: recorded state; None if the recording has no pose for the image.
    """

    stamp_ns: int
    image: NDArray[np.uint8]
    state: FrameState | None


@dataclass(frozen=True)
class Recording:
    """An opened recording, which can be read more than once.

    Attributes:
        source: run folder, bag, video or image folder.
        images: returns an iterator over stamps in ns and (H, W, 3) uint8 RGB images.
        states: recorded states by stamp, ns; empty if the recording has no poses.
        indenter: indenter spec; empty if the recording does not name it.
        frame_count: number of images; None if it is unknown.
        notes: one line for each peculiarity of the recording that the user should know.
    """

    source: Path
    images: Callable[[], Iterator[tuple[int, NDArray[np.uint8]]]]
    states: dict[int, FrameState] = field(default_factory=dict)
    indenter: str = ""
    frame_count: int | None = None
    notes: tuple[str, ...] = ()

    def frames(self) -> Iterator[ReplayFrame]:
        """Iterate over all frames in the order of recording.

        Raises:
            InputError: the recording is truncated or damaged.
        """
        for stamp_ns, image in self.images():
            yield ReplayFrame(stamp_ns, image, self.states.get(stamp_ns))


def open_recording(
    source: Path, topic: str | None = None, from_rig: bool = False, with_poses: bool = True
) -> Recording:
    """Open a recording.

    Args:
        source: folder of a run of this package (`index.csv`), a folder with images and `poses.csv`
            (columns image, x_mm, y_mm, depth_mm, yaw_rad; optional trial, phase), a bag of any
            kind (see `open_bag`) with images and perhaps `acquisition_state`, a folder of images,
            or a video. The last two have no poses.
        topic: image topic of a bag; None for the only one.
        from_rig: whether depths are relative to the configured pose of the indenter instead of the
            detected contact; for runs only.
        with_poses: whether to read the recorded poses.

    Returns:
        The opened recording.

    Raises:
        InputError: the source is none of these, or damaged.
    """
    if (source / "index.csv").is_file():
        return _open_run(source, topic, from_rig)
    if from_rig:
        raise InputError(
            f"{source} is no run of this package: only runs record the configured indenter pose"
        )
    if not source.exists():
        raise InputError(f"no recording at {source}")
    if not (source / POSES).is_file() and is_bag(source):
        return _open_bag(source, topic, with_poses)
    if topic is not None:
        raise InputError(f"{source} is no bag: leave out --topic")
    if (source / POSES).is_file():
        states = _states_of_poses(source / POSES)
        return Recording(source, partial(_posed_images, source), states, frame_count=len(states))
    return _open_images(source)


def _open_run(folder: Path, topic: str | None, from_rig: bool) -> Recording:
    run = open_run(folder)
    return Recording(
        source=folder,
        images=partial(images, run.bag, topic or run.image_topic),
        states=_states_of_rig(run) if from_rig else _states_of_index(run.columns),
        indenter=str(run.run.get("indenter") or ""),
        frame_count=run.sample_count,
        notes=(f"{printable(run.bag)} was not closed by its recorder: it was repaired",)
        if run.repaired
        else (),
    )


def _open_bag(bag: Path, topic: str | None, with_poses: bool) -> Recording:
    summary = summarise_bag(bag, topic, STATE_TYPE)
    states, notes = {}, summary.notes
    if with_poses and summary.has_states:
        if not summary.is_stamped:
            raise InputError(
                f"{printable(bag)}: the images carry no stamp (header.stamp is 0), so their poses "
                "are unknown: let the driver set it, or give --inverted"
            )
        states = {stamp: _state_of_message(m) for stamp, m in messages(bag, STATE_TYPE)}
    if not summary.is_stamped:
        notes += ("the images carry no stamp (header.stamp is 0): times are those of recording",)
    return Recording(
        source=bag,
        images=partial(_bag_images, bag, summary.topic),
        states=states,
        frame_count=summary.image_count,
        notes=notes,
    )


def _open_images(source: Path) -> Recording:
    """Open a video or a folder of images."""
    if source.is_dir() and not has_images(source):
        raise InputError(
            f"{source} holds no recording: expected index.csv, poses.csv, the files of a rosbag2 "
            "(metadata.yaml, .mcap, .db3) or images; give a .bag file itself"
        )
    frames = open_frames(str(source), loop=False)
    frames.close()
    return Recording(source, partial(_frames, source), frame_count=frames.frame_count)


def _bag_images(bag: Path, topic: str) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for entry in bag_images(bag, topic):
        yield entry.stamp_ns or entry.received_ns, entry.image


def _posed_images(folder: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    path = folder / POSES
    for number, name in enumerate(_pose_columns(path)["image"]):
        if Path(name).name != name or not name.isprintable():
            raise InputError(f"{printable(path)}: image {name[:80]!r} is no file name")
        yield number * PERIOD_NS, read_image(folder / name)


def _frames(source: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    frames = open_frames(str(source), loop=False)
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
    """Return the states by stamp, with the indenter at its configured pose from run.yaml."""
    configured: Any = run.run.get("base_to_indenter")
    try:
        indenter = Pose.from_quaternion(
            _numbers(configured["position_mm"], 3), _numbers(configured["quaternion_xyzw"], 4)
        )
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{run.folder}: run.yaml has no valid pose of the indenter") from error
    states = _states_of_index(run.columns)
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


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    """Return (count,) finite numbers of a file; ValueError for any other value."""
    numbers = np.array(values, np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"expected {count} finite numbers")
    return numbers


def _state_of_message(message: Any) -> FrameState:
    """Return the state of a message; its definition comes from the bag and may lack any field."""
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


def _pose_columns(path: Path) -> dict[str, list[str]]:
    columns = read_table(path, "poses", MAX_POSES_BYTES)
    require_columns(columns, POSE_COLUMNS, printable(path))
    if not columns["image"]:
        raise InputError(f"{printable(path)} has no rows: give one for each image")
    return columns
