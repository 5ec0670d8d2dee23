"""Radiance of points of the surface, and pixel values."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import MIN_BASE, ONE, ZERO, power


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def add_light(color, panels, rgb):  # type: ignore[no-untyped-def]
    """Add the light of a light's panels.

    Args:
        color: (3,) float32 radiance of the light.
        panels: (4, N) float32 irradiance from its panels, for unit radiance.
        rgb: (3, N) float32 irradiance; changed.
    """
    red, green, blue = color[0], color[1], color[2]
    for i in range(panels.shape[1]):
        total = panels[0, i] + panels[1, i] + panels[2, i] + panels[3, i]
        rgb[0, i] += red * total
        rgb[1, i] += green * total
        rgb[2, i] += blue * total


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
def sample_rays(kind, rim, rays, fine_rays, pixel, weight, chosen):  # type: ignore[no-untyped-def]
    """Collect the rays of pixels near markers: one, or several where a rim may cross the pixel.

    Args:
        kind: (N,) int8 kinds of the pixels' points, 0 away from markers.
        rim: kind of the points near a rim.
        rays: (4, N) float32 rays through the centres of the pixels.
        fine_rays: (4, N, S) float32 rays through each pixel.
        pixel: (N S,) int32 pixel of each collected ray; changed.
        weight: (N S,) float32 weight of each collected ray in its pixel; changed.
        chosen: (4, N S) float32 collected rays; changed.

    Returns:
        Number of collected rays.
    """
    samples = fine_rays.shape[2]
    part = ONE / np.float32(samples)
    count = 0
    for i in range(len(kind)):
        if kind[i] == 0:
            continue
        for s in range(samples if kind[i] == rim else 1):
            pixel[count] = i
            weight[count] = part if kind[i] == rim else ONE
            for k in range(4):
                chosen[k, count] = fine_rays[k, i, s] if kind[i] == rim else rays[k, i]
            count += 1
    return count


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def replace_radiance(pixel, weight, reflectance, rgb, radiance):  # type: ignore[no-untyped-def]
    """Replace the radiance of the pixels of `sample_rays` by the mean of their rays.

    Args:
        pixel: (M,) int32 pixel of each ray.
        weight: (M,) float32 weight of each ray.
        reflectance: (M,) float32 fraction of light that the print reflects.
        rgb: (3, M) float32 irradiance.
        radiance: (3, N) float32 radiance of the pixels; changed.
    """
    for k in range(3):
        for i in range(len(pixel)):
            radiance[k, pixel[i]] = ZERO
        for i in range(len(pixel)):
            radiance[k, pixel[i]] += weight[i] * reflectance[i] * rgb[k, i]
