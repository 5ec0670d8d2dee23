"""Everything about one gel surface that is prepared before its pixels: vertices, light, shadows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.cast_shadows import panel_visibility, shade_heights, shadow_cells
from tacdiff_ros.optics.fast.light_panels import PANELS
from tacdiff_ros.optics.fast.sensor_tables import SensorTables
from tacdiff_ros.optics.fast.smooth_light import ENTRIES, node_light, node_points
from tacdiff_ros.optics.fast.surface_hits import HIT_ROWS, hit_grid, vertex_table
from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.float32]
RunAll = Callable[[Iterable[Callable[[], Any]]], Any]  # runs tasks, in any order

# Tangent of the angle at which reflected light typically arrives, as in `optics.interreflection`.
TYPICAL_TANGENT = np.float32(1.3)
NODE_MM = 0.4  # spacing of the nodes of the smooth light
SHADOW_MM = 0.25  # spacing of the height map
MIN_PRESS_MM = 0.03  # indentation below which no shadow is visible
BANDS = 4  # parts of a grid that are computed in parallel


@dataclass(frozen=True)
class Shadows:
    """Cast shadows on the nodes of a height map.

    Attributes:
        grid: (4,) float32 x and y of the first node and the distances of the nodes, mm.
        visible: (L, R, C, 4) float32 visible fraction of each light's panels.
        cells: (R, C) int32, one bit for each light that casts a shadow on a corner of the cell.
    """

    grid: Floats
    visible: Floats
    cells: NDArray[np.int32]


@dataclass(frozen=True)
class SurfaceTables:
    """Prepared surface.

    Attributes:
        vertices: flat float32 result of `vertex_table`.
        shape: rows and columns of the vertices.
        light: (R, C, 16) float32 smooth light at nodes that span the pad.
        shadows: cast shadows; None where there are none.
    """

    vertices: Floats
    shape: tuple[int, int]
    light: Floats
    shadows: Shadows | None


def surface_tables(
    sensor: SensorTables, surface: GelSurface, with_shadows: bool, run_all: RunAll
) -> SurfaceTables:
    """Prepare a surface.

    Args:
        sensor: prepared sensor.
        surface: gel surface.
        with_shadows: whether the surface casts shadows.
        run_all: function that runs tasks, possibly in several threads.
    """
    shape = (surface.rows, surface.columns)
    vertices = np.empty((*shape, HIT_ROWS), np.float32)
    rest = surface.rest.reshape(*shape, 3)
    position = surface.position.reshape(*shape, 3)
    run_all(partial(vertex_table, position, rest, band, vertices) for band in _bands(shape[0]))
    pressed = float(surface.position[:, 2].min()) < -MIN_PRESS_MM
    shadows = None
    if with_shadows and pressed and len(sensor.lights):
        shadows = _shadows(sensor, vertices, run_all)
    return SurfaceTables(
        vertices=vertices.reshape(-1),
        shape=shape,
        light=_smooth_light(sensor, surface, vertices),
        shadows=shadows,
    )


def _smooth_light(sensor: SensorTables, surface: GelSurface, vertices: Floats) -> Floats:
    """Return the ambient and indirect light at nodes that span the pad."""
    rows, columns = (math.ceil(side / NODE_MM) + 1 for side in sensor.pad[::-1])
    nodes = np.empty((rows, columns, HIT_ROWS), np.float32)
    at_row = _line_positions(surface.y_mm, sensor.pad[1], rows)
    at_column = _line_positions(surface.x_mm, sensor.pad[0], columns)
    node_points(vertices, at_row, at_column, nodes)
    light = np.empty((rows, columns, ENTRIES), np.float32)
    node_light(sensor.indirect, sensor.pad, TYPICAL_TANGENT, sensor.ambient, nodes, light)
    return light


def _line_positions(lines_mm: Floats, side_mm: float, count: int) -> Floats:
    """Return the fractional indices of grid lines at `count` equal distances over the pad."""
    at = np.linspace(-0.5 * side_mm, 0.5 * side_mm, count)
    return np.interp(at, lines_mm, np.arange(len(lines_mm))).astype(np.float32)


def _shadows(sensor: SensorTables, vertices: Floats, run_all: RunAll) -> Shadows:
    """Return the shadows that a surface casts on itself."""
    rows, columns = (math.ceil(side / SHADOW_MM) + 1 for side in sensor.pad[::-1])
    heights, grid = _height_map(sensor, vertices, rows, columns)
    visible = np.empty((len(sensor.lights), rows, columns, PANELS), np.float32)
    cells = np.zeros((rows, columns), np.int32)
    shade = np.empty((len(sensor.lights), rows, columns), np.float32)
    lights = range(len(sensor.lights))
    run_all(partial(shade_heights, sensor.lights[k], heights, grid, shade[k]) for k in lights)
    run_all(
        partial(panel_visibility, sensor.lights[k], heights, grid, band, shade[k], visible[k])
        for k in lights
        for band in _bands(rows)
    )
    for k in lights:
        shadow_cells(visible[k], np.int32(1 << k), cells)
    return Shadows(grid=grid, visible=visible, cells=cells)


def _bands(rows: int) -> list[tuple[int, int]]:
    """Return the first row of each band, and the row after its last one."""
    return list(itertools.pairwise(rows * band // BANDS for band in range(BANDS + 1)))


def _height_map(
    sensor: SensorTables, vertices: Floats, rows: int, columns: int
) -> tuple[Floats, Floats]:
    """Return the (rows, columns) height z of a surface over the pad, and its grid."""
    x, y = (
        np.linspace(-0.5 * s, 0.5 * s, n) for s, n in zip(sensor.pad, (columns, rows), strict=True)
    )
    rays = np.zeros((4, rows * columns), np.float32)
    rays[0], rays[1] = np.tile(x, rows), np.repeat(y, columns)
    hits, moved = np.empty((HIT_ROWS, rays.shape[1]), np.float32), np.empty_like(rays[:2])
    valid = np.empty(rays.shape[1], bool)
    shape = vertices.shape[:2]
    hit_grid(vertices.reshape(-1), shape, sensor.pad, rays, columns, moved, hits, valid)
    grid = np.array([x[0], y[0], x[1] - x[0], y[1] - y[0]], np.float32)
    return np.ascontiguousarray(hits[2].reshape(rows, columns)), grid
