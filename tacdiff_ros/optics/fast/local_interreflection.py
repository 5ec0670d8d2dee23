"""Local inter-reflection of the fast renderer: light between parts of the deformed gel.

The model is that of `optics.local_interreflection`: one bounce from the surface within `REACH_MM`,
minus the light of a flat pad around each point, minus the reflected light that the gel occludes.
Sources and receivers are the nodes of cast shadows, beyond some nodes blocks of four of them.

Limits: as of `optics.local_interreflection`; the gel outside of the image scatters no light, and
the result is blurred by the distance of the nodes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import ONE, PI, ZERO
from tacdiff_ros.optics.fast.light_panels import PANELS
from tacdiff_ros.optics.fast.light_tables import PADS, SECTOR_ENTRIES, SECTORS, SEGMENT_PX
from tacdiff_ros.optics.fast.reflected_occlusion import sector_rays, subtract_occluded
from tacdiff_ros.optics.fast.sensor_tables import SensorTables
from tacdiff_ros.optics.fast.surface_hits import NORMAL_X, Z
from tacdiff_ros.optics.fast.surface_tables import Relief

Floats = NDArray[np.float32]
RunAll = Callable[[Iterable[Callable[[], Any]]], Any]  # runs tasks, in any order

REACH_MM, FADE_MM = 3.2, 2.0  # distance of the farthest sources, and from which they fade
REACH_SQUARED = np.float32(REACH_MM**2)
FADE_RATE = np.float32(1.0 / (REACH_MM**2 - FADE_MM**2))
MIN_DEFORMATION_MM = 0.05  # below which the surrounding gel counts as flat
NEAR_BLOCKS = 2  # blocks on each side of a node's own block whose nodes are separate sources
BANDS = 8  # parts of the nodes that are computed in parallel
MIN_SQUARE = np.float32(1e-6)
LOWEST, HIGHEST = np.float32(-2.5), np.float32(0.5)  # heights beyond which light is constant
AREA, SCATTERED = 3, 6  # first rows of sources; rows 0 to 2 are positions


def local_interreflection(
    sensor: SensorTables, relief: Relief, irradiance: Floats, run_all: RunAll
) -> Floats:
    """Return the irradiance at the nodes of cast shadows in excess of that of a flat pad.

    Args:
        sensor: prepared sensor whose layers reflect light.
        relief: height map of the surface, and its points at the nodes.
        irradiance: (3, R, C) float32 irradiance of the nodes without local inter-reflection.
        run_all: function that runs tasks, possibly in several threads.

    Returns:
        (R, C, 3) float32 RGB irradiance; it may be negative.
    """
    shape = irradiance.shape[1:]
    points, valid = relief.points.reshape(-1, *shape), relief.valid.reshape(shape)
    sources = _sources(points, valid, irradiance * (sensor.base_color / PI)[:, None, None])
    blocks = _blocks(sources)
    reach = _reach(sources[AREA:SCATTERED])
    is_near = valid & (maximum_filter(np.abs(points[Z]), 4 * reach + 1) > MIN_DEFORMATION_MM)
    light = np.empty((SECTORS * SECTOR_ENTRIES + PADS, *shape), np.float32)
    total = np.zeros((3, *shape), np.float32)
    tables, rays = sensor.light, sector_rays()
    first_entry = 3 * PANELS * len(sensor.lights)

    def add_band(band: tuple[int, int]) -> None:
        _node_light(
            tables.coefficients, tables.node_px, sensor.shadow_px, first_entry, points, band, light
        )
        _gather(points, sources, blocks, is_near, reach, band, total)
        _subtract_flat_pad(light, points, is_near, band, total)
        subtract_occluded(light, points, is_near, relief.heights, relief.grid, rays, band, total)

    bands = itertools.pairwise(shape[0] * band // BANDS for band in range(BANDS + 1))
    run_all(partial(add_band, band) for band in bands)
    return np.ascontiguousarray(np.moveaxis(total, 0, -1))


def _sources(points: Floats, valid: NDArray[np.bool_], scattered: Floats) -> Floats:
    """Return (9, R, C) position, area vector toward the camera (mm^2) and scattered radiance.

    The area of a node is 0 if it or a neighbour misses the gel.
    """
    along_y, along_x = (np.gradient(points[:AREA], axis=axis) for axis in (1, 2))
    area = np.cross(along_y, along_x, axis=0)
    area *= minimum_filter(valid, 3)
    return np.concatenate([points[:AREA], area, scattered]).astype(np.float32)


def _blocks(sources: Floats) -> Floats:
    """Return the sources of blocks of 2 x 2 nodes; a last row or column may be a block of its own.

    Areas are sums, positions and radiance means.
    """
    rows, columns = sources.shape[1:]
    padded = np.pad(sources, ((0, 0), (0, rows % 2), (0, columns % 2)), mode="edge")
    padded[AREA:SCATTERED, rows:] = 0.0
    padded[AREA:SCATTERED, :, columns:] = 0.0
    blocks = padded.reshape(len(sources), (rows + 1) // 2, 2, (columns + 1) // 2, 2).mean((2, 4))
    blocks[AREA:SCATTERED] *= 4.0
    return np.ascontiguousarray(blocks, np.float32)


def _reach(area: Floats) -> int:
    """Return the number of blocks of 2 x 2 nodes within `REACH_MM`."""
    sizes = np.linalg.norm(area, axis=0)
    sizes = sizes[sizes > 0.0]
    spacing_mm = math.sqrt(float(np.median(sizes))) if len(sizes) else REACH_MM
    return max(NEAR_BLOCKS, round(0.5 * REACH_MM / spacing_mm))


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _node_light(coefficients, node_px, shadow_px, first_entry, points, band, light):  # type: ignore[no-untyped-def]
    """Write the reflected light at nodes: the entries of `LightTables` behind those of panels.

    Args:
        coefficients: (r, S, K, 4 N) float32 polynomials of the light.
        node_px: distance of their rows in pixels.
        shadow_px: distance of the nodes in pixels.
        first_entry: first entry of the reflected light.
        points: (8, R, C) float32 points at the nodes.
        band: first row to compute, and the row after the last one.
        light: (27, R, C) float32; changed.
    """
    last_row, last = coefficients.shape[0] - 2, SEGMENT_PX * coefficients.shape[1] - 1
    for r in range(band[0], band[1]):
        row = min(r * shadow_px // node_px, last_row)
        down = min(np.float32(r * shadow_px - row * node_px) / np.float32(node_px), ONE)
        for c in range(points.shape[2]):
            column = min(c * shadow_px, last)
            segment, i = column // SEGMENT_PX, column % SEGMENT_PX
            z = min(max(points[Z, r, c], LOWEST), HIGHEST)
            for e in range(light.shape[0]):
                a = coefficients[row, segment, first_entry + e]
                b = coefficients[row + 1, segment, first_entry + e]
                value = ZERO
                for power in range(3, -1, -1):
                    k = power * SEGMENT_PX + i
                    value = value * z + a[k] + down * (b[k] - a[k])
                light[e, r, c] = value


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _gather(points, sources, blocks, is_near, reach, band, total):  # type: ignore[no-untyped-def]
    """Add the irradiance of nodes from the sources within reach.

    Args:
        points: (8, R, C) float32 points at the nodes.
        sources: (9, R, C) float32 sources at the nodes.
        blocks: (9, r, c) float32 sources of blocks of 2 x 2 nodes.
        is_near: (R, C) bool, whether the surface around a node is deformed.
        reach: number of blocks on each side.
        band: first row to compute, and the row after the last one.
        total: (3, R, C) float32; changed.
    """
    rows, columns = is_near.shape
    receiver, rgb = np.empty(6, np.float32), np.empty(3, np.float32)
    for r in range(band[0], band[1]):
        row, top, bottom = r // 2, r // 2 - NEAR_BLOCKS, r // 2 + NEAR_BLOCKS + 1
        for c in range(columns):
            if not is_near[r, c]:
                continue
            column, left, right = c // 2, c // 2 - NEAR_BLOCKS, c // 2 + NEAR_BLOCKS + 1
            receiver[:3] = points[:3, r, c]
            receiver[3:] = points[NORMAL_X:, r, c]
            rgb[:] = ZERO
            for k in range(max(2 * top, 0), min(2 * bottom, rows)):
                _add_row(sources, k, 2 * left, 2 * right, receiver, rgb)
            for k in range(max(row - reach, 0), min(row + reach + 1, blocks.shape[1])):
                if top <= k < bottom:
                    _add_row(blocks, k, column - reach, left, receiver, rgb)
                    _add_row(blocks, k, right, column + reach + 1, receiver, rgb)
                else:
                    _add_row(blocks, k, column - reach, column + reach + 1, receiver, rgb)
            for channel in range(3):
                total[channel, r, c] += rgb[channel]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _add_row(sources, row, first, end, receiver, rgb):  # type: ignore[no-untyped-def]
    """Add the irradiance from some sources of a row.

    Args:
        sources: (9, R, C) float32 sources.
        row: their row.
        first: first column; columns that do not exist are omitted.
        end: column after the last one.
        receiver: (6,) float32 position and unit normal.
        rgb: (3,) float32 irradiance; changed.
    """
    x, y, z = receiver[0], receiver[1], receiver[2]
    nx, ny, nz = receiver[3], receiver[4], receiver[5]
    red, green, blue = ZERO, ZERO, ZERO
    part = sources[:, row]
    for k in range(max(first, 0), min(end, part.shape[1])):
        dx, dy, dz = part[0, k] - x, part[1, k] - y, part[2, k] - z
        ax, ay, az = part[3, k], part[4, k], part[5, k]
        squared = dx * dx + dy * dy + dz * dz + np.sqrt(ax * ax + ay * ay + az * az) / PI
        squared += MIN_SQUARE  # a node without area, seen from itself
        received = max(nx * dx + ny * dy + nz * dz, ZERO)
        factor = received * max(-(ax * dx + ay * dy + az * dz), ZERO) / (squared * squared)
        factor *= min(max((REACH_SQUARED - squared) * FADE_RATE, ZERO), ONE)
        red += factor * part[6, k]
        green += factor * part[7, k]
        blue += factor * part[8, k]
    rgb[0] += red
    rgb[1] += green
    rgb[2] += blue


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _subtract_flat_pad(light, points, is_near, band, total):  # type: ignore[no-untyped-def]
    """Subtract the light of a flat pad around each node, which the image model contains."""
    for r in range(band[0], band[1]):
        for c in range(is_near.shape[1]):
            if is_near[r, c]:
                factor = ONE + points[NORMAL_X + 2, r, c]
                for channel in range(3):
                    total[channel, r, c] -= factor * light[SECTORS * SECTOR_ENTRIES + channel, r, c]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def interpolate_nodes(nodes, shadow_px, first_row, rgb):  # type: ignore[no-untyped-def]
    """Write values at the nodes of cast shadows to the pixels between them.

    Args:
        nodes: (R, C, 3) float32 values at the nodes.
        shadow_px: distance of the nodes in pixels.
        first_row: row of the image of the first point.
        rgb: (3, H, W) float32 values; changed.
    """
    scale, columns = ONE / np.float32(shadow_px), rgb.shape[2]
    row = np.empty(nodes.shape[1], np.float32)
    for channel in range(3):
        for r in range(rgb.shape[1]):
            node = (first_row + r) // shadow_px
            down = np.float32((first_row + r) % shadow_px) * scale
            for k in range(len(row)):
                above, below = nodes[node, k, channel], nodes[node + 1, k, channel]
                row[k] = above + down * (below - above)
            for k in range((columns - 1) // shadow_px + 1):
                left, step = row[k], (row[k + 1] - row[k]) * scale
                first = k * shadow_px
                for c in range(first, min(first + shadow_px, columns)):
                    rgb[channel, r, c] = left + np.float32(c - first) * step
