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
STEP_GROWTH = np.float32(0.1)  # of the search for the horizon, per distance
FIRST_STEP = np.float32(0.75)  # of the search, in grid steps
SOFTNESS = np.float32(0.02)  # of the edge of a shadow, as a slope, beside the light's own width
MIN_COSINE = np.float32(1e-3)
OBLIQUE = np.float32(1.6)  # length of the longest considered ray to a light, per distance from it
MIN_HEADING = np.float32(0.3)  # cosine to a light within which a node can hide it
MAX_SEARCH, MAX_DISTANCE_MM = 60, np.float32(50.0)
BELOW_END = np.float32(1.001)  # keeps the last cell of a grid inside it


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
    diagonal = np.sqrt(grid[2] * grid[2] + grid[3] * grid[3])
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
            column = min(max(c + (1 if to_x > ZERO else -1), 0), columns - 1)
            row = min(max(r + (1 if to_y > ZERO else -1), 0), rows - 1)
            lowest = min(shade[r, c], shade[row, column] + fall * diagonal)
            if abs(to_x) > MIN_HEADING * distance:
                other = min(max(r - (1 if to_y > ZERO else -1), 0), rows - 1)
                lowest = min(lowest, shade[r, column] + fall * grid[2])
                lowest = min(lowest, shade[other, column] + fall * diagonal)
            if abs(to_y) > MIN_HEADING * distance:
                other = min(max(c - (1 if to_x > ZERO else -1), 0), columns - 1)
                lowest = min(lowest, shade[row, c] + fall * grid[3])
                lowest = min(lowest, shade[row, other] + fall * diagonal)
            shade[r, c] = lowest


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def panel_visibility(  # type: ignore[no-untyped-def]
    light, heights, grid, points, valid, band, shade_grid, shade, visible
):
    """Write the visible fraction of each panel of a light at points of the surface.

    Args:
        light: (15,) float32 parameters of the light.
        heights: (R, C) float32 height z of the surface at the nodes, mm.
        grid: (4,) float32 x and y of the first node and the distances of the nodes, mm.
        points: (>= 3, N) float32 points in the first rows, mm.
        valid: (N,) bool, false for points without a surface, which are visible.
        band: first point to compute, and the point after the last one.
        shade_grid: (4,) float32 grid of `shade`, as `grid`.
        shade: (r, c) float32 result of `shade_heights` for this light.
        visible: (N, 4) float32 fractions; changed.

    Returns:
        Whether any panel is hidden in part.
    """
    top = heights.min()
    search = _search_distances(FIRST_STEP * grid[2])
    last_row, last_column = shade.shape[0] - 2, shade.shape[1] - 2
    is_shaded = False
    for i in range(band[0], band[1]):
        x, y, z = points[0, i], points[1, i], points[2, i]
        r = min(max(int((y - shade_grid[1]) / shade_grid[3]), 0), last_row)
        c = min(max(int((x - shade_grid[0]) / shade_grid[2]), 0), last_column)
        lowest = min(shade[r, c], shade[r, c + 1], shade[r + 1, c], shade[r + 1, c + 1])
        if not valid[i] or z - lowest < MIN_SHADOW_MM:
            for p in range(PANELS):
                visible[i, p] = ONE
            continue
        is_shaded = True
        first, soft = _clearance(light, heights, grid, search, top, x, y, z, ZERO)
        for p in range(0, PANELS, 2):
            at = np.float32(p)
            last, soft_last = _clearance(light, heights, grid, search, top, x, y, z, at + TWO)
            soft = HALF * (soft + soft_last)
            is_lit = first > soft and last > soft
            if is_lit or (first < -soft and last < -soft):
                visible[i, p] = visible[i, p + 1] = ONE if is_lit else ZERO
            else:
                middle, _ = _clearance(light, heights, grid, search, top, x, y, z, at + ONE)
                visible[i, p] = _visible_fraction(first, middle, soft)
                visible[i, p + 1] = _visible_fraction(middle, last, soft)
            first, soft = last, soft_last
    return is_shaded


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _search_distances(step):  # type: ignore[no-untyped-def]
    """Return growing distances up to `MAX_DISTANCE_MM`, mm."""
    distances = np.empty(MAX_SEARCH, np.float32)
    distance = step
    count = 0
    while distance < MAX_DISTANCE_MM and count < MAX_SEARCH:
        distances[count] = distance
        distance += max(step, STEP_GROWTH * distance)
        count += 1
    return distances[:count]


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _clearance(light, heights, grid, search, top, x, y, z, at):  # type: ignore[no-untyped-def]
    """Return how far above the horizon a point of a light is seen, and half of the light's width.

    Args:
        light: parameters of the light.
        heights: height map, mm.
        grid: first node and distances of the nodes, mm.
        search: (K,) float32 distances at which the horizon is searched, mm.
        top: smallest z of the surface, mm.
        x: x of the receiver, mm.
        y: y of the receiver, mm.
        z: z of the receiver, mm.
        at: position on the light in units of panels, 0 at its start.

    Returns:
        Both as slopes of rays from the receiver.
    """
    ax, ay, az = light[ALONG], light[ALONG + 1], light[ALONG + 2]
    to_x, to_y, to_z = light[0] - x, light[1] - y, light[2] - z
    offset = to_x * ax + to_y * ay + to_z * az
    to_x, to_y, to_z = to_x - offset * ax, to_y - offset * ay, to_z - offset * az
    distance = np.sqrt(max(to_x * to_x + to_y * to_y + to_z * to_z, MIN_SQUARED_DISTANCE))
    start = arctangent((offset - light[HALF_LENGTH]) / distance)
    step = arctangent((offset + light[HALF_LENGTH]) / distance) - start
    angle = start + step * (at / np.float32(PANELS))
    along = distance * sine(angle) / max(cosine(angle), MIN_COSINE)
    dx, dy, dz = to_x + along * ax, to_y + along * ay, to_z + along * az
    length = np.sqrt(max(dx * dx + dy * dy, MIN_SQUARED_DISTANCE))
    slope = -dz / length
    half_width = light[HALF_WIDTH] * abs(light[ACROSS + 2]) / length + SOFTNESS
    horizon = _horizon(
        heights, grid, search, top, x, y, z, dx / length, dy / length, slope, half_width, length
    )
    return slope - horizon, half_width


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def height_at(heights, u, v):  # type: ignore[no-untyped-def]
    """Return the height between the nodes of a height map, by bilinear interpolation.

    Args:
        heights: (R, C) float32 height map.
        u: column, at least 0 and below C - 1.
        v: row, at least 0 and below R - 1.
    """
    c, r = np.int32(u), np.int32(v)
    right, down = u - np.float32(c), v - np.float32(r)
    above = heights[r, c] + right * (heights[r, c + 1] - heights[r, c])
    below = heights[r + 1, c] + right * (heights[r + 1, c + 1] - heights[r + 1, c])
    return above + down * (below - above)


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _horizon(  # type: ignore[no-untyped-def]
    heights, grid, search, top, x, y, z, dx, dy, slope, half_width, length
):
    """Return the slope of the horizon of a point in a direction, where it may hide a ray.

    Args:
        heights: height map, mm.
        grid: first node and distances of the nodes, mm.
        search: (K,) float32 distances at which the horizon is searched, mm.
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
    end_u, end_v = np.float32(columns) - BELOW_END, np.float32(rows) - BELOW_END
    last = min((z - top) / max(slope - half_width, MIN_SLOPE), length)
    horizon = slope - TWO * half_width  # no less matters
    count = 0
    while count < len(search) and search[count] <= last:
        count += 1
    for k in range(count):
        distance = search[k]
        at_u = min(max(u + distance * du, ZERO), end_u)
        at_v = min(max(v + distance * dv, ZERO), end_v)
        horizon = max(horizon, (z - height_at(heights, at_u, at_v)) * (ONE / distance))
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
