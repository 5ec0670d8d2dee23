"""Radiance of points of the surface, and pixel values."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import MIN_BASE, ONE, ZERO, power


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def pixel_values(factor, inverse_gamma, radiance, valid, image):  # type: ignore[no-untyped-def]
    """Write pixel values, 1 for white.

    Args:
        factor: (3, N) float32 pixel value of unit irradiance for a linear camera.
        inverse_gamma: (3,) float32 reciprocal of each channel's gamma.
        radiance: (3, N) float32 mean irradiance of each pixel; changed.
        valid: (N,) bool, whether the pixel shows the gel.
        image: (N, 3) float32 pixel values; changed.
    """
    for k in range(3):
        exponent = inverse_gamma[k]
        for i in range(image.shape[0]):
            radiance[k, i] = max(factor[k, i] * radiance[k, i], MIN_BASE)
        if exponent != ONE:
            for i in range(image.shape[0]):
                radiance[k, i] = power(radiance[k, i], exponent)
    for i in range(image.shape[0]):
        for k in range(3):
            image[i, k] = radiance[k, i] if valid[i] else ZERO


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def sample_rays(  # type: ignore[no-untyped-def]
    kind, rim, pixel, rays, fine_rays, column, weight, chosen
):
    """Collect the rays of pixels near markers: one, or several where a rim may cross the pixel.

    Args:
        kind: (M,) int8 kinds of the points of some pixels.
        rim: kind of the points near a rim.
        pixel: (M,) int32 numbers of these pixels.
        rays: (4, N) float32 rays through the centres of all pixels.
        fine_rays: (4, N, S) float32 rays through each pixel.
        column: (M S,) int32 index among the M pixels of each collected ray; changed.
        weight: (M S,) float32 weight of each collected ray in its pixel; changed.
        chosen: (4, M S) float32 collected rays; changed.

    Returns:
        Number of collected rays.
    """
    samples = fine_rays.shape[2]
    part = ONE / np.float32(samples)
    count = 0
    for m in range(len(kind)):
        i = pixel[m]
        for s in range(samples if kind[m] == rim else 1):
            column[count] = m
            weight[count] = part if kind[m] == rim else ONE
            for k in range(4):
                chosen[k, count] = fine_rays[k, i, s] if kind[m] == rim else rays[k, i]
            count += 1
    return count


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def replace_radiance(pixel, column, weight, reflectance, rgb, radiance):  # type: ignore[no-untyped-def]
    """Replace the radiance of the pixels of `sample_rays` by the mean of their rays.

    Args:
        pixel: (M,) int32 numbers of the pixels.
        column: (R,) int32 index among these pixels of each ray.
        weight: (R,) float32 weight of each ray.
        reflectance: (R,) float32 fraction of light that the print reflects.
        rgb: (3, R) float32 irradiance.
        radiance: (3, N) float32 radiance of all pixels; changed.
    """
    for k in range(3):
        for m in range(len(pixel)):
            radiance[k, pixel[m]] = ZERO
        for i in range(len(column)):
            radiance[k, pixel[column[i]]] += weight[i] * reflectance[i] * rgb[k, i]
