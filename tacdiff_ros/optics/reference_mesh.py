"""Fine geometry and paint of the gel for the path-traced reference.

This module is written independently of `printed_markers`, in NumPy and with real geometry, so that
the reference is independent of the renderer: markers are bumps of the mesh and painted discs in a
bitmap, and their shadows result from path tracing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import Values, parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

MAX_RELATIVE_RADIUS = 2.0  # radius of a marker of any allowed shape, over its nominal radius


@dataclass(frozen=True)
class ReferenceMesh:
    """The gel surface on a fine grid.

    Attributes:
        position: (rows, columns, 3) float64 vertex positions with raised markers, mm.
        paint: (rows, columns) float64 fraction of light that the print reflects, 1 outside the
            markers.
    """

    position: NDArray[np.float64]
    paint: NDArray[np.float64]


def reference_mesh(model: SensorModel, surface: GelSurface, spacing_mm: float) -> ReferenceMesh:
    """Interpolate a surface smoothly to a fine grid, and raise and paint its markers.

    Args:
        model: sensor model.
        surface: gel surface.
        spacing_mm: approximate spacing of the fine grid, mm.
    """
    x = np.linspace(surface.x_mm[0], surface.x_mm[-1], round(model.gel.width_mm / spacing_mm) + 1)
    y = np.linspace(surface.y_mm[0], surface.y_mm[-1], round(model.gel.height_mm / spacing_mm) + 1)
    position = np.stack([*np.meshgrid(x, y), np.zeros((len(y), len(x)))], axis=-1)
    displacement = surface.position - surface.rest
    displacement = displacement.reshape(surface.rows, surface.columns, 3)
    lines = surface.y_mm.astype(float), surface.x_mm.astype(float)
    for axis in range(3):
        position[..., axis] += RectBivariateSpline(*lines, displacement[..., axis])(y, x)
    if model.markers is None:
        return ReferenceMesh(position, np.ones((len(y), len(x))))
    values = parameter_values(model)
    columns = model.markers.columns
    raised = marker_coverage(values, columns, x, y, rim_mm=model.markers.softness_mm)
    paint = 1.0 - marker_coverage(
        values, columns, x, y, rim_mm=model.markers.edge_mm, strength=values["markers.darkness"]
    )
    position += mesh_normals(position) * (model.markers.height_mm * raised)[..., None]
    return ReferenceMesh(position, paint)


def marker_coverage(
    values: Values,
    marker_columns: int,
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    rim_mm: float,
    strength: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Rasterise the markers in material coordinates.

    Args:
        values: result of `sensor.parameters.parameter_values`.
        marker_columns: number of markers in a row.
        x_mm: (W,) material coordinates along x, mm.
        y_mm: (H,) material coordinates along y, mm.
        rim_mm: width of the transition at a marker's rim, mm.
        strength: (markers,) value inside each marker, in [0, 1]; None for 1.

    Returns:
        (H, W) float64 coverage in [0, 1].
    """
    coverage = np.zeros((len(y_mm), len(x_mm)))
    for index in range(len(values["markers.scale"])):
        centre, radius = _marker_circle(values, marker_columns, index)
        reach = MAX_RELATIVE_RADIUS * radius + rim_mm
        columns = np.flatnonzero(np.abs(x_mm - centre[0]) < reach)
        rows = np.flatnonzero(np.abs(y_mm - centre[1]) < reach)
        dx, dy = np.meshgrid(x_mm[columns] - centre[0], y_mm[rows] - centre[1])
        angle = np.arctan2(dy, dx)
        a2, b2, a3, b3 = values["markers.shape"][index]
        wave = a2 * np.cos(2 * angle) + b2 * np.sin(2 * angle)
        wave += a3 * np.cos(3 * angle) + b3 * np.sin(3 * angle)
        t = np.clip(0.5 - (np.hypot(dx, dy) - radius * (1 + wave)) / rim_mm, 0, 1)
        inside = (1.0 if strength is None else strength[index]) * t * t * (3 - 2 * t)
        window = np.ix_(rows, columns)
        coverage[window] = np.maximum(coverage[window], inside)
    return coverage


def _marker_circle(values: Values, columns: int, index: int) -> tuple[NDArray[np.float64], float]:
    """Return the (2,) centre and the radius of a marker in material coordinates, mm."""
    rows = len(values["markers.scale"]) // columns
    row, column = divmod(index, columns)
    steps = np.array([column - (columns - 1) / 2, row - (rows - 1) / 2])
    centre = values["markers.centre_mm"] + steps * values["markers.pitch_mm"]
    radius = 0.5 * float(values["markers.diameter_mm"]) * float(values["markers.scale"][index])
    return centre + values["markers.offset_mm"][index], radius


def mesh_normals(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normals of a grid of points.

    Args:
        grid: (rows, columns, 3) points.

    Returns:
        (rows, columns, 3) float64 unit normals toward the camera.
    """
    normal = np.cross(np.gradient(grid, axis=0), np.gradient(grid, axis=1))
    return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True))
