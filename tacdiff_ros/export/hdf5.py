"""Export to one HDF5 file in the layout of robomimic."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.export.episodes import POSE_NAMES, Episodes, Frame
from tacdiff_ros.output_files import write_file

COMPRESSION = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
VALID = {"validation": "valid"}  # robomimic's name


def write_hdf5(
    episodes: Episodes, path: Path, advance: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Write all episodes to an HDF5 file, complete or not at all.

    Layout: `data/demo_N/obs/NAME` (T, ...), `data/demo_N/actions` (T, 4) and `dones` (T,);
    `mask/SPLIT` lists the episodes of a split. Names of vector components are attributes.

    Args:
        episodes: episodes of a run or dataset.
        path: HDF5 file; an existing one is replaced.
        advance: called after every frame.

    Returns:
        Numbers of `episodes` and `frames`.

    Raises:
        InputError: h5py is missing, a frame cannot be read, or the file cannot be written.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError("HDF5 needs h5py: `pip install 'tacdiff_ros[export]'`") from error
    counts = {"episodes": 0, "frames": 0}

    def write(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            data = file.create_group("data")
            groups = itertools.groupby(episodes.frames(), lambda frame: frame.episode)
            for episode, frames in groups:
                demo = data.create_group(f"demo_{episode}")
                counts["frames"] += _write_demo(demo, frames, episodes, episode, advance)
                counts["episodes"] += 1
            _write_attributes(data, episodes, counts["frames"])
            for split in dict.fromkeys(episodes.splits):
                names = [f"demo_{k}" for k, own in enumerate(episodes.splits) if own == split]
                file[f"mask/{VALID.get(split, split)}"] = np.array(names, dtype="S")

    write_file(path, write)
    return counts


def _write_demo(
    demo: Any,
    frames: Iterable[Frame],
    episodes: Episodes,
    episode: int,
    advance: Callable[[], None],
) -> int:
    """Write the frames of one episode and return their number."""
    rows: dict[str, list[Any]] = {}
    count = 0
    for frame in frames:
        arrays = {"gel_image": frame.image, **frame.maps}
        for name, values in arrays.items():
            _append(demo, f"obs/{name}", values, count)
        numbers = {
            "obs/state": frame.state,
            "obs/phase": np.uint8(frame.phase),
            "obs/in_contact": frame.in_contact,
            "obs/time_s": frame.time_s,
            "actions": frame.action,
        }
        for name, value in numbers.items():
            rows.setdefault(name, []).append(value)
        count += 1
        advance()
    for name, column in rows.items():
        demo[name] = np.array(column)
    demo["dones"] = np.arange(count) == count - 1
    demo["obs/state"].attrs["names"] = list(episodes.state_names)
    demo["obs/phase"].attrs["names"] = list(episodes.phases)
    demo["actions"].attrs["names"] = list(POSE_NAMES)
    demo.attrs["num_samples"] = count
    demo.attrs["task"] = episodes.tasks[episode]
    return count


def _append(group: Any, name: str, values: NDArray[Any], index: int) -> None:
    """Append one sample to a dataset of a group that has one chunk per sample."""
    if index == 0:
        group.create_dataset(
            name,
            shape=(0, *values.shape),
            maxshape=(None, *values.shape),
            chunks=(1, *values.shape),
            dtype=values.dtype,
            **COMPRESSION,
        )
    dataset = group[name]
    if dataset.shape[1:] != values.shape:
        raise InputError(f"frames of {dataset.shape[1:]} and {values.shape}: expected one size")
    dataset.resize(index + 1, axis=0)
    dataset[index] = values


def _write_attributes(data: Any, episodes: Episodes, frames: int) -> None:
    """Write the attributes that robomimic reads, and the origin."""
    data.attrs["total"] = frames
    data.attrs["env_args"] = json.dumps({"env_name": "tacdiff_ros", "type": 1, "env_kwargs": {}})
    data.attrs["fps"] = episodes.fps
    data.attrs["source"] = json.dumps({"kind": episodes.kind, **episodes.properties})
