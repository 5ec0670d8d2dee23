"""Irradiance from area lights, divided into panels; see `optics.area_lights` for the method.

The loops over points have no branches and no calls of library functions, so that the compiler
computes several points at once: powers, sines and angles are polynomials (errors below 2e-6).
"""

from __future__ import annotations

import math

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit

PANELS = 4
ZERO, HALF, ONE, TWO, QUARTER = (np.float32(value) for value in (0.0, 0.5, 1.0, 2.0, 0.25))
GAUSS_POINT = np.float32(3.0**-0.5)  # two-point Gauss-Legendre rule, in [-1, 1]
MIN_SQUARE, MIN_COSINE = np.float32(1e-12), np.float32(1e-6)
MIN_SQUARED_DISTANCE = np.float32(1e-6)
PI, HALF_PI = np.float32(math.pi), np.float32(0.5 * math.pi)
# Rows of a light's parameters: centre, unit vectors along, across and aim, half sizes, exponent.
CENTRE, ALONG, ACROSS, AIM, HALF_LENGTH, HALF_WIDTH, EXPONENT = 0, 3, 6, 9, 12, 13, 14
LIGHT_PARAMETERS = 15
SCRATCH_ROWS = 8
# Coefficients of log2(1 + x) / x, 2^x, sin(x) / x and atan(x) / x, from least-squares fits.
LOG = tuple(
    np.float32(value)
    for value in (1.4426964, -0.7213640, 0.4806292, -0.3593507, 0.2956336, -0.2695063, 0.1721287)
)
EXP = tuple(np.float32(v) for v in (1.0000001, 0.6931210, 0.2402211, 0.0559220, 0.0096760))
SIN = tuple(np.float32(value) for value in (0.99999924, -0.16665680, 0.00831323, -0.00018523))
ATAN = tuple(
    np.float32(value)
    for value in (0.9999993, -0.3332638, 0.1987987, -0.1348041, 0.0837416, -0.0368986, 0.0078255)
)
MANTISSA_MASK, ONE_BITS, EXPONENT_SHIFT = np.int32(0x7FFFFF), np.int32(0x3F800000), np.int32(23)
ROUNDING = np.int32(0x3F3504F3)  # bits of the square root of 1/2
MIN_POWER = np.float32(-125.0)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def light_panels(light, is_rectangle, hits, normal, scratch, panels):  # type: ignore[no-untyped-def]
    """Write the irradiance from the panels of a light of unit radiance.

    Args:
        light: (15,) float32 parameters of the light.
        is_rectangle: whether the light is a rectangle; otherwise it is a strip.
        hits: (>= 3, N) float32 receiver points in the first rows, mm.
        normal: (3, N) float32 unit normals of the receivers.
        scratch: (8, N) float32 working memory.
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
        start = _arctangent((offset - half_length) * inverse)
        step = (_arctangent((offset + half_length) * inverse) - start) * QUARTER
        emitted = -(x * aim_x + y * aim_y + z * aim_z)
        scale = _power(emitted, exponent) * light[HALF_WIDTH] * step * inverse
        nx, ny, nz = normal[0, i], normal[1, i], normal[2, i]
        scratch[0, i], scratch[1, i] = start, step
        scratch[2, i] = scale if emitted > ZERO else ZERO
        scratch[3, i] = nx * ax + ny * ay + nz * az
        scratch[4, i] = nx * x + ny * y + nz * z
    for p in range(PANELS):
        first = np.float32(p) + HALF - HALF * GAUSS_POINT
        second = np.float32(p) + HALF + HALF * GAUSS_POINT
        for i in range(count):
            start, step, along, away = scratch[0, i], scratch[1, i], scratch[3, i], scratch[4, i]
            near = _emission(start + first * step, along, away, exponent)
            far = _emission(start + second * step, along, away, exponent)
            panels[p, i] = scratch[2, i] * (near + far)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _emission(angle, along, away, exponent):  # type: ignore[no-untyped-def]
    """Return the integrand of a strip's irradiance at an angle along it."""
    squared = angle * angle
    sine = angle * _polynomial4(squared, SIN)
    other = HALF_PI - abs(angle)
    cosine = other * _polynomial4(other * other, SIN)
    return _power(cosine, exponent) * max(along * sine + away * cosine, ZERO)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _rectangle(light, hits, normal, scratch):  # type: ignore[no-untyped-def]
    """Write the irradiance of a rectangle to the first row of `scratch`: Lambert's formula."""
    count = hits.shape[1]
    for i in range(count):
        scratch[0, i] = ZERO
        for row in range(1, SCRATCH_ROWS):
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
    dot = ax * bx + ay * by + az * bz
    size = abs(dot)
    angle = _ratio_angle(min(norm, size) / max(norm, size))
    angle = HALF_PI - angle if norm > size else angle
    angle = PI - angle if dot < ZERO else angle
    return angle * (nx * x + ny * y + nz * z) / norm


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _power(base, exponent):  # type: ignore[no-untyped-def]
    """Return base^exponent, with bases below 1e-6 taken as 1e-6."""
    bits = np.float32(max(base, MIN_COSINE)).view(np.int32)
    whole = np.int32(np.int32(bits - ROUNDING) >> EXPONENT_SHIFT)
    x = np.int32(bits - np.int32(whole << EXPONENT_SHIFT)).view(np.float32) - ONE
    logarithm = np.float32(whole) + x * _polynomial7(x, LOG)
    power = max(exponent * logarithm, MIN_POWER)
    nearest = np.floor(power + HALF)
    fraction = power - nearest
    scale = np.int32(np.int32(np.int32(nearest) << EXPONENT_SHIFT) + ONE_BITS).view(np.float32)
    return scale * (
        EXP[0] + fraction * (EXP[1] + fraction * (EXP[2] + fraction * (EXP[3] + fraction * EXP[4])))
    )


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _arctangent(tangent):  # type: ignore[no-untyped-def]
    size = abs(tangent)
    angle = _ratio_angle(min(size, ONE) / max(size, ONE))
    angle = HALF_PI - angle if size > ONE else angle
    return -angle if tangent < ZERO else angle


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _ratio_angle(ratio):  # type: ignore[no-untyped-def]
    """Return the arctangent of a ratio in [0, 1]."""
    return ratio * _polynomial7(ratio * ratio, ATAN)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _polynomial4(x, c):  # type: ignore[no-untyped-def]
    return c[0] + x * (c[1] + x * (c[2] + x * c[3]))


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _polynomial7(x, c):  # type: ignore[no-untyped-def]
    return c[0] + x * (
        c[1] + x * (c[2] + x * (c[3] + x * (c[4] + x * (c[5] + x * c[6]))))
    )
