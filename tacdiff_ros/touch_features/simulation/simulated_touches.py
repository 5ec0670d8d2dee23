"""Touch sets of simulated touches: the same touches felt by several random sensors.

Each touch is simulated once and rendered for several sensors; its images are stored in a part file,
so that an interrupted simulation resumes. Every touch has its own random generator: the set does
not depend on the number of processes.
"""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.output_files import write_file, write_files
from tacdiff_ros.touch_features.simulation.simulated_touch import (
    EARLIER_FRAMES,
    SimulationSettings,
    sensor_renderer,
    simulate_touch,
)
from tacdiff_ros.touch_features.touch_set import TouchSet, write_touch_set

MAX_PART_BYTES = 2**30


def simulate_touches(
    settings: SimulationSettings,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> TouchSet:
    """Simulate a touch set, or resume an interrupted simulation.

    Args:
        settings: settings of the set.
        folder: folder that does not exist yet; parts are kept beside it until the set is whole.
        progress: callback with the number of finished touches and of all.

    Returns:
        The set that was written.

    Raises:
        InputError: the folder exists, parts are of other settings, or files cannot be written.
    """
    if folder.exists():
        raise InputError(f"{printable(folder)} exists already: choose another folder")
    parts = folder.with_name(folder.name + ".parts")
    _check_parts(settings, parts)
    paths = [parts / f"touch_{number:06d}.npz" for number in range(settings.touches)]
    todo = [number for number, path in enumerate(paths) if not path.exists()]
    for done, _ in enumerate(_run(settings, parts, todo), 1):
        if progress is not None:
            progress(settings.touches - len(todo) + done, settings.touches)
    touch_set = _assembled(settings, paths)
    write_touch_set(touch_set, folder)
    shutil.rmtree(parts)
    return touch_set


def _check_parts(settings: SimulationSettings, parts: Path) -> None:
    """Raise InputError for parts of other settings; the number of processes may differ."""
    text = settings.model_dump_json(exclude={"processes"})
    path = parts / "settings.json"
    if not path.exists():
        write_files(parts, {path.name: text})
    elif path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{printable(parts)} holds parts of other settings: delete it or use its settings"
        )


def _run(settings: SimulationSettings, parts: Path, todo: list[int]) -> Iterator[None]:
    """Write the parts of touches; yield when each is written."""
    write = partial(_write_part, settings, parts)
    if settings.processes == 1:
        yield from map(write, todo)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.processes, mp_context=context) as pool:
        for future in as_completed([pool.submit(write, number) for number in todo]):
            yield future.result()


def _write_part(settings: SimulationSettings, parts: Path, number: int) -> None:
    part = simulate_touch(settings, number)

    def save(path: Path) -> None:
        with path.open("wb") as opened:
            np.savez(opened, **part)  # type: ignore[arg-type]

    write_file(parts / f"touch_{number:06d}.npz", save)


def _assembled(settings: SimulationSettings, paths: list[Path]) -> TouchSet:
    parts = [read_archive(path, "part", MAX_PART_BYTES) for path in paths]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    indices = {name: columns.pop(name).astype(np.int32) for name in ("video", "frame", "touch")}
    sensor = columns.pop("sensor").astype(np.int32)
    images, maps = columns.pop("images"), columns.pop("maps")
    references = [sensor_renderer(settings, k).reference() for k in range(settings.sensors)]
    return TouchSet(
        card=_card(settings, len(images), int(indices["video"].max()) + 1),
        images=images,
        references=np.stack(references),
        sensor=sensor,
        earlier=_earlier(indices["video"], indices["frame"]),
        labels=columns,
        maps=maps,
        **indices,
    )


def _earlier(video: NDArray[np.int32], frame: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the row of the image `EARLIER_FRAMES` before each image; -1: none."""
    row = {key: k for k, key in enumerate(zip(video.tolist(), frame.tolist(), strict=True))}
    keys = zip(video.tolist(), (frame - EARLIER_FRAMES).tolist(), strict=True)
    return np.array([row.get(key, -1) for key in keys], np.int32)


def _card(settings: SimulationSettings, images: int, videos: int) -> dict[str, Any]:
    return {
        "name": "simulated_touches",
        "licence": "that of the package: simulated, no recordings",
        "source": "tacdiff_ros.touch_features.simulation",
        "seed": settings.seed,
        "command": f"simulate_touches({settings.model_dump_json(exclude={'processes'})})",
        "counts": {"images": images, "videos": videos, "sensors": settings.sensors,
                   "objects": settings.objects, "touches": settings.touches},
    }  # fmt: skip
