"""Touch sets of simulated touches: the same touches felt by several random sensors.

Each touch is simulated once and rendered for several sensors; its images are stored in a part file,
so that an interrupted simulation resumes. Every touch has its own random generator: the set does
not depend on the number of processes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.touch_features.simulation.part_files import Part, simulated_parts
from tacdiff_ros.touch_features.simulation.simulated_touch import (
    EARLIER_FRAMES,
    SimulationSettings,
    sensor_renderer,
    simulate_touch,
)
from tacdiff_ros.touch_features.touch_set import TouchSet, write_touch_set


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
    simulated = simulated_parts(
        simulate_touch, settings, settings.touches, parts, settings.processes, progress
    )
    touch_set = _assembled(settings, simulated)
    write_touch_set(touch_set, folder)
    shutil.rmtree(parts)
    return touch_set


def _assembled(settings: SimulationSettings, parts: list[Part]) -> TouchSet:
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
