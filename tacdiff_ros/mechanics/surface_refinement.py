"""Refinement of gel surfaces by interpolation."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import cached_njit
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
    along_x = np.empty((columns, surface.rows, 3))
    monotone_cubics(x - centre[0], np.swapaxes(displacement, 0, 1).copy(), fine_x, along_x)
    fine_displacement = np.empty((rows, columns, 3))
    monotone_cubics(y - centre[1], np.swapaxes(along_x, 0, 1).copy(), fine_y, fine_displacement)
    rest = (flat.rest + centre).astype(np.float32)
    position = rest + fine_displacement.reshape(-1, 3)
    return GelSurface(rest, position, rows, columns, may_overhang=True)


@cached_njit(nogil=True, error_model="numpy")
def monotone_cubics(x, values, fine_x, fine):  # type: ignore[no-untyped-def]
    """Interpolate along the first axis (PCHIP: Fritsch and Butland, SIAM J. Sci. Comput. 5, 1984).

    Args:
        x: (n,) increasing positions, at least 3.
        values: (n, m, 3) values at them.
        fine_x: (k,) positions within those of `x`.
        fine: (k, m, 3) interpolated values; changed.
    """
    slopes = np.empty_like(values)
    _monotone_slopes(x, values, slopes)
    interval, final = 0, len(x) - 2
    for i in range(len(fine_x)):
        while interval < final and fine_x[i] >= x[interval + 1]:
            interval += 1
        h = x[interval + 1] - x[interval]
        t = (fine_x[i] - x[interval]) / h
        first, first_slope = (1.0 + 2.0 * t) * (1.0 - t) ** 2, h * t * (1.0 - t) ** 2
        last, last_slope = t * t * (3.0 - 2.0 * t), h * t * t * (t - 1.0)
        for j in range(values.shape[1]):
            for k in range(3):
                fine[i, j, k] = (
                    first * values[interval, j, k]
                    + first_slope * slopes[interval, j, k]
                    + last * values[interval + 1, j, k]
                    + last_slope * slopes[interval + 1, j, k]
                )


@cached_njit(nogil=True, error_model="numpy")
def _monotone_slopes(x, values, slopes):  # type: ignore[no-untyped-def]
    """Write the slopes (n, m, 3) of monotone cubics through values (n, m, 3) at positions (n,)."""
    n = len(x)
    for i in range(n):
        inner = min(max(i, 1), n - 2)
        h0, h1 = x[inner] - x[inner - 1], x[inner + 1] - x[inner]
        for j in range(values.shape[1]):
            for k in range(3):
                before = (values[inner, j, k] - values[inner - 1, j, k]) / h0
                after = (values[inner + 1, j, k] - values[inner, j, k]) / h1
                if i == 0:
                    slopes[i, j, k] = _end_slope(h0, h1, before, after)
                elif i == n - 1:
                    slopes[i, j, k] = _end_slope(h1, h0, after, before)
                elif before * after <= 0.0:
                    slopes[i, j, k] = 0.0
                else:
                    w0, w1 = 2.0 * h1 + h0, h1 + 2.0 * h0
                    slopes[i, j, k] = (w0 + w1) / (w0 / before + w1 / after)


@cached_njit(nogil=True, error_model="numpy")
def _end_slope(h0, h1, slope0, slope1):  # type: ignore[no-untyped-def]
    """Return the slope at an end that keeps the shape: three-point formula, limited."""
    slope = ((2.0 * h0 + h1) * slope0 - h0 * slope1) / (h0 + h1)
    if slope * slope0 <= 0.0:
        return 0.0
    if slope0 * slope1 <= 0.0 and abs(slope) > 3.0 * abs(slope0):
        return 3.0 * slope0
    return slope
