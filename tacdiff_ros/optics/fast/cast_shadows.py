"""Soft shadows that the surface casts: horizons of a height map against the panels of the lights.

A node of the height map sees the boundary between two panels above or below its horizon in that
direction. The visible fraction of a panel follows from a linear change between its boundaries, and
from the width of the light, which the horizon may cut.

Limits: the height map has no overhangs; between its nodes the visible fraction is interpolated.
"""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import HALF, ONE, TWO, ZERO, arctangent, cosine, sine
from tacdiff_ros.optics.fast.light_panels import (
    ACROSS,
    ALONG,
    HALF_LENGTH,
    HALF_WIDTH,
    MIN_SQUARED_DISTANCE,
    PANELS,
)

MIN_SHADOW_MM = np.float32(0.02)  # height above a node below which nothing casts a shadow on it
MIN_SLOPE = np.float32(0.02)  # of a ray to a light; bounds the length of the search
STEP_GROWTH = np.float32(0.2)  # of the search for the horizon, per distance
FIRST_STEP = np.float32(0.75)  # of the search, in grid steps
SOFTNESS = np.float32(0.02)  # of the edge of a shadow, as a slope, beside the light's own width
MIN_COSINE = np.float32(1e-3)
OBLIQUE = np.float32(1.6)  # length of the longest considered ray to a light, per distance from it
MIN_HEADING = np.float32(0.3)  # cosine to a light within which a node can hide it
ALMOST_ONE = np.float32(0.999)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def shade_heights(light, heights, grid, shade):  # type: ignore[no-untyped-def]
    """Write an estimate of the height below which a light's lowest rays are hidden at each node.

    The shade of a node passes on to its neighbours on the side away from the light.

    Args:
        light: (15,) float32 parameters of the light.
        heights: (R, C) float32 height z of the surface at the nodes, mm.
        grid: (4,) float32 x and y of the first node and the distances of the nodes, mm.
        shade: (R, C) float32 z above which (away from the camera) a node may be in shadow, mm;
            changed.
    """
    rows, columns = heights.shape
    shade[:] = heights
    lamp = light[2] + light[HALF_WIDTH] * abs(light[ACROSS + 2])
    for sweep in range(2):
        for i in range(rows * columns):
            k = i if sweep == 0 else rows * columns - 1 - i
            r, c = k // columns, k % columns
            to_x = light[0] - grid[0] - np.float32(c) * grid[2]
            to_y = light[1] - grid[1] - np.float32(r) * grid[3]
            along = to_x * light[ALONG] + to_y * light[ALONG + 1]
            to_x, to_y = to_x - along * light[ALONG], to_y - along * light[ALONG + 1]
            distance = np.sqrt(max(to_x * to_x + to_y * to_y, MIN_SQUARED_DISTANCE))
            fall = max(-lamp / (OBLIQUE * distance), MIN_SLOPE)
            lowest = shade[r, c]
            for dr in range(-1, 2):
                for dc in range(-1, 2):
                    x, y = np.float32(dc) * grid[2], np.float32(dr) * grid[3]
                    length = np.sqrt(x * x + y * y)
                    if x * to_x + y * to_y <= MIN_HEADING * length * distance:
                        continue
                    if 0 <= r + dr < rows and 0 <= c + dc < columns:
                        lowest = min(lowest, shade[r + dr, c + dc] + fall * length)
            shade[r, c] = lowest


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def panel_visibility(light, heights, grid, rows, shade, visible):  # type: ignore[no-untyped-def]
    """Write the visible fraction of each panel of a light at the nodes of a height map.

    Args:
        light: (15,) float32 parameters of the light.
        heights: (R, C) float32 height z of the surface at the nodes, mm.
        grid: (4,) float32 x and y of the first node and the distances of the nodes, mm.
        rows: first row to compute, and the row after the last one.
        shade: (R, C) float32 result of `shade_heights` for this light.
        visible: (R, C, 4) float32 fractions; changed.
    """
    bound = np.empty(PANELS + 1, np.float32)
    soft = np.empty(PANELS + 1, np.float32)
    top = heights.min()
    for r in range(rows[0], rows[1]):
        for c in range(heights.shape[1]):
            z = heights[r, c]
            for p in range(PANELS):
                visible[r, c, p] = ONE
            if z - shade[r, c] < MIN_SHADOW_MM:
                continue
            x, y = grid[0] + np.float32(c) * grid[2], grid[1] + np.float32(r) * grid[3]
            _boundary_clearances(light, heights, grid, top, x, y, z, bound, soft)
            for p in range(PANELS):
                softness = HALF * (soft[p] + soft[p + 1])
                visible[r, c, p] = _visible_fraction(bound[p], bound[p + 1], softness)


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _boundary_clearances(  # type: ignore[no-untyped-def]
    light, heights, grid, top, x, y, z, bound, soft
):
    """Write the slopes of rays to the panels' boundaries above the horizon, and the light's width.

    Args:
        light: as in `panel_visibility`.
        heights: as in `panel_visibility`.
        grid: as in `panel_visibility`.
        top: smallest z of the surface, mm.
        x: x of the receiver, mm.
        y: y of the receiver, mm.
        z: z of the receiver, mm.
        bound: (5,) slope of each ray minus that of the horizon; changed.
        soft: (5,) half of the slope that the light's width covers; changed.
    """
    ax, ay, az = light[ALONG], light[ALONG + 1], light[ALONG + 2]
    to_x, to_y, to_z = light[0] - x, light[1] - y, light[2] - z
    offset = to_x * ax + to_y * ay + to_z * az
    to_x, to_y, to_z = to_x - offset * ax, to_y - offset * ay, to_z - offset * az
    distance = np.sqrt(max(to_x * to_x + to_y * to_y + to_z * to_z, MIN_SQUARED_DISTANCE))
    start = arctangent((offset - light[HALF_LENGTH]) / distance)
    step = arctangent((offset + light[HALF_LENGTH]) / distance) - start
    for b in range(PANELS + 1):
        angle = start + step * (np.float32(b) / np.float32(PANELS))
        along = distance * sine(angle) / max(cosine(angle), MIN_COSINE)
        dx, dy, dz = to_x + along * ax, to_y + along * ay, to_z + along * az
        length = np.sqrt(max(dx * dx + dy * dy, MIN_SQUARED_DISTANCE))
        slope = -dz / length
        half_width = light[HALF_WIDTH] * abs(light[ACROSS + 2]) / length + SOFTNESS
        soft[b] = half_width
        horizon = _horizon(
            heights, grid, top, x, y, z, dx / length, dy / length, slope, half_width, length
        )
        bound[b] = slope - horizon


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _horizon(  # type: ignore[no-untyped-def]
    heights, grid, top, x, y, z, dx, dy, slope, half_width, length
):
    """Return the slope of the horizon of a point in a direction, where it may hide a ray.

    Args:
        heights: as in `panel_visibility`.
        grid: as in `panel_visibility`.
        top: smallest z of the surface, mm.
        x: x of the point, mm.
        y: y of the point, mm.
        z: z of the point, mm.
        dx: x of the horizontal unit vector to the light.
        dy: y of that vector.
        slope: slope of the ray to the light.
        half_width: change of this slope over half of the light's width.
        length: horizontal distance to the light, mm.
    """
    rows, columns = heights.shape
    u, v = (x - grid[0]) / grid[2], (y - grid[1]) / grid[3]
    du, dv = dx / grid[2], dy / grid[3]
    end_u, end_v = np.float32(columns) - np.float32(1.001), np.float32(rows) - np.float32(1.001)
    lowest = max(slope - half_width, MIN_SLOPE)
    last = min((z - top) / lowest, length)
    horizon = slope - TWO * half_width  # no less matters
    distance = FIRST_STEP * grid[2]
    while distance < last:
        at_u, at_v = u + distance * du, v + distance * dv
        if at_u < ZERO or at_v < ZERO or at_u > end_u or at_v > end_v:
            break
        c, r = int(at_u), int(at_v)
        right, down = at_u - np.float32(c), at_v - np.float32(r)
        above = heights[r, c] + right * (heights[r, c + 1] - heights[r, c])
        below = heights[r + 1, c] + right * (heights[r + 1, c + 1] - heights[r + 1, c])
        horizon = max(horizon, (z - above - down * (below - above)) / distance)
        if horizon > slope + half_width:
            break
        distance += max(HALF * grid[2], STEP_GROWTH * distance)
    return horizon


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _visible_fraction(first, second, softness):  # type: ignore[no-untyped-def]
    """Return the mean of clip(1/2 + g / (2 softness), 0, 1) for g from `first` to `second`."""
    change = second - first
    if abs(change) < np.float32(1e-3) * softness:
        return min(max(HALF + HALF * first / softness, ZERO), ONE)
    return (_clearance_integral(second, softness) - _clearance_integral(first, softness)) / change


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _clearance_integral(value, softness):  # type: ignore[no-untyped-def]
    """Return the integral of clip(1/2 + g / (2 softness), 0, 1) from -infinity to `value`."""
    inside = min(max(value + softness, ZERO), TWO * softness)
    return inside * inside / (TWO * TWO * softness) + max(value - softness, ZERO)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def shadow_cells(visible, cells):  # type: ignore[no-untyped-def]
    """Mark the cells of the height map with a shadow of any light at a corner.

    Args:
        visible: (L, R, C, 4) float32 results of `panel_visibility`.
        cells: (R, C) bool; changed.
    """
    lights, rows, columns = visible.shape[:3]
    cells[:] = False
    for light in range(lights):
        for r in range(rows):
            for c in range(columns):
                darkest = ONE
                for p in range(PANELS):
                    darkest = min(darkest, visible[light, r, c, p])
                if darkest < ALMOST_ONE:
                    top, left = max(r - 1, 0), max(c - 1, 0)
                    cells[top, left] = cells[top, c] = cells[r, left] = cells[r, c] = True


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def shadowed_points(cells, grid, hits, chosen):  # type: ignore[no-untyped-def]
    """Collect the points in cells with a shadow.

    Args:
        cells: (R, C) bool result of `shadow_cells`.
        grid: (4,) float32 as in `panel_visibility`.
        hits: (8, N) float32 points.
        chosen: (N,) int32 indices of the points; changed.

    Returns:
        Number of points.
    """
    rows, columns = cells.shape
    count = 0
    for i in range(hits.shape[1]):
        c = min(max(int((hits[0, i] - grid[0]) / grid[2]), 0), columns - 2)
        r = min(max(int((hits[1, i] - grid[1]) / grid[3]), 0), rows - 2)
        chosen[count] = i
        count += cells[r, c]
    return count


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def attenuate(visible, grid, hits, chosen, panels):  # type: ignore[no-untyped-def]
    """Reduce the light of a light's panels by the cast shadows.

    Args:
        visible: (R, C, 4) float32 result of `panel_visibility`.
        grid: (4,) float32 as in `panel_visibility`.
        hits: (8, N) float32 points.
        chosen: (M,) int32 result of `shadowed_points`.
        panels: (4, N) float32 irradiance from the panels; changed.
    """
    rows, columns = visible.shape[:2]
    end_u, end_v = np.float32(columns) - np.float32(1.001), np.float32(rows) - np.float32(1.001)
    for i in chosen:
        u = min(max((hits[0, i] - grid[0]) / grid[2], ZERO), end_u)
        v = min(max((hits[1, i] - grid[1]) / grid[3], ZERO), end_v)
        c, r = int(u), int(v)
        right, down = u - np.float32(c), v - np.float32(r)
        for p in range(PANELS):
            above = visible[r, c, p] + right * (visible[r, c + 1, p] - visible[r, c, p])
            below = visible[r + 1, c, p]
            below += right * (visible[r + 1, c + 1, p] - below)
            panels[p, i] *= above + down * (below - above)
