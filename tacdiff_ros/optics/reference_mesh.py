"""Fine geometry and paint of the gel for the path-traced reference.

Written apart from `printed_markers`, in NumPy and on real geometry, so that the reference stays
independent: dots are bumps of the mesh and a bitmap, and their shadows fall by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import Values, parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

BLOB_REACH = 2.0  # radii within which a dot of any allowed shape lies


@dataclass(frozen=True)
class ReferenceMesh:
    """The gel's surface on a fine grid.

    Attributes:
        position: (rows, columns, 3) mm, dots raised.
        paint: (rows, columns) share of light that is left by the print, 1 off the dots.
    """

    position: NDArray[np.float64]
    paint: NDArray[np.float64]


def reference_mesh(model: SensorModel, surface: GelSurface, spacing_mm: float) -> ReferenceMesh:
    """Interpolate a surface smoothly to a spacing, raise the dots and paint them."""
    x = np.linspace(surface.x_mm[0], surface.x_mm[-1], round(model.gel.width_mm / spacing_mm) + 1)
    y = np.linspace(surface.y_mm[0], surface.y_mm[-1], round(model.gel.height_mm / spacing_mm) + 1)
    position = np.stack([*np.meshgrid(x, y), np.zeros((len(y), len(x)))], axis=-1)
    moved = (surface.position - surface.rest).reshape(surface.rows, surface.columns, 3)
    lines = surface.y_mm.astype(float), surface.x_mm.astype(float)
    for axis in range(3):
        position[..., axis] += RectBivariateSpline(*lines, moved[..., axis])(y, x)
    if model.markers is None:
        return ReferenceMesh(position, np.ones((len(y), len(x))))
    values = parameter_values(model)
    columns = model.markers.columns
    raised = marker_cover(values, columns, x, y, model.markers.softness_mm)
    darkness = values["markers.darkness"]
    paint = 1.0 - marker_cover(values, columns, x, y, model.markers.edge_mm, darkness)
    position += mesh_normals(position) * (model.markers.height_mm * raised)[..., None]
    return ReferenceMesh(position, paint)


def marker_cover(
    values: Values,
    dot_columns: int,
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    rim_mm: float,
    strength: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Dots drawn on material coordinates: (y, x) in [0, 1], with rims of a width.

    Args:
        values: parameters of the sensor.
        dot_columns: dots in a row.
        x_mm: (W,) material coordinates along x.
        y_mm: (H,) along y.
        rim_mm: width over which a dot ends.
        strength: (dots,) value inside of each dot; 1 by default.
    """
    cover = np.zeros((len(y_mm), len(x_mm)))
    for index in range(len(values["markers.scale"])):
        center, radius = _dot(values, dot_columns, index)
        reach = BLOB_REACH * radius + rim_mm
        columns = np.flatnonzero(np.abs(x_mm - center[0]) < reach)
        rows = np.flatnonzero(np.abs(y_mm - center[1]) < reach)
        dx, dy = np.meshgrid(x_mm[columns] - center[0], y_mm[rows] - center[1])
        angle = np.arctan2(dy, dx)
        a2, b2, a3, b3 = values["markers.shape"][index]
        wave = a2 * np.cos(2 * angle) + b2 * np.sin(2 * angle)
        wave += a3 * np.cos(3 * angle) + b3 * np.sin(3 * angle)
        t = np.clip(0.5 - (np.hypot(dx, dy) - radius * (1 + wave)) / rim_mm, 0, 1)
        inside = (1.0 if strength is None else strength[index]) * t * t * (3 - 2 * t)
        window = np.ix_(rows, columns)
        cover[window] = np.maximum(cover[window], inside)
    return cover


def _dot(values: Values, columns: int, index: int) -> tuple[NDArray[np.float64], float]:
    """Centre and radius of a dot in material coordinates."""
    rows = len(values["markers.scale"]) // columns
    row, column = divmod(index, columns)
    steps = np.array([column - (columns - 1) / 2, row - (rows - 1) / 2])
    center = values["markers.centre_mm"] + steps * values["markers.pitch_mm"]
    radius = 0.5 * float(values["markers.diameter_mm"]) * float(values["markers.scale"][index])
    return center + values["markers.offset_mm"][index], radius


def mesh_normals(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows, columns, 3) unit normals toward the camera of a grid of points."""
    normal = np.cross(np.gradient(grid, axis=0), np.gradient(grid, axis=1))
    return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True))
