"""Height map of a gel surface: orthographic heights on a regular grid, as other tools expect.

A pixel map is something else: the camera sees the gel in perspective, so a deeper point is nearer
to the camera and its pixels are larger (10 % at 1 mm for a GelSight Mini).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.floating]

EDGE = 1e-9  # rounding error of barycentric coordinates on the border of two triangles


@dataclass(frozen=True)
class HeightMap:
    """Heights on a grid of square cells, frame `gel`.

    Attributes:
        height_mm: (rows, columns) float32 z, mm: 0 at rest, negative where the gel is indented;
            NaN where the gel was not observed.
        origin_mm: (x, y) of the first value, mm; x grows with columns, y with rows.
        spacing_mm: distance of neighbours along x and y, mm.
    """

    height_mm: NDArray[np.float32]
    origin_mm: tuple[float, float]
    spacing_mm: float


def height_map(
    surface: GelSurface, observed: NDArray[np.bool_], spacing_mm: float | None = None
) -> HeightMap:
    """Return the height map of a surface over its pad.

    The triangles of the surface are projected along z, so the heights are exactly those of its
    mesh, wherever in-plane motion has carried the material points.

    Args:
        surface: gel surface without overhangs.
        observed: (rows, columns) bool, vertices whose heights are known.
        spacing_mm: spacing of the map, mm; by default that of the surface's columns.
    """
    x, y = surface.x_mm.astype(np.float64), surface.y_mm.astype(np.float64)
    spacing = spacing_mm or round(float(x[-1] - x[0]) / (len(x) - 1), 6)
    columns, rows = (int((axis[-1] - axis[0]) / spacing + 1e-6) + 1 for axis in (x, y))
    origin = np.array(
        [
            0.5 * (axis[0] + axis[-1] - (count - 1) * spacing)
            for axis, count in ((x, columns), (y, rows))
        ]
    )
    known = np.where(observed.ravel(), surface.position[:, 2], np.nan).astype(np.float64)
    corners = (surface.position[:, :2].astype(np.float64) - origin) / spacing
    heights = np.full((rows, columns), np.nan, np.float32)
    _draw(heights, corners[surface.triangles], known[surface.triangles])
    return HeightMap(heights, (float(origin[0]), float(origin[1])), spacing)


def _draw(heights: NDArray[np.float32], corners: Floats, values: Floats) -> None:
    """Interpolate values linearly in triangles, at the grid points inside of them.

    Args:
        heights: (rows, columns) map, changed in place.
        corners: (n, 3, 2) columns and rows of the triangles' corners.
        values: (n, 3) values at the corners.
    """
    rows, columns = heights.shape
    first = np.ceil(corners.min(axis=1) - EDGE).astype(int)
    extent = np.floor(corners.max(axis=1) + EDGE).astype(int) - first
    a, b, c = np.moveaxis(corners, 1, 0)
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    for row in range(int(extent[:, 1].max()) + 1):
        for column in range(int(extent[:, 0].max()) + 1):
            point = first + np.array([column, row])
            away = point - a
            v = (away[:, 0] * ac[:, 1] - away[:, 1] * ac[:, 0]) / area
            w = (ab[:, 0] * away[:, 1] - ab[:, 1] * away[:, 0]) / area
            inside = (v >= -EDGE) & (w >= -EDGE) & (v + w <= 1.0 + EDGE)
            inside &= ((point >= 0) & (point < (columns, rows))).all(axis=1)
            weights = np.stack([1.0 - v - w, v, w], axis=1)[inside]
            heights[point[inside, 1], point[inside, 0]] = np.sum(weights * values[inside], axis=1)
