"""Frames of a recording: from a run, any bag, a video, or a folder of images and poses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import Crop
from tacdiff_ros.images.frame_sources import has_images, open_frames
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import printable
from tacdiff_ros.recording.bag_reading import (
    bag_images,
    images,
    messages,
    open_run,
    summarise_bag,
)
from tacdiff_ros.recording.bag_storage import is_bag
from tacdiff_ros.replay.frame_states import (
    PERIOD_NS,
    POSES,
    STATE_TYPE,
    FrameState,
    pose_columns,
    state_of_message,
    states_of_index,
    states_of_poses,
    states_of_rig,
)


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

    def cropped(self, crop: Crop) -> Recording:
        """Return the recording with its whole frames cropped and reduced.

        Args:
            crop: crop of whole frames; reading raises InputError for images of other sizes.
        """

        def images() -> Iterator[tuple[int, NDArray[np.uint8]]]:
            for stamp_ns, image in self.images():
                yield stamp_ns, crop.to_sensor(image, f"a frame of {printable(self.source.name)}")

        return replace(self, images=images)


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
        states = states_of_poses(source / POSES)
        return Recording(source, partial(_posed_images, source), states, frame_count=len(states))
    return _open_images(source)


def _open_run(folder: Path, topic: str | None, from_rig: bool) -> Recording:
    run = open_run(folder)
    return Recording(
        source=folder,
        images=partial(images, run.bag, topic or run.image_topic),
        states=states_of_rig(run) if from_rig else states_of_index(run.columns),
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
        states = {stamp: state_of_message(m) for stamp, m in messages(bag, STATE_TYPE)}
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
    for number, name in enumerate(pose_columns(path)["image"]):
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
