"""Views of maps: arrays of one image's pixels, or of a grid in mm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.array_file import read_archive, read_array
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.viewing.page import View
from tacdiff_ros.viewing.surface_scene import DIVERGING, SEQUENTIAL, Layer, grid_scene

MAX_MAP_BYTES = 200_000_000
MAX_CHANNELS = 8
# Unit of the files that this package writes, and whether their sign matters.
QUANTITIES = {
    "depth": ("mm from the camera", False),
    "height_map": ("mm", True),
    "indentation": ("mm", False),
    "nocs": ("0 to 1", False),
    "points": ("mm", True),
    "shear": ("mm", True),
}
CHANNELS = {"nocs": ("rest x", "rest y", "height"), "points": "xyz", "shear": "xy"}
HEIGHT_SIGN = {"height_map": 1.0, "indentation": -1.0, "depth": 1.0}  # to z of frame gel
SURFACE_NOTE = "Surface: pixels as x and y, 0.06 mm each unless the file has its own positions."
MM_PER_PX = 0.06  # nominal, for surfaces of maps without positions


def view_map(path: Path) -> View:
    """Return the view of a .npy or .npz file.

    Args:
        path: file with one map, or with several by name.

    Raises:
        InputError: the file cannot be read, or holds no map.
    """
    if path.suffix == ".npz":
        arrays = read_archive(path, "map", MAX_MAP_BYTES)
    else:
        arrays = {path.stem: read_array(path, "map", MAX_MAP_BYTES)}
    maps = {name: values for name, values in arrays.items() if is_map(values)}
    if not maps:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in arrays.items())
        raise InputError(
            f"{printable(path)} holds no map ({printable(shapes) or 'no array'}): expected numbers "
            f"of shape (H, W) or (H, W, C) with up to {MAX_CHANNELS} channels"
        )
    facts: dict[str, Any] = {}
    for name, values in maps.items():
        facts.update(map_facts(name, values))
    pictures = [(map_title(name), map_figure(name, values)) for name, values in maps.items()]
    name, first = next(iter(maps.items()))
    scene, notes = None, []
    if first.ndim == 2 and name in HEIGHT_SIGN:
        scene = grid_scene(_points(name, first), [Layer(map_title(name), first.ravel())])
        notes = [SURFACE_NOTE]
    elif name == "points":
        scene = grid_scene(first, [Layer("z, mm", first[..., 2].ravel(), is_signed=True)])
    return View(f"Map {path.name}", facts, pictures, scene=scene, notes=notes)


def is_map(values: NDArray[Any]) -> bool:
    """Return whether an array has two axes of pixels, and perhaps one of channels."""
    if values.dtype.kind not in "biuf" or min(values.shape, default=0) == 0:
        return False
    is_flat = values.ndim == 2 or (values.ndim == 3 and values.shape[2] <= MAX_CHANNELS)
    return is_flat and min(values.shape[:2]) > 1


def map_title(name: str) -> str:
    """Return the name of a map, with the unit of known maps."""
    label = QUANTITIES.get(name, ("", False))[0]
    return f"{name.replace('_', ' ')}, {label}" if label else name


def map_facts(name: str, values: NDArray[Any]) -> dict[str, str]:
    """Return shape and range of a map."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    limits = (
        f"{float(finite.min()):.4g} to {float(finite.max()):.4g}" if finite.size else "no value"
    )
    missing = values.size - finite.size
    text = f"{values.shape}, {values.dtype}, {limits}"
    return {map_title(name): text + (f", {missing} without a value" if missing else "")}


def map_figure(name: str, values: NDArray[Any]) -> Figure:
    """Return a plot of a map, with a colour bar for each channel."""
    channels = values[..., None] if values.ndim == 2 else values
    count = channels.shape[2]
    label, is_signed = QUANTITIES.get(
        name, ("", bool(values.dtype.kind == "f" and np.nanmin(values) < 0))
    )
    figure = Figure(
        figsize=(min(6.0 * count, 13.0), 4.6 if count == 1 else 3.6), layout="constrained"
    )
    names = CHANNELS.get(name, [str(k) for k in range(count)])
    for k, axes in enumerate(figure.subplots(1, count, squeeze=False)[0]):
        channel = np.asarray(channels[..., k], np.float64)
        signed = is_signed and bool(np.nanmin(channel) < 0 < np.nanmax(channel))
        limit = float(np.nanmax(np.abs(channel))) if signed else None
        picture = axes.imshow(
            channel,
            cmap=DIVERGING if signed else SEQUENTIAL,
            vmin=None if limit is None else -limit,
            vmax=limit,
        )
        figure.colorbar(picture, ax=axes, label=label)
        axes.set(xlabel="column", ylabel="row")
        if count > 1:
            axes.set_title(names[k] if k < len(names) else str(k))
    return figure


def _points(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Positions (H, W, 3), mm, of a map of heights; depths relative to their median."""
    rows, columns = np.indices(values.shape, np.float64)
    x = MM_PER_PX * (columns - columns.mean())
    y = MM_PER_PX * (rows - rows.mean())
    heights = HEIGHT_SIGN[name] * np.asarray(values, np.float64)
    if name == "depth":
        heights = heights - np.nanmedian(heights)
    return np.stack([x, y, heights], axis=-1)
