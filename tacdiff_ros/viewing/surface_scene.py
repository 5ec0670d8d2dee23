"""A surface in 3D for the WebGL viewer of a page: vertices, coloured layers and arrows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

MAX_VERTICES = 60_000
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
ARROW_HEAD = 0.25  # length of the head relative to the arrow


@dataclass(frozen=True)
class Layer:
    """Values that colour a surface.

    Attributes:
        name: quantity with its unit, such as "indentation, mm".
        values: (N,) values of the vertices; NaN is grey.
        is_signed: whether the sign matters: the colours then diverge from zero.
    """

    name: str
    values: NDArray[np.floating]
    is_signed: bool = False

    def limits(self) -> tuple[float, float]:
        """Return the values of the first and last colour."""
        finite = self.values[np.isfinite(self.values)]
        if not finite.size:
            return 0.0, 1.0
        low, high = float(finite.min()), float(finite.max())
        if self.is_signed:
            low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
        return (low, high) if high > low else (low, low + 1e-9)

    def colours(self) -> NDArray[np.uint8]:
        """Return the (N, 3) uint8 colours of the vertices."""
        low, high = self.limits()
        relative = (np.asarray(self.values, np.float64) - low) / (high - low)
        table = mpl.colormaps[DIVERGING if self.is_signed else SEQUENTIAL]
        rgb = np.asarray(table(np.nan_to_num(relative), bytes=True))[:, :3]
        return np.where(np.isfinite(relative)[:, None], rgb, 160).astype(np.uint8)


@dataclass(frozen=True)
class Arrows:
    """Arrows of one kind.

    Attributes:
        name: quantity of the arrows, with the scale.
        start: (K, 3) positions, mm.
        vector: (K, 3) drawn vectors, mm.
    """

    name: str
    start: NDArray[np.floating]
    vector: NDArray[np.floating]


@dataclass(frozen=True)
class SurfaceScene:
    """A triangle mesh in the frame `gel`, mm.

    Attributes:
        position: (N, 3) vertices, mm.
        triangles: (M, 3) vertex indices.
        layers: quantities that can be chosen as colour.
        arrows: groups of arrows that can be shown.
    """

    position: NDArray[np.floating]
    triangles: NDArray[np.integer]
    layers: Sequence[Layer]
    arrows: Sequence[Arrows] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the scene for the page, with arrays as base64 text."""
        return {
            "position": _base64(self.position, "<f4"),
            "triangles": _base64(self.triangles, "<u4"),
            "layers": [
                {
                    "name": layer.name,
                    "limits": [f"{limit:.3g}" for limit in layer.limits()],
                    "signed": layer.is_signed,
                    "colours": _base64(layer.colours(), "u1"),
                }
                for layer in self.layers
            ],
            "arrows": [
                {"name": arrows.name, "segments": _base64(_segments(arrows), "<f4")}
                for arrows in self.arrows
            ],
        }


def grid_scene(
    points: NDArray[np.floating],
    layers: Sequence[Layer],
    arrows: Sequence[Arrows] = (),
) -> SurfaceScene:
    """Return the scene of a grid of points; quads with a corner that is NaN are left out.

    Args:
        points: (R, C, 3) positions, mm.
        layers: layers with (R * C,) values.
        arrows: arrows.
    """
    rows, columns = points.shape[:2]
    step = grid_step(rows, columns)
    index = np.arange(rows * columns).reshape(rows, columns)[::step, ::step]
    corners = [index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]]
    a, b, c, d = (corner.ravel() for corner in corners)
    position = points.reshape(-1, 3)
    valid = np.isfinite(position).all(axis=1)
    kept = valid[a] & valid[b] & valid[c] & valid[d]
    triangles = np.concatenate([np.stack([a, c, b], 1)[kept], np.stack([b, c, d], 1)[kept]])
    used = np.unique(triangles)
    numbers = np.zeros(len(position), np.int64)
    numbers[used] = np.arange(len(used))
    return SurfaceScene(
        position[used],
        numbers[triangles],
        [Layer(entry.name, entry.values.reshape(-1)[used], entry.is_signed) for entry in layers],
        arrows,
    )


def grid_step(rows: int, columns: int) -> int:
    """Return the smallest step between used rows and columns that stays below `MAX_VERTICES`."""
    step = 1
    while (rows // step) * (columns // step) > MAX_VERTICES:
        step += 1
    return step


def _segments(arrows: Arrows) -> NDArray[np.float32]:
    """Line segments (L, 2, 3) of the shafts and heads of arrows."""
    start = np.asarray(arrows.start, np.float64).reshape(-1, 3)
    vector = np.asarray(arrows.vector, np.float64).reshape(-1, 3)
    tip = start + vector
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    other = np.where(np.abs(vector[:, 2:]) > 0.9 * length, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    across = np.cross(vector, other)
    norm = np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    side = 0.5 * ARROW_HEAD * length * across / norm
    back = tip - ARROW_HEAD * vector
    lines = [(start, tip), (tip, back + side), (tip, back - side)]
    return np.concatenate([np.stack(line, axis=1) for line in lines]).astype(np.float32)


def _base64(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()
