"""Functions of single-precision numbers that the compiler can compute for several points at once.

Polynomials replace calls of a library; their errors are below 2e-6.
"""

from __future__ import annotations

import math

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit

ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
TWO, THREE = np.float32(2.0), np.float32(3.0)
PI, HALF_PI = np.float32(math.pi), np.float32(0.5 * math.pi)
MIN_BASE = np.float32(1e-7)
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
def power(base, exponent):  # type: ignore[no-untyped-def]
    """Return base^exponent, with bases below 1e-7 taken as 1e-7."""
    bits = np.float32(max(base, MIN_BASE)).view(np.int32)
    whole = np.int32(np.int32(bits - ROUNDING) >> EXPONENT_SHIFT)
    x = np.int32(bits - np.int32(whole << EXPONENT_SHIFT)).view(np.float32) - ONE
    logarithm = np.float32(whole) + x * _polynomial7(x, LOG)
    result = max(exponent * logarithm, MIN_POWER)
    nearest = np.floor(result + HALF)
    fraction = result - nearest
    scale = np.int32(np.int32(np.int32(nearest) << EXPONENT_SHIFT) + ONE_BITS).view(np.float32)
    return scale * (
        EXP[0] + fraction * (EXP[1] + fraction * (EXP[2] + fraction * (EXP[3] + fraction * EXP[4])))
    )


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def arctangent(tangent):  # type: ignore[no-untyped-def]
    """Return the arctangent of a number."""
    size = abs(tangent)
    angle = ratio_angle(min(size, ONE) / max(size, ONE))
    angle = HALF_PI - angle if size > ONE else angle
    return -angle if tangent < ZERO else angle


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def ratio_angle(ratio):  # type: ignore[no-untyped-def]
    """Return the arctangent of a ratio in [0, 1]."""
    return ratio * _polynomial7(ratio * ratio, ATAN)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _polynomial4(x, c):  # type: ignore[no-untyped-def]
    return c[0] + x * (c[1] + x * (c[2] + x * c[3]))


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _polynomial7(x, c):  # type: ignore[no-untyped-def]
    return c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * (c[4] + x * (c[5] + x * c[6])))))


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def sine(angle):  # type: ignore[no-untyped-def]
    """Return the sine of an angle in [-pi/2, pi/2]."""
    return angle * _polynomial4(angle * angle, SIN)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def cosine(angle):  # type: ignore[no-untyped-def]
    """Return the cosine of an angle in [-pi/2, pi/2]."""
    return sine(HALF_PI - abs(angle))


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def smooth_step(distance):  # type: ignore[no-untyped-def]
    """Return a cubic step from 1 (distance below -1/2) to 0 (distance above 1/2)."""
    t = min(max(HALF - distance, ZERO), ONE)
    return t * t * (THREE - TWO * t)
