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

from tacdiff_ros.optics.fast.cast_shadows import panel_visibility, shade_heights
from tacdiff_ros.optics.fast.light_panels import PANELS
from tacdiff_ros.optics.fast.sensor_tables import SensorTables
from tacdiff_ros.optics.fast.surface_hits import HIT_ROWS, hit_grid, vertex_table
from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.float32]
RunAll = Callable[[Iterable[Callable[[], Any]]], Any]  # runs tasks, in any order

HEIGHT_MM = 0.25  # spacing of the height map that casts shadows
MIN_PRESS_MM = 0.03  # indentation below which no shadow is visible
BANDS = 4  # parts of a grid that are computed in parallel


@dataclass(frozen=True)
class Relief:
    """Height map of a deformed surface, and the surface at the nodes of cast shadows.

    Attributes:
        heights: (r, c) float32 height z over the pad, mm.
        grid: (4,) float32 x and y of its first node and the distances of its nodes, mm.
        points: (8, R C) float32 hits at nodes of the image; see `surface_hits`.
        valid: (R C,) bool, whether a node shows the gel.
    """

    heights: Floats
    grid: Floats
    points: Floats
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class SurfaceTables:
    """Prepared surface.

    Attributes:
        vertices: flat float32 result of `vertex_table`.
        shape: rows and columns of the vertices.
        relief: height map; None without shadows, and if the surface is too flat for visible ones.
        shadows: (R, C, 4 L) float32 visible fraction of each light's panels at nodes of the image;
            None if all are visible.
    """

    vertices: Floats
    shape: tuple[int, int]
    relief: Relief | None
    shadows: Floats | None


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
    relief, shadows = None, None
    if pressed and with_shadows:
        relief = _relief(sensor, vertices)
        if len(sensor.lights):
            shadows = _shadows(sensor, relief, run_all)
    return SurfaceTables(
        vertices=vertices.reshape(-1),
        shape=shape,
        relief=relief,
        shadows=shadows,
    )


def _relief(sensor: SensorTables, vertices: Floats) -> Relief:
    rows, columns = (math.ceil(side / HEIGHT_MM) + 1 for side in sensor.pad[::-1])
    heights, grid = _height_map(sensor, vertices, rows, columns)
    rays = sensor.shadow_rays
    points, valid = _hits(sensor, vertices, rays.reshape(4, -1), rays.shape[2])
    return Relief(heights=heights, grid=grid, points=points, valid=valid)


def _shadows(sensor: SensorTables, relief: Relief, run_all: RunAll) -> Floats | None:
    """Return the visible fractions of the panels, None if the surface casts no shadow."""
    shape, lights = sensor.shadow_rays.shape[1:], range(len(sensor.lights))
    count = relief.points.shape[1]
    visible = np.empty((len(sensor.lights), count, PANELS), np.float32)
    coarse, coarse_grid = _coarse_heights(relief.heights, relief.grid)
    shade = np.empty((len(sensor.lights), *coarse.shape), np.float32)

    run_all(partial(shade_heights, sensor.lights[k], coarse, coarse_grid, shade[k]) for k in lights)
    are_shaded = run_all(
        partial(
            panel_visibility,
            sensor.lights[k],
            relief.heights,
            relief.grid,
            relief.points,
            relief.valid,
            band,
            coarse_grid,
            shade[k],
            visible[k],
        )
        for k in lights
        for band in _bands(count)
    )
    if not any(are_shaded):
        return None
    return np.ascontiguousarray(np.moveaxis(visible, 0, 1)).reshape(*shape, -1)


def _coarse_heights(heights: Floats, grid: Floats) -> tuple[Floats, Floats]:
    """Return the smallest z of every 2 x 2 nodes, on a grid with twice the distance."""
    rows, columns = heights.shape
    padded = np.pad(heights, ((0, rows % 2), (0, columns % 2)), mode="edge")
    blocks = padded.reshape((rows + 1) // 2, 2, (columns + 1) // 2, 2)
    origin = grid[:2] + 0.5 * grid[2:]
    return blocks.min(axis=(1, 3)), np.concatenate([origin, 2.0 * grid[2:]]).astype(np.float32)


def _bands(count: int) -> list[tuple[int, int]]:
    """Return the first item of each band, and the item after its last one."""
    return list(itertools.pairwise(count * band // BANDS for band in range(BANDS + 1)))


def _height_map(
    sensor: SensorTables, vertices: Floats, rows: int, columns: int
) -> tuple[Floats, Floats]:
    """Return the (rows, columns) height z of a surface over the pad, and its grid."""
    x, y = (
        np.linspace(-0.5 * s, 0.5 * s, n) for s, n in zip(sensor.pad, (columns, rows), strict=True)
    )
    rays = np.zeros((4, rows * columns), np.float32)
    rays[0], rays[1] = np.tile(x, rows), np.repeat(y, columns)
    hits, _ = _hits(sensor, vertices, rays, columns)
    grid = np.array([x[0], y[0], x[1] - x[0], y[1] - y[0]], np.float32)
    return np.ascontiguousarray(hits[2].reshape(rows, columns)), grid


def _hits(
    sensor: SensorTables, vertices: Floats, rays: Floats, width: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the (8, N) hits of a grid of rays with so many in a row, and which are valid."""
    hits, moved = np.empty((HIT_ROWS, rays.shape[1]), np.float32), np.empty_like(rays[:2])
    valid = np.empty(rays.shape[1], bool)
    shape = vertices.shape[:2]
    hit_grid(vertices.reshape(-1), shape, sensor.pad, rays, width, moved, hits, valid)
    return hits, valid
