"""Refinement of gel surfaces by interpolation."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import GelSurface


def refine_surface(surface: GelSurface, rows: int, columns: int) -> GelSurface:
    """Return the surface on a finer grid, interpolated by monotone cubics.

    Monotone interpolation makes the surface nowhere deeper than at the given vertices.

    Limits: no detail is added; edges of the indenter stay as round as on the coarse grid. Beside a
    steep wall, small triangles may be inverted where those of the coarse surface are not.

    Args:
        surface: coarse surface.
        rows: number of vertices along y of the fine grid.
        columns: number of vertices along x of the fine grid.

    Raises:
        InputError: the fine grid has fewer rows or columns than the surface.
    """
    if rows < surface.rows or columns < surface.columns:
        raise InputError(
            f"refining {surface.rows} x {surface.columns} vertices to {rows} x {columns}: expected "
            "at least as many rows and columns"
        )
    x, y = surface.x_mm.astype(np.float64), surface.y_mm.astype(np.float64)
    flat = GelSurface.flat(float(np.ptp(x)), float(np.ptp(y)), rows, columns)
    centre = np.array([x.mean(), y.mean(), 0.0])
    displacement = (surface.position.astype(np.float64) - surface.rest).reshape(
        surface.rows, surface.columns, 3
    )
    fine_x, fine_y = flat.x_mm.astype(np.float64), flat.y_mm.astype(np.float64)
    along_x = PchipInterpolator(x - centre[0], displacement, axis=1)(fine_x)
    fine_displacement = PchipInterpolator(y - centre[1], along_x, axis=0)(fine_y)
    rest = (flat.rest + centre).astype(np.float32)
    position = rest + fine_displacement.reshape(-1, 3)
    return GelSurface(rest, position, rows, columns, may_overhang=True)
