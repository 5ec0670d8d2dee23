"""Export to the LeRobot dataset format v3.0.

Format: https://huggingface.co/docs/lerobot/lerobot-dataset-v3

    OUT/meta/info.json  stats.json  tasks.parquet  episodes/chunk-000/file-000.parquet
    OUT/data/chunk-000/file-000.parquet                         numbers, and images as PNG
    OUT/videos/observation.images.gel/chunk-000/file-000.mp4    images as a video, if asked for
"""

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
from tacdiff_ros.export.lerobot_tables import (
    IMAGE_KEY,
    TableFile,
    frame_schema,
    write_episode_table,
    write_task_table,
)
from tacdiff_ros.export.lerobot_video import VideoFile
from tacdiff_ros.export.statistics import Stats, merged_statistics, vector_statistics
from tacdiff_ros.output_files import atomic_folder, png_bytes

VERSION = "v3.0"
CHUNK_FILES, DATA_FILE_MB, VIDEO_FILE_MB = 1000, 100, 200
FILE_PATTERN = "chunk-{chunk_index:03d}/file-{file_index:03d}"
BLOCK_FRAMES = 256  # frames in memory, and in one row group
SAMPLED_PIXELS = 4  # every fourth row and column enters the statistics of images


def write_lerobot(
    episodes: Episodes, folder: Path, as_video: bool, advance: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Write all episodes as a LeRobot dataset, complete or not at all.

    Args:
        episodes: episodes of a run or dataset.
        folder: folder to write; it must not exist.
        as_video: whether images become an H.264 video, which is smaller and lossy, instead of PNG.
        advance: called after every frame.

    Returns:
        Numbers of `episodes` and `frames`.

    Raises:
        InputError: a package is missing, a frame cannot be read, or the folder exists or cannot be
            written.
    """
    _require_packages(as_video)
    if folder.exists():
        raise InputError(f"{folder} exists already: take another folder")
    with atomic_folder(folder) as temporary:
        writer = _Writer(episodes, temporary, as_video)
        groups = itertools.groupby(episodes.frames(), lambda frame: frame.episode)
        try:
            for episode, frames in groups:
                writer.write_episode(episode, frames, advance)
        finally:
            writer.close()
        writer.write_metadata()
    return {"episodes": len(writer.rows), "frames": writer.frames}


def _require_packages(as_video: bool) -> None:
    try:
        import pyarrow

        if as_video:
            import av  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the LeRobot format needs {error.name}: `pip install 'tacdiff_ros[export]'`"
        ) from error
    del pyarrow


class _Writer:
    """Writes episodes one after the other.

    Attributes:
        rows: a row of `meta/episodes` for each written episode.
        frames: number of written frames.
    """

    def __init__(self, episodes: Episodes, folder: Path, as_video: bool) -> None:
        self.rows: list[dict[str, Any]] = []
        self.frames = 0
        self._episodes, self._folder, self._as_video = episodes, folder, as_video
        self._tasks = list(dict.fromkeys(episodes.tasks))
        self._stats: dict[str, Stats] = {}
        self._shape: tuple[int, ...] | None = None
        schema = frame_schema(len(episodes.state_names), not as_video)
        data, videos = folder / "data", folder / "videos" / IMAGE_KEY
        self._table = TableFile(lambda k: _numbered(data, k, "parquet"), schema, DATA_FILE_MB)
        self._video = VideoFile(lambda k: _numbered(videos, k, "mp4"), episodes.fps, VIDEO_FILE_MB)

    def write_episode(
        self, episode: int, frames: Iterable[Frame], advance: Callable[[], None]
    ) -> None:
        """Write the frames of an episode and remember its row of the episode table."""
        from_s = self._video.begin_episode() if self._as_video else 0.0
        data_file = self._table.begin_episode()
        stats: dict[str, Stats] = {}
        count, remaining = 0, iter(frames)
        while block := list(itertools.islice(remaining, BLOCK_FRAMES)):
            columns = self._columns(episode, count, block, advance)
            self._table.write(columns)
            _merge(stats, _block_statistics(columns, block))
            count += len(block)
        row = {
            "episode_index": episode,
            "tasks": [self._episodes.tasks[episode]],
            "length": count,
            **_file_indices("data", data_file),
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + count,
            **_file_indices("meta/episodes", 0),
        }
        if self._as_video:
            row.update(_file_indices(f"videos/{IMAGE_KEY}", self._video.number))
            row[f"videos/{IMAGE_KEY}/from_timestamp"] = from_s
            row[f"videos/{IMAGE_KEY}/to_timestamp"] = from_s + count / self._episodes.fps
        for name, own in stats.items():
            row.update({f"stats/{name}/{key}": v for key, v in _shaped(name, own).items()})
        _merge(self._stats, stats)
        self.rows.append(row)
        self.frames += count

    def _columns(
        self, episode: int, first: int, block: list[Frame], advance: Callable[[], None]
    ) -> dict[str, list[Any]]:
        """Columns of the data table for a block of frames; images may go to the video instead."""
        columns: dict[str, list[Any]] = {}
        for index, frame in enumerate(block, first):
            self._check_shape(frame.image)
            for name, value in self._numbers(episode, index, frame).items():
                columns.setdefault(name, []).append(value)
            if self._as_video:
                self._video.write(frame.image)
            else:
                picture = {"bytes": png_bytes(frame.image), "path": None}
                columns.setdefault(IMAGE_KEY, []).append(picture)
            advance()
        return columns

    def close(self) -> None:
        """Close the files of data and video."""
        self._table.close()
        self._video.close()

    def write_metadata(self) -> None:
        """Write everything under `meta/`.

        Raises:
            InputError: there are no frames.
        """
        if self._shape is None:
            raise InputError(f"{self._episodes.source} has no image that belongs to a sample")
        meta = self._folder / "meta"
        write_task_table(_made(meta / "tasks.parquet"), self._tasks)
        write_episode_table(_made(_numbered(meta / "episodes", 0, "parquet")), self.rows)
        shaped = {name: _shaped(name, stats) for name, stats in self._stats.items()}
        _write_json(meta / "stats.json", shaped)
        _write_json(meta / "info.json", self._info())
        origin = {"kind": self._episodes.kind, "phases": list(self._episodes.phases)}
        _write_json(meta / "tacdiff_ros.json", {**origin, **self._episodes.properties})

    def _numbers(self, episode: int, index: int, frame: Frame) -> dict[str, Any]:
        """Row of the data table without the image."""
        return {
            "observation.state": frame.state,
            "action": frame.action,
            "observation.phase": frame.phase,
            "observation.in_contact": frame.in_contact,
            "observation.time_s": frame.time_s,
            "timestamp": index / self._episodes.fps,
            "frame_index": index,
            "episode_index": episode,
            "index": self.frames + index,
            "task_index": self._tasks.index(self._episodes.tasks[episode]),
        }

    def _check_shape(self, image: NDArray[np.uint8]) -> None:
        if self._shape is None:
            self._shape = image.shape
        elif image.shape != self._shape:
            raise InputError(f"frames of {self._shape} and {image.shape}: expected one size")

    def _info(self) -> dict[str, Any]:
        """Content of `meta/info.json`."""
        episodes = len(self.rows)
        return {
            "codebase_version": VERSION,
            "robot_type": "franka" if self._episodes.kind == "run" else "simulation",
            "total_episodes": episodes,
            "total_frames": self.frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": DATA_FILE_MB,
            "video_files_size_in_mb": VIDEO_FILE_MB,
            "fps": self._episodes.fps,
            "splits": {"train": f"0:{episodes}"},
            "data_path": f"data/{FILE_PATTERN}.parquet",
            "video_path": f"videos/{{video_key}}/{FILE_PATTERN}.mp4" if self._as_video else None,
            "features": self._features(),
        }

    def _features(self) -> dict[str, Any]:
        """Types and shapes of all columns; names of vector components have their units."""
        image: dict[str, Any] = {
            "dtype": "video" if self._as_video else "image",
            "shape": list(self._shape or ()),
            "names": ["height", "width", "channels"],
        }
        if self._as_video:
            image["info"] = self._video.properties(self._shape or (0, 0, 3))
        state = list(self._episodes.state_names)
        scalars = {
            "observation.phase": "int64",
            "observation.in_contact": "bool",
            "observation.time_s": "float32",
            "timestamp": "float32",
            **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64"),
        }
        return {
            IMAGE_KEY: image,
            "observation.state": {"dtype": "float32", "shape": [len(state)], "names": state},
            "action": {"dtype": "float32", "shape": [len(POSE_NAMES)], "names": list(POSE_NAMES)},
            **{name: {"dtype": t, "shape": [1], "names": None} for name, t in scalars.items()},
        }


def _block_statistics(columns: dict[str, list[Any]], block: list[Frame]) -> dict[str, Stats]:
    """Statistics of the numbers, and of the images' channels in [0, 1]."""
    stats = {name: _column_statistics(v) for name, v in columns.items() if name != IMAGE_KEY}
    sampled = [frame.image[::SAMPLED_PIXELS, ::SAMPLED_PIXELS] for frame in block]
    pixels = np.stack(sampled).reshape(-1, 3) / np.float32(255.0)
    stats[IMAGE_KEY] = {**vector_statistics(pixels), "count": np.array([len(block)])}
    return stats


def _merge(total: dict[str, Stats], stats: dict[str, Stats]) -> None:
    """Add statistics to those of earlier frames, in place."""
    for name, own in stats.items():
        total[name] = merged_statistics(total[name], own) if name in total else own


def _column_statistics(values: list[Any]) -> Stats:
    array = np.asarray(values, np.float64)
    return vector_statistics(array if array.ndim == 2 else array[:, None])


def _shaped(name: str, stats: Stats) -> dict[str, Any]:
    """Statistics as lists; those of images have the shape (3, 1, 1)."""
    shape = (-1, 1, 1) if name == IMAGE_KEY else (-1,)
    return {
        key: values.tolist() if key == "count" else values.reshape(shape).tolist()
        for key, values in stats.items()
    }


def _file_indices(prefix: str, number: int) -> dict[str, int]:
    chunk, file = divmod(number, CHUNK_FILES)
    return {f"{prefix}/chunk_index": chunk, f"{prefix}/file_index": file}


def _numbered(folder: Path, number: int, ending: str) -> Path:
    chunk, file = divmod(number, CHUNK_FILES)
    return folder / f"{FILE_PATTERN.format(chunk_index=chunk, file_index=file)}.{ending}"


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_json(path: Path, content: Any) -> None:
    _made(path).write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
