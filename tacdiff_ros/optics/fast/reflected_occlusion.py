"""Occlusion of reflected light by the deformed gel: horizons of its height map.

Light that the layers reflect arrives from four sides at steep angles. The gel occludes the test
rays of a side that are below the horizon of a point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.cast_shadows import BELOW_END, height_at
from tacdiff_ros.optics.fast.compiled_math import ONE, ZERO
from tacdiff_ros.optics.fast.light_tables import SECTOR_ENTRIES, SECTORS
from tacdiff_ros.optics.fast.surface_hits import NORMAL_X

Floats = NDArray[np.float32]

# As of `optics.local_interreflection`: sin^2 of the angles of reflected light, directions per
# sector, width in sin^2 of the assumed angular distribution around its mean.
SINES_SQUARED = (0.45, 0.57, 0.69, 0.81, 0.93)
AZIMUTHS = 3
SPREAD = np.float32(0.2)
MAX_SEARCH_MM = np.float32(5.0)  # distance within which the gel occludes reflected light
MIN_LIGHT, MIN_WEIGHT = np.float32(1e-20), np.float32(1e-6)


def sector_rays() -> tuple[Floats, Floats, Floats]:
    """Return the test rays.

    Returns:
        (D, 2) horizontal unit vectors, by sector; (K,) cotangents of the angles to the sensor axis;
        (K,) sin^2 of these angles; all float32.
    """
    index = np.arange(SECTORS * AZIMUTHS)
    azimuth = 0.5 * np.pi * (index // AZIMUTHS + (index % AZIMUTHS + 0.5) / AZIMUTHS - 0.5)
    squares = np.array(SINES_SQUARED)
    directions = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
    cotangents = np.sqrt((1.0 - squares) / squares)
    return directions.astype(np.float32), cotangents.astype(np.float32), squares.astype(np.float32)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def subtract_occluded(  # type: ignore[no-untyped-def]
    light, points, is_near, heights, grid, rays, band, total
):
    """Subtract the reflected light that the gel occludes.

    Args:
        light: (27, R, C) float32 result of `_node_light`.
        points: (8, R, C) float32 points at the nodes.
        is_near: (R, C) bool, whether the surface around a node is deformed.
        heights: (r, c) float32 height map, mm.
        grid: (4,) float32 its first node and distances of the nodes, mm.
        rays: result of `sector_rays`.
        band: first row to compute, and the row after the last one.
        total: (3, R, C) float32; changed.
    """
    directions, cotangents, squares = rays
    top = heights.min()
    horizons = np.empty(AZIMUTHS, np.float32)
    normal = np.empty(3, np.float32)
    for r in range(band[0], band[1]):
        for c in range(is_near.shape[1]):
            if not is_near[r, c]:
                continue
            normal[:] = points[NORMAL_X:, r, c]
            for sector in range(SECTORS):
                highest = ZERO
                for a in range(AZIMUTHS):
                    direction = directions[sector * AZIMUTHS + a]
                    horizons[a] = _horizon(
                        heights, grid, top, points[:, r, c], direction, cotangents[-1]
                    )
                    highest = max(highest, horizons[a])
                if highest <= cotangents[-1]:
                    continue
                sign = ONE if sector < 2 else -ONE
                horizontal = sign * normal[sector % 2]
                for channel in range(3):
                    along = light[SECTOR_ENTRIES * sector + channel, r, c]
                    down = light[SECTOR_ENTRIES * sector + channel + 3, r, c]
                    arriving = max(horizontal * along - normal[2] * down, ZERO)
                    mean = along * along / max(along * along + down * down, MIN_LIGHT)
                    first = sector * AZIMUTHS
                    total[channel, r, c] -= arriving * _occluded_fraction(
                        normal,
                        directions[first : first + AZIMUTHS],
                        cotangents,
                        squares,
                        horizons,
                        mean,
                    )


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _occluded_fraction(normal, directions, cotangents, squares, horizons, mean):  # type: ignore[no-untyped-def]
    """Return the occluded fraction of the light of one sector.

    Args:
        normal: (3,) float32 unit normal.
        directions: (A, 2) float32 horizontal unit vectors of the sector.
        cotangents: (K,) float32 cotangents of the test rays' angles to the sensor axis.
        squares: (K,) float32 sin^2 of these angles.
        horizons: (A,) float32 slopes of the horizon.
        mean: sin^2 of the mean angle at which the light arrives.
    """
    occluded, whole = ZERO, MIN_WEIGHT
    for k in range(len(squares)):
        sine, off = np.sqrt(squares[k]), (mean - squares[k]) / SPREAD
        weight = np.exp(-off * off)
        for a in range(AZIMUTHS):
            across = normal[0] * directions[a, 0] + normal[1] * directions[a, 1]
            facing = weight * max(sine * (across - cotangents[k] * normal[2]), ZERO)
            whole += facing
            if horizons[a] > cotangents[k]:
                occluded += facing
    return occluded / whole


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _horizon(heights, grid, top, point, direction, lowest):  # type: ignore[no-untyped-def]
    """Return the slope of the horizon of a point in a direction; `lowest` if it is below that."""
    x, y, z = point[0], point[1], point[2]
    rows, columns = heights.shape
    u, v = (x - grid[0]) / grid[2], (y - grid[1]) / grid[3]
    du, dv = direction[0] / grid[2], direction[1] / grid[3]
    end_u, end_v = np.float32(columns) - BELOW_END, np.float32(rows) - BELOW_END
    last = min((z - top) / lowest, MAX_SEARCH_MM)
    horizon, distance = lowest * np.float32(0.99), grid[2]
    while distance <= last:
        at_u = min(max(u + distance * du, ZERO), end_u)
        at_v = min(max(v + distance * dv, ZERO), end_v)
        horizon = max(horizon, (z - height_at(heights, at_u, at_v)) / distance)
        distance += grid[2]
    return horizon
