"""Table of the light that a sensor's layers reflect, computed once for each sensor and machine."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import cache_folder, fingerprint
from tacdiff_ros.output_files import npy_bytes, write_file
from tacdiff_ros.sensor.sensor_model import SensorModel

FOLDER = "indirect_light"
MAX_FILES = 100  # of 100 KB each; the oldest are removed
PARTS = {"layers", "gel", "markers", "lights", "interreflection"}  # on which the table depends
SHAPE = (18, 22, 4, 16)

log = logging.getLogger(__name__)


def indirect_table(model: SensorModel) -> NDArray[np.float32]:
    """Return the table of `interreflection.IndirectLight`, from the cache if it is there.

    Args:
        model: sensor model with at least one bounce.

    Returns:
        (rows, columns, sectors, 16) float32 table.
    """
    path = _file(model)
    table = _read(path)
    if table is None:
        table = _computed(model)
        _write(path, table)
    return table


def _file(model: SensorModel) -> Path | None:
    """Return the file of a sensor's table, None if there is no folder for it."""
    folder = cache_folder() / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    content = model.model_dump_json(include=PARTS)
    key = hashlib.sha256(f"{content} {fingerprint()}".encode()).hexdigest()
    return folder / f"{key}.npy"


def _read(path: Path | None) -> NDArray[np.float32] | None:
    """Return the table of a file, None if it is absent or damaged."""
    if path is None:
        return None
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_sound = table.shape == SHAPE and table.dtype == np.float32 and np.isfinite(table).all()
    return table if is_sound else None


def _write(path: Path | None, table: NDArray[np.float32]) -> None:
    """Store a table; a full disk only costs time when the table is needed again."""
    if path is None:
        return
    try:
        write_file(path, npy_bytes(table))
        files = sorted(path.parent.glob("*.npy"), key=lambda item: item.stat().st_mtime)
        for old in files[:-MAX_FILES]:
            old.unlink(missing_ok=True)
    except (InputError, OSError) as error:
        log.warning("the table of reflected light cannot be stored: %s", error)


def _computed(model: SensorModel) -> NDArray[np.float32]:
    """Return the table by the differentiable renderer's kernels."""
    from tacdiff_ros.optics.variant import start_mitsuba

    start_mitsuba()
    from tacdiff_ros.optics.interreflection import indirect_light
    from tacdiff_ros.optics.parameters import Parameters
    from tacdiff_ros.sensor.parameters import parameter_values

    light = indirect_light(Parameters(parameter_values(model)), model)
    assert light is not None  # noqa: S101
    return np.array(light.table, np.float32).reshape(SHAPE)
