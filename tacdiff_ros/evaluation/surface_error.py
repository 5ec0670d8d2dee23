"""How far one gel surface is from another: height, and motion in the plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class SurfaceError:
    """Root of mean squared errors.

    Attributes:
        height_mm: of z.
        in_plane_mm: of x and y, per axis.
    """

    height_mm: float
    in_plane_mm: float


def surface_error(
    found: GelSurface, truth: GelSurface, valid: NDArray[np.bool_] | None = None
) -> SurfaceError:
    """Over the found surface's material points; the truth is linear between its own.

    Args:
        found: (N vertices) surface.
        truth: of the same pad and origin, on any grid.
        valid: (N,) vertices that count; default: all.
    """
    away = motion_error_mm(found, truth)
    away = away if valid is None else away[np.asarray(valid).ravel()]
    return SurfaceError(
        height_mm=float(np.sqrt(np.mean(away[:, 2] ** 2))),
        in_plane_mm=float(np.sqrt(np.mean(away[:, :2] ** 2))),
    )


def motion_error_mm(found: GelSurface, truth: GelSurface) -> NDArray[np.float64]:
    """(N, 3) found motion of the found surface's material points less the true one."""
    axes = (truth.y_mm.astype(np.float64), truth.x_mm.astype(np.float64))
    motion = (truth.position - truth.rest).astype(np.float64)
    at = RegularGridInterpolator(
        axes, motion.reshape(truth.rows, truth.columns, 3), bounds_error=False, fill_value=None
    )
    rest = found.rest.astype(np.float64)
    return np.asarray(found.position - rest - at(rest[:, 1::-1]))


def moved_origin(surface: GelSurface, origin_mm: NDArray[np.floating]) -> GelSurface:
    """A surface as seen from another origin, (3,) in its own frame."""
    shift = np.asarray(origin_mm, np.float32)
    return GelSurface(
        surface.rest - shift,
        surface.position - shift,
        surface.rows,
        surface.columns,
        surface.may_overhang,
    )
