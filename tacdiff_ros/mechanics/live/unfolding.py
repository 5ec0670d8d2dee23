"""Smooth out what is turned over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.gel_surface import grid_triangles

Floats = NDArray[np.float64]

MAX_ROUNDS = 40
FLAT_FRACTION = 1e-3


def unfolded(rest: Floats, displacement: Floats, rows: int, columns: int) -> Floats:
    """Displacement (N, 3) mm without triangles that are turned over, as seen along z.

    Corners of such triangles and their neighbours take the mean displacement of their own
    neighbours, until none is left or `MAX_ROUNDS` are done. Other vertices stay.

    Args:
        rest: (N, 3) mm, a row-major grid.
        displacement: (N, 3) mm.
        rows: of the grid.
        columns: of the grid.
    """
    triangles = grid_triangles(rows, columns)
    least = FLAT_FRACTION * float(np.abs(_areas(rest, triangles)).min())
    moved = displacement
    for _ in range(MAX_ROUNDS):
        turned = _areas(rest + moved, triangles) > -least
        if not turned.any():
            break
        chosen = np.zeros((rows, columns), bool)
        chosen.reshape(-1)[triangles[turned]] = True
        chosen[1:] |= chosen[:-1]
        chosen[:, 1:] |= chosen[:, :-1]
        field = np.pad(moved.reshape(rows, columns, 3), ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (field[2:, 1:-1] + field[:-2, 1:-1] + field[1:-1, 2:] + field[1:-1, :-2]) / 4.0
        moved = np.where(chosen.reshape(-1, 1), mean.reshape(-1, 3), moved)
    return moved


def _areas(position: Floats, triangles: NDArray[np.int32]) -> Floats:
    """(M,) mm^2, twice the areas seen along z; below 0 where triangles are not turned over."""
    a, b, c = (position[triangles[:, corner], :2] for corner in range(3))
    first, second = b - a, c - a
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
