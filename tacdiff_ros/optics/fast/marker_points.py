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
    cosine,
    sine,
    smooth_step,
)
from tacdiff_ros.optics.fast.light_panels import PANELS, START, STEP

SIX = np.float32(6.0)
MIN_SQUARE, MIN_LENGTH = np.float32(1e-10), np.float32(1e-6)
MIN_VIEW_COSINE, MIN_LIGHT_TANGENT = np.float32(0.1), np.float32(0.02)
PLATEAU, TANGENT_MM, PENUMBRA = np.float32(0.1), np.float32(0.02), np.float32(0.1)
PLAIN, FRINGE, RIM = 0, 1, 2  # kinds of points
# Columns of the table of markers, and the pattern's parameters.
CENTRE_X, CENTRE_Y, RADIUS, DARKNESS, SHAPE = 0, 1, 2, 3, 4
PITCH_X, PITCH_Y, FIRST_X, FIRST_Y, HEIGHT, SOFTNESS, WIDTH, RIM_MM, REACH, FAR = range(10)
AWAY_X, AWAY_Y, OWN_RADIUS = range(3)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def marker_points(  # type: ignore[no-untyped-def]
    table, pattern, hits, slopes, normal, reflectance, nearest, kind
):
    """Evaluate the nearest marker of each point.

    Args:
        table: (rows, columns, 8) float32 table of the markers: rest position, radius, darkness,
            shape.
        pattern: (10,) float32 parameters of the pattern.
        hits: (8, N) float32 points, as from `hit_rays`.
        slopes: (2, N) float32 dx/dz and dy/dz of the camera rays.
        normal: (3, N) float32 unit normals, tilted by the rims of markers; changed.
        reflectance: (N,) float32 fraction of light that the print reflects; changed.
        nearest: (3, N) float32 vector from the marker's centre and its radius, mm; changed.
        kind: (N,) int8 `PLAIN` away from markers, `FRINGE` where a marker may cast a fringe, `RIM`
            where its rim may be within the pixel; changed.
    """
    rows, columns = table.shape[:2]
    last_row, last_column = np.float32(rows - 1), np.float32(columns - 1)
    for i in range(hits.shape[1]):
        column = np.rint((hits[3, i] - pattern[FIRST_X]) / pattern[PITCH_X])
        row = np.rint((hits[4, i] - pattern[FIRST_Y]) / pattern[PITCH_Y])
        column, row = min(max(column, ZERO), last_column), min(max(row, ZERO), last_row)
        nearest[0, i], nearest[1, i] = column, row
        x = hits[3, i] - pattern[FIRST_X] - column * pattern[PITCH_X]
        y = hits[4, i] - pattern[FIRST_Y] - row * pattern[PITCH_Y]
        normal[0, i], normal[1, i], normal[2, i] = hits[5, i], hits[6, i], hits[7, i]
        reflectance[i] = ONE
        kind[i] = FRINGE if x * x + y * y < pattern[FAR] * pattern[FAR] else PLAIN
    for i in range(hits.shape[1]):
        if kind[i] == PLAIN:
            continue
        nx, ny, nz = hits[5, i], hits[6, i], hits[7, i]
        tx, ty = slopes[0, i], slopes[1, i]
        # The rim of a marker is visible at half its height above the gel.
        length = np.sqrt(tx * tx + ty * ty + ONE)
        facing = max(-(tx * nx + ty * ny + nz), MIN_VIEW_COSINE * length)
        x = hits[3, i] - HALF * pattern[HEIGHT] * (tx / facing + nx)
        y = hits[4, i] - HALF * pattern[HEIGHT] * (ty / facing + ny)
        c, r = int(nearest[0, i]), int(nearest[1, i])
        x, y, radius = x - table[r, c, CENTRE_X], y - table[r, c, CENTRE_Y], table[r, c, RADIUS]
        nearest[0, i], nearest[1, i], nearest[2, i] = x, y, radius
        distance = np.sqrt(max(x * x + y * y, MIN_SQUARE))
        x, y = x / distance, y / distance
        outside = distance - radius * (ONE + _shape(table, r, c, x, y))
        kind[i] = PLAIN
        if outside < pattern[REACH] and distance - radius > -HALF * pattern[SOFTNESS]:
            kind[i] = FRINGE
        if abs(outside) < pattern[RIM_MM]:
            kind[i] = RIM
        reflectance[i] = ONE - table[r, c, DARKNESS] * smooth_step(outside / pattern[WIDTH])
        if abs(outside) >= HALF * pattern[SOFTNESS]:
            continue
        t = HALF - outside / pattern[SOFTNESS]
        slope = SIX * t * (ONE - t) * pattern[HEIGHT] / pattern[SOFTNESS]
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
def cast_fringes(  # type: ignore[no-untyped-def]
    pattern, light, hits, nearest, scratch, panels
):
    """Reduce the light of a light's panels by the shadow of the nearest marker.

    Args:
        pattern: (10,) float32 parameters of the pattern.
        light: (15,) float32 parameters of the light.
        hits: (8, N) float32 points.
        nearest: (3, N) float32 result of `marker_points`.
        scratch: (10, N) float32 working memory of `light_panels` after its call for this light.
        panels: (4, N) float32 irradiance from the panels; changed.
    """
    height, softness = pattern[HEIGHT], pattern[SOFTNESS]
    ax, ay, az = light[3], light[4], light[5]
    for p in range(PANELS):
        position = np.float32(p) + HALF
        for i in range(hits.shape[1]):
            x, y, z = light[0] - hits[0, i], light[1] - hits[1, i], light[2] - hits[2, i]
            offset = x * ax + y * ay + z * az
            x, y, z = x - offset * ax, y - offset * ay, z - offset * az
            angle = scratch[START, i] + position * scratch[STEP, i]
            tangent = sine(angle) / max(cosine(angle), MIN_LENGTH)
            distance = np.sqrt(x * x + y * y + z * z)
            along = distance * tangent
            x, y, z = x + along * ax, y + along * ay, z + along * az
            nx, ny, nz = hits[5, i], hits[6, i], hits[7, i]
            rise = x * nx + y * ny + z * nz
            x, y, z = x - rise * nx, y - rise * ny, z - rise * nz
            norm = np.sqrt(max(x * x + y * y + z * z, MIN_SQUARE))
            x, y = x / norm, y / norm
            shadow_length = height / max(rise / norm, MIN_LIGHT_TANGENT)
            away_x, away_y, radius = nearest[0, i], nearest[1, i], nearest[2, i]
            plateau = radius - PLATEAU * softness
            ahead = -(away_x * x + away_y * y)
            squared = away_x * away_x + away_y * away_y
            chord = max(ahead * ahead - squared + plateau * abs(plateau), ZERO)
            half_chord = np.sqrt(chord + TANGENT_MM * TANGENT_MM) - TANGENT_MM
            path = max(ahead - half_chord, ZERO)
            away_x, away_y = away_x + path * x, away_y + path * y
            closest = np.sqrt(max(away_x * away_x + away_y * away_y, MIN_SQUARE)) - radius
            own = np.sqrt(max(squared, MIN_SQUARE)) - radius
            above = smooth_step(closest / softness) - smooth_step(own / softness)
            above -= path / max(shadow_length, MIN_LENGTH)
            t = min(max(above / PENUMBRA, ZERO), ONE)
            panels[p, i] *= ONE - t * t * (THREE - TWO * t)
