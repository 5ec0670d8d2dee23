"""Markers at points of the surface; see `optics.printed_markers` for the model.

Limits: as there; in addition, fringes end at `reach_mm` from a marker's rim.
"""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import (
    HALF,
    ONE,
    THREE,
    TWO,
    ZERO,
    smooth_step,
)
from tacdiff_ros.optics.fast.light_panels import PANELS
from tacdiff_ros.optics.fast.pixel_light import add_reflected
from tacdiff_ros.optics.fast.surface_hits import NORMAL_X, NORMAL_Y, NORMAL_Z, REST_X, REST_Y

SIX = np.float32(6.0)
MIN_SQUARE, MIN_LENGTH = np.float32(1e-10), np.float32(1e-6)
MIN_VIEW_COSINE, MIN_LIGHT_TANGENT = np.float32(0.1), np.float32(0.02)
PLATEAU, TANGENT_MM, INVERSE_PENUMBRA = np.float32(0.1), np.float32(0.02), np.float32(10.0)
PLAIN, FRINGE, RIM = 0, 1, 2  # kinds of points
# Columns of the table of markers, and the pattern's parameters.
CENTRE_X, CENTRE_Y, RADIUS, DARKNESS, SHAPE = 0, 1, 2, 3, 4
PITCH_X, PITCH_Y, FIRST_X, FIRST_Y, HEIGHT, SOFTNESS, WIDTH, RIM_MM, REACH, FAR = range(10)
AWAY_X, AWAY_Y, OWN_RADIUS = range(3)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def near_markers(shape, pattern, hits, pixel, is_near):  # type: ignore[no-untyped-def]
    """Collect the points that a marker may cover or cast a fringe on.

    Args:
        shape: rows and columns of the markers.
        pattern: (10,) float32 parameters of the pattern.
        hits: (8, N) float32 points, as from `hit_rays`.
        pixel: (N,) int32 numbers of the collected points; changed.
        is_near: (N,) bool working memory; changed.

    Returns:
        Number of collected points.
    """
    last_row, last_column = np.float32(shape[0] - 1), np.float32(shape[1] - 1)
    scale_x, scale_y = ONE / pattern[PITCH_X], ONE / pattern[PITCH_Y]
    far = pattern[FAR] * pattern[FAR]
    for i in range(hits.shape[1]):
        x, y = hits[REST_X, i] - pattern[FIRST_X], hits[REST_Y, i] - pattern[FIRST_Y]
        column = min(max(np.floor(x * scale_x + HALF), ZERO), last_column)
        row = min(max(np.floor(y * scale_y + HALF), ZERO), last_row)
        x, y = x - column * pattern[PITCH_X], y - row * pattern[PITCH_Y]
        is_near[i] = x * x + y * y < far
    count = 0
    for i in range(hits.shape[1]):
        pixel[count] = i
        count += is_near[i]
    return count


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def marker_points(  # type: ignore[no-untyped-def]
    table, pattern, points, hits, slopes, normal, reflectance, nearest, kind
):
    """Evaluate the nearest marker of each point.

    Args:
        table: (rows, columns, 8) float32 table of the markers: rest position, radius, darkness,
            shape.
        pattern: (10,) float32 parameters of the pattern.
        points: (N,) int32 columns of the points in `hits` and `slopes`.
        hits: (8, M) float32 points, as from `hit_rays`.
        slopes: (2, M) float32 dx/dz and dy/dz of the camera rays.
        normal: (3, N) float32 unit normals, tilted by the rims of markers; changed.
        reflectance: (N,) float32 fraction of light that the print reflects; changed.
        nearest: (3, N) float32 vector from the marker's centre and its radius, mm; changed.
        kind: (N,) int8 `PLAIN` away from markers, `FRINGE` where a marker may cast a fringe, `RIM`
            where its rim may be within the pixel; changed.
    """
    rows, columns = table.shape[:2]
    last_row, last_column = np.float32(rows - 1), np.float32(columns - 1)
    scale_x, scale_y = ONE / pattern[PITCH_X], ONE / pattern[PITCH_Y]
    inverse_width, inverse_softness = ONE / pattern[WIDTH], ONE / pattern[SOFTNESS]
    half_height, half_softness = HALF * pattern[HEIGHT], HALF * pattern[SOFTNESS]
    slope_scale = SIX * pattern[HEIGHT] * inverse_softness
    for i in range(points.shape[0]):
        k = np.uint32(points[i])
        x, y = hits[REST_X, k] - pattern[FIRST_X], hits[REST_Y, k] - pattern[FIRST_Y]
        c = np.uint64(min(max(np.floor(x * scale_x + HALF), ZERO), last_column))
        r = np.uint64(min(max(np.floor(y * scale_y + HALF), ZERO), last_row))
        nx, ny, nz = hits[NORMAL_X, k], hits[NORMAL_Y, k], hits[NORMAL_Z, k]
        tx, ty = slopes[0, k], slopes[1, k]
        # The rim of a marker is visible at half its height above the gel.
        length = np.sqrt(tx * tx + ty * ty + ONE)
        lift = half_height / max(-(tx * nx + ty * ny + nz), MIN_VIEW_COSINE * length)
        x = hits[REST_X, k] - lift * tx - half_height * nx - table[r, c, CENTRE_X]
        y = hits[REST_Y, k] - lift * ty - half_height * ny - table[r, c, CENTRE_Y]
        radius = table[r, c, RADIUS]
        nearest[AWAY_X, i], nearest[AWAY_Y, i], nearest[OWN_RADIUS, i] = x, y, radius
        distance = np.sqrt(max(x * x + y * y, MIN_SQUARE))
        x, y = x / distance, y / distance
        outside = distance - radius * (ONE + _shape(table, r, c, x, y))
        is_fringe = outside < pattern[REACH] and distance - radius > -half_softness
        is_rim = abs(outside) < pattern[RIM_MM]
        kind[i] = RIM if is_rim else (FRINGE if is_fringe else PLAIN)
        reflectance[i] = ONE - table[r, c, DARKNESS] * smooth_step(outside * inverse_width)
        t = min(max(HALF - outside * inverse_softness, ZERO), ONE)
        slope = slope_scale * t * (ONE - t)
        nx, ny = nx + slope * x, ny + slope * y
        scale = ONE / np.sqrt(nx * nx + ny * ny + nz * nz)
        normal[0, i], normal[1, i], normal[2, i] = nx * scale, ny * scale, nz * scale


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _shape(table, r, c, x, y):  # type: ignore[no-untyped-def]
    """Return the relative change of a marker's radius in a unit direction from its centre."""
    cos2, sin2 = x * x - y * y, TWO * x * y
    cos3, sin3 = cos2 * x - sin2 * y, sin2 * x + cos2 * y
    even = table[r, c, SHAPE] * cos2 + table[r, c, SHAPE + 1] * sin2
    return even + table[r, c, SHAPE + 2] * cos3 + table[r, c, SHAPE + 3] * sin3


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def near_irradiance(  # type: ignore[no-untyped-def]
    pattern, light, column, color, ambient, hits, normal, nearest, rgb
):
    """Write the irradiance of points near markers, with the shadows of the markers.

    Args:
        pattern: (10,) float32 parameters of the pattern.
        light: (K, M) float32 light of pixels, see `pixel_light`.
        column: (N,) int32 column of each point in `light`.
        color: (L, 3) float32 radiance of the lights.
        ambient: (3,) float32 irradiance by ambient light.
        hits: (8, N) float32 points.
        normal: (3, N) float32 unit normals, tilted by the rims of markers.
        nearest: (3, N) float32 result of `marker_points`.
        rgb: (3, N) float32 irradiance; changed.
    """
    count, panels = column.shape[0], PANELS * color.shape[0]
    vectors, total = np.empty((3, count), np.float32), np.empty(count, np.float32)
    for channel in range(3):
        rgb[channel, :] = ambient[channel]
    for p in range(panels):
        if p % PANELS == 0:
            total[:] = ZERO
        for axis in range(3):
            _gather(light[3 * p + axis], column, vectors[axis])
        _add_panel(pattern, vectors, hits, normal, nearest, total)
        if p % PANELS == PANELS - 1:
            for channel in range(3):
                radiance = color[p // PANELS, channel]
                for i in range(count):
                    rgb[channel, i] += radiance * total[i]
    reflected = np.empty((light.shape[0] - 3 * panels, count), np.float32)
    for e in range(reflected.shape[0]):
        _gather(light[3 * panels + e], column, reflected[e])
    add_reflected(reflected, (normal[0], normal[1], normal[2]), (rgb[0], rgb[1], rgb[2]))


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _gather(values, column, gathered):  # type: ignore[no-untyped-def]
    for i in range(column.shape[0]):
        gathered[i] = values[np.uint32(column[i])]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _add_panel(pattern, vectors, hits, normal, nearest, total):  # type: ignore[no-untyped-def]
    """Add the irradiance from a panel, of unit radiance, with the shadow of the nearest marker.

    Args:
        pattern: (10,) float32 parameters of the pattern.
        vectors: (3, N) float32 vectors of the panel's light, toward it.
        hits: (8, N) float32 points.
        normal: (3, N) float32 unit normals, tilted by the rims of markers.
        nearest: (3, N) float32 result of `marker_points`.
        total: (N,) float32; changed.
    """
    height, inverse_softness = pattern[HEIGHT], ONE / pattern[SOFTNESS]
    plateau_mm = PLATEAU * pattern[SOFTNESS]
    for i in range(hits.shape[1]):
        x, y, z = vectors[0, i], vectors[1, i], vectors[2, i]
        facing = max(x * normal[0, i] + y * normal[1, i] + z * normal[2, i], ZERO)
        nx, ny, nz = hits[NORMAL_X, i], hits[NORMAL_Y, i], hits[NORMAL_Z, i]
        rise = x * nx + y * ny + z * nz
        x, y, z = x - rise * nx, y - rise * ny, z - rise * nz
        inverse = ONE / np.sqrt(max(x * x + y * y + z * z, MIN_SQUARE))
        x, y = x * inverse, y * inverse
        shadow_length = height / max(rise * inverse, MIN_LIGHT_TANGENT)
        away_x, away_y, radius = nearest[AWAY_X, i], nearest[AWAY_Y, i], nearest[OWN_RADIUS, i]
        plateau = radius - plateau_mm
        ahead = -(away_x * x + away_y * y)
        squared = away_x * away_x + away_y * away_y
        chord = max(ahead * ahead - squared + plateau * abs(plateau), ZERO)
        half_chord = np.sqrt(chord + TANGENT_MM * TANGENT_MM) - TANGENT_MM
        path = max(ahead - half_chord, ZERO)
        away_x, away_y = away_x + path * x, away_y + path * y
        closest = np.sqrt(max(away_x * away_x + away_y * away_y, MIN_SQUARE)) - radius
        own = np.sqrt(max(squared, MIN_SQUARE)) - radius
        above = smooth_step(closest * inverse_softness) - smooth_step(own * inverse_softness)
        above -= path / max(shadow_length, MIN_LENGTH)
        t = min(max(above * INVERSE_PENUMBRA, ZERO), ONE)
        total[i] += facing * (ONE - t * t * (THREE - TWO * t))
