"""Finer surfaces by interpolation."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import GelSurface


def refine_surface(surface: GelSurface, rows: int, columns: int) -> GelSurface:
    """The same deformation on a grid of more vertices, by monotone cubics through the given ones.

    Monotone, so that the surface is nowhere deeper than at the given vertices.

    Limits: nothing that the coarse surface lacks is added; edges of the indenter stay as round as
    the coarse grid shows them. Beside a steep wall small triangles may be turned over where those
    of the coarse surface are not.

    Raises:
        InputError: fewer vertices than the surface has.
    """
    if rows < surface.rows or columns < surface.columns:
        raise InputError(
            f"refining {surface.rows} x {surface.columns} vertices to {rows} x {columns}: expected "
            "at least as many"
        )
    x, y = surface.x_mm.astype(np.float64), surface.y_mm.astype(np.float64)
    flat = GelSurface.flat(float(np.ptp(x)), float(np.ptp(y)), rows, columns)
    shift = np.array([x.mean(), y.mean(), 0.0])
    moved = (surface.position.astype(np.float64) - surface.rest).reshape(
        surface.rows, surface.columns, 3
    )
    fine_x, fine_y = flat.x_mm.astype(np.float64), flat.y_mm.astype(np.float64)
    along_x = PchipInterpolator(x - shift[0], moved, axis=1)(fine_x)
    displacement = PchipInterpolator(y - shift[1], along_x, axis=0)(fine_y)
    rest = (flat.rest + shift).astype(np.float32)
    moved = rest + displacement.reshape(-1, 3)
    return GelSurface(rest, moved, rows, columns, may_overhang=True)
