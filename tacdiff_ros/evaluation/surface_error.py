"""Difference of two gel surfaces: height, and motion in the plane of the pad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class SurfaceError:
    """Root mean squared errors of a gel surface.

    Attributes:
        height_mm: RMS error of z, mm.
        in_plane_mm: RMS error of x and y, per axis, mm.
    """

    height_mm: float
    in_plane_mm: float


def surface_error(
    estimate: GelSurface, truth: GelSurface, valid: NDArray[np.bool_] | None = None
) -> SurfaceError:
    """Compute the errors of a surface over its material points.

    Args:
        estimate: surface of N vertices.
        truth: true surface of the same pad in the same frame, on any grid; it is interpolated
            linearly between its vertices.
        valid: (N,) bool, True for vertices that count; default: all.

    Returns:
        RMS errors.
    """
    error = motion_error_mm(estimate, truth)
    error = error if valid is None else error[np.asarray(valid).ravel()]
    return SurfaceError(
        height_mm=float(np.sqrt(np.mean(error[:, 2] ** 2))),
        in_plane_mm=float(np.sqrt(np.mean(error[:, :2] ** 2))),
    )


def motion_error_mm(estimate: GelSurface, truth: GelSurface) -> NDArray[np.float64]:
    """Compute the error of the displacement of every material point of a surface.

    Args:
        estimate: surface of N vertices.
        truth: true surface of the same pad in the same frame, on any grid.

    Returns:
        (N, 3) estimated minus true displacement, mm.
    """
    axes = (truth.y_mm.astype(np.float64), truth.x_mm.astype(np.float64))
    motion = (truth.position - truth.rest).astype(np.float64)
    true_motion = RegularGridInterpolator(
        axes, motion.reshape(truth.rows, truth.columns, 3), bounds_error=False, fill_value=None
    )
    rest = estimate.rest.astype(np.float64)
    return np.asarray(estimate.position - rest - true_motion(rest[:, 1::-1]))


def moved_origin(surface: GelSurface, origin_mm: NDArray[np.floating]) -> GelSurface:
    """Express a surface in a frame with another origin and the same axes.

    Args:
        surface: gel surface.
        origin_mm: (3,) position of the new origin in the surface's frame, mm.

    Returns:
        Surface in the new frame.
    """
    shift = np.asarray(origin_mm, np.float32)
    return GelSurface(
        surface.rest - shift,
        surface.position - shift,
        surface.rows,
        surface.columns,
        surface.may_overhang,
    )
