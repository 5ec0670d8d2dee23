"""Irradiance from area lights, divided into panels; see `optics.area_lights` for the method.

The loops over points have no branches and no calls of library functions, so that the compiler
computes several points at once.
"""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import (
    HALF,
    HALF_PI,
    ONE,
    PI,
    ZERO,
    arctangent,
    cosine,
    power,
    ratio_angle,
    sine,
)

PANELS = 4
QUARTER = np.float32(0.25)
GAUSS_POINT = np.float32(3.0**-0.5)  # two-point Gauss-Legendre rule, in [-1, 1]
MIN_SQUARE, MIN_COSINE = np.float32(1e-12), np.float32(1e-6)
MIN_SQUARED_DISTANCE = np.float32(1e-6)
# Rows of a light's parameters: centre, unit vectors along, across and aim, half sizes, exponent.
CENTRE, ALONG, ACROSS, AIM, HALF_LENGTH, HALF_WIDTH, EXPONENT = 0, 3, 6, 9, 12, 13, 14
LIGHT_PARAMETERS = 15
# Rows of the working memory: 0 to 7 for each kind of light, then angles that stay for other stages.
RECTANGLE_ROWS, START, STEP, SCRATCH_ROWS = 8, 8, 9, 10


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def light_panels(light, is_rectangle, hits, normal, scratch, panels):  # type: ignore[no-untyped-def]
    """Write the irradiance from the panels of a light of unit radiance.

    Args:
        light: (15,) float32 parameters of the light.
        is_rectangle: whether the light is a rectangle; otherwise it is a strip.
        hits: (>= 3, N) float32 receiver points in the first rows, mm.
        normal: (3, N) float32 unit normals of the receivers.
        scratch: (10, N) float32 working memory; afterwards rows `START` and `STEP` have the angle
            at which the first panel begins, and the angle of each panel, rad; changed.
        panels: (4, N) float32 irradiance; changed.
    """
    _strip(light, hits, normal, scratch, panels)
    if is_rectangle:
        _rectangle(light, hits, normal, scratch)
        for i in range(panels.shape[1]):
            whole = panels[0, i] + panels[1, i] + panels[2, i] + panels[3, i]
            factor = scratch[0, i] / max(whole, MIN_SQUARE)
            for p in range(PANELS):
                panels[p, i] *= factor


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _strip(light, hits, normal, scratch, panels):  # type: ignore[no-untyped-def]
    """Write the irradiance from the panels of a strip."""
    count = panels.shape[1]
    ax, ay, az = light[ALONG], light[ALONG + 1], light[ALONG + 2]
    aim_x, aim_y, aim_z = light[AIM], light[AIM + 1], light[AIM + 2]
    half_length, exponent = light[HALF_LENGTH], light[EXPONENT]
    for i in range(count):
        x, y, z = light[0] - hits[0, i], light[1] - hits[1, i], light[2] - hits[2, i]
        offset = x * ax + y * ay + z * az
        x, y, z = x - offset * ax, y - offset * ay, z - offset * az
        inverse = ONE / np.sqrt(max(x * x + y * y + z * z, MIN_SQUARED_DISTANCE))
        x, y, z = x * inverse, y * inverse, z * inverse
        start = arctangent((offset - half_length) * inverse)
        step = (arctangent((offset + half_length) * inverse) - start) * QUARTER
        emitted = -(x * aim_x + y * aim_y + z * aim_z)
        scale = power(emitted, exponent) * light[HALF_WIDTH] * step * inverse
        nx, ny, nz = normal[0, i], normal[1, i], normal[2, i]
        scratch[START, i], scratch[STEP, i] = start, step
        scratch[2, i] = scale if emitted > ZERO else ZERO
        scratch[3, i] = nx * ax + ny * ay + nz * az
        scratch[4, i] = nx * x + ny * y + nz * z
    for p in range(PANELS):
        first = np.float32(p) + HALF - HALF * GAUSS_POINT
        second = np.float32(p) + HALF + HALF * GAUSS_POINT
        for i in range(count):
            start, step = scratch[START, i], scratch[STEP, i]
            along, away = scratch[3, i], scratch[4, i]
            near = _emission(start + first * step, along, away, exponent)
            far = _emission(start + second * step, along, away, exponent)
            panels[p, i] = scratch[2, i] * (near + far)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _emission(angle, along, away, exponent):  # type: ignore[no-untyped-def]
    """Return the integrand of a strip's irradiance at an angle along it."""
    facing = along * sine(angle) + away * cosine(angle)
    return power(cosine(angle), exponent) * max(facing, ZERO)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _rectangle(light, hits, normal, scratch):  # type: ignore[no-untyped-def]
    """Write the irradiance of a rectangle to the first row of `scratch`: Lambert's formula."""
    count = hits.shape[1]
    for i in range(count):
        scratch[0, i] = ZERO
        for row in range(1, RECTANGLE_ROWS):
            scratch[row, i] = ZERO
    for k in range(4):
        # Corners clockwise from the front: (+, +), (+, -), (-, -), (-, +) along and across.
        a_along = light[HALF_LENGTH] * (ONE if k < 2 else -ONE)
        b_along = light[HALF_LENGTH] * (ONE if k in (0, 3) else -ONE)
        a_across = light[HALF_WIDTH] * (ONE if k in (0, 3) else -ONE)
        b_across = light[HALF_WIDTH] * (ONE if k > 1 else -ONE)
        a0 = light[0] + a_along * light[3] + a_across * light[6]
        a1 = light[1] + a_along * light[4] + a_across * light[7]
        a2 = light[2] + a_along * light[5] + a_across * light[8]
        b0 = light[0] + b_along * light[3] + b_across * light[6]
        b1 = light[1] + b_along * light[4] + b_across * light[7]
        b2 = light[2] + b_along * light[5] + b_across * light[8]
        for i in range(count):
            x, y, z = hits[0, i], hits[1, i], hits[2, i]
            nx, ny, nz = normal[0, i], normal[1, i], normal[2, i]
            ax, ay, az, bx, by, bz = a0 - x, a1 - y, a2 - z, b0 - x, b1 - y, b2 - z
            height_a, height_b = nx * ax + ny * ay + nz * az, nx * bx + ny * by + nz * bz
            above_a = ONE if height_a > ZERO else ZERO
            above_b = ONE if height_b > ZERO else ZERO
            change = height_a - height_b
            change = change if abs(change) > MIN_COSINE * MIN_COSINE else ONE
            fraction = min(max(height_a / change, ZERO), ONE)
            hx, hy = ax + fraction * (bx - ax), ay + fraction * (by - ay)
            hz = az + fraction * (bz - az)
            sx, sy = hx + above_a * (ax - hx), hy + above_a * (ay - hy)
            sz = hz + above_a * (az - hz)
            ex, ey = hx + above_b * (bx - hx), hy + above_b * (by - hy)
            ez = hz + above_b * (bz - hz)
            term = _edge_term(sx, sy, sz, ex, ey, ez, nx, ny, nz)
            scratch[0, i] += max(above_a, above_b) * term
            leaves, enters = above_a * (ONE - above_b), above_b * (ONE - above_a)
            scratch[1, i] += leaves * hx
            scratch[2, i] += leaves * hy
            scratch[3, i] += leaves * hz
            scratch[4, i] += enters * hx
            scratch[5, i] += enters * hy
            scratch[6, i] += enters * hz
            scratch[7, i] += leaves
    for i in range(count):
        nx, ny, nz = normal[0, i], normal[1, i], normal[2, i]
        closing = _edge_term(
            scratch[1, i],
            scratch[2, i],
            scratch[3, i],
            scratch[4, i],
            scratch[5, i],
            scratch[6, i],
            nx,
            ny,
            nz,
        )
        total = scratch[0, i] + (closing if scratch[7, i] > ZERO else ZERO)
        x, y, z = light[0] - hits[0, i], light[1] - hits[1, i], light[2] - hits[2, i]
        in_front = x * light[9] + y * light[10] + z * light[11] < ZERO
        scratch[0, i] = max(HALF * total, ZERO) if in_front else ZERO


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _edge_term(ax, ay, az, bx, by, bz, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Return an edge's term of Lambert's formula: the subtended angle times a cosine."""
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    norm = np.sqrt(max(x * x + y * y + z * z, MIN_SQUARE))
    projection = ax * bx + ay * by + az * bz
    size = abs(projection)
    angle = ratio_angle(min(norm, size) / max(norm, size))
    angle = HALF_PI - angle if norm > size else angle
    angle = PI - angle if projection < ZERO else angle
    return angle * (nx * x + ny * y + nz * z) / norm
