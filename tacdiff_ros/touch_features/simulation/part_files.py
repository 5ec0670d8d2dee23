"""Part files of a simulated set: each is stored when it is done, so that a simulation resumes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.output_files import write_file, write_files

MAX_PART_BYTES = 2**30
SETTINGS = "settings.json"

Part = dict[str, NDArray[Any]]
Settings = TypeVar("Settings", bound=BaseModel)
Simulate = Callable[[Settings, int], Part]


def simulated_parts(
    simulate: Simulate[Settings],
    settings: Settings,
    count: int,
    folder: Path,
    processes: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Part]:
    """Return all parts of a simulation; those that a folder lacks are simulated first.

    Args:
        simulate: function of a module that returns the arrays of a part from settings and number.
        settings: settings of the simulation; with a field `processes`, which may differ.
        count: number of parts.
        folder: folder of the parts.
        processes: number of processes.
        progress: callback with the number of finished parts and of all.

    Raises:
        InputError: the folder holds parts of other settings, or files cannot be written.
    """
    _check_settings(settings, folder)
    paths = [folder / f"touch_{number:06d}.npz" for number in range(count)]
    todo = [number for number, path in enumerate(paths) if not path.exists()]
    write = partial(_write_part, simulate, settings, folder)
    for done, _ in enumerate(_run(write, todo, processes), 1):
        if progress is not None:
            progress(count - len(todo) + done, count)
    return [read_archive(path, "part", MAX_PART_BYTES) for path in paths]


def _check_settings(settings: BaseModel, folder: Path) -> None:
    """Raise InputError for parts of other settings; the number of processes may differ."""
    text = settings.model_dump_json(exclude={"processes"})
    path = folder / SETTINGS
    if not path.exists():
        write_files(folder, {path.name: text})
    elif path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{printable(folder)} holds parts of other settings: delete it or use its settings"
        )


def _run(write: Callable[[int], None], todo: list[int], processes: int) -> Iterator[None]:
    """Write parts; yield when each is written."""
    if processes == 1:
        yield from map(write, todo)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for future in as_completed([pool.submit(write, number) for number in todo]):
            yield future.result()


def _write_part(
    simulate: Simulate[Settings], settings: Settings, folder: Path, number: int
) -> None:
    part = simulate(settings, number)

    def save(path: Path) -> None:
        with path.open("wb") as opened:
            np.savez(opened, **part)  # type: ignore[arg-type]

    write_file(folder / f"touch_{number:06d}.npz", save)
