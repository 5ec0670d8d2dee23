"""Removal of inverted triangles from a deformed surface by local smoothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.gel_surface import grid_triangles

Floats = NDArray[np.float64]

MAX_ROUNDS = 40
FLAT_FRACTION = 1e-3  # smallest area of a triangle, over the smallest rest area


def unfolded(rest: Floats, displacement: Floats, rows: int, columns: int) -> Floats:
    """Return the displacement without inverted triangles in the projection along z.

    Corners of inverted triangles and their neighbours are set to the mean displacement of their own
    neighbours, until no triangle is inverted or `MAX_ROUNDS` rounds are done. Other vertices are
    not changed.

    Args:
        rest: (N, 3) rest positions of a row-major grid, mm.
        displacement: (N, 3) displacement, mm.
        rows: number of grid lines along y.
        columns: number of grid lines along x.

    Returns:
        (N, 3) displacement, mm.
    """
    triangles = grid_triangles(rows, columns)
    min_area = FLAT_FRACTION * float(np.abs(_areas(rest, triangles)).min())
    result = displacement
    for _ in range(MAX_ROUNDS):
        inverted = _areas(rest + result, triangles) > -min_area
        if not inverted.any():
            break
        chosen = np.zeros((rows, columns), bool)
        chosen.reshape(-1)[triangles[inverted]] = True
        chosen[1:] |= chosen[:-1]
        chosen[:, 1:] |= chosen[:, :-1]
        field = np.pad(result.reshape(rows, columns, 3), ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (field[2:, 1:-1] + field[:-2, 1:-1] + field[1:-1, 2:] + field[1:-1, :-2]) / 4.0
        result = np.where(chosen.reshape(-1, 1), mean.reshape(-1, 3), result)
    return result


def _areas(position: Floats, triangles: NDArray[np.int32]) -> Floats:
    """(M,) twice the signed areas in the x-y plane, mm^2; negative for regular triangles."""
    a, b, c = (position[triangles[:, corner], :2] for corner in range(3))
    first, second = b - a, c - a
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
