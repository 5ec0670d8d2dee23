"""Irradiance of points that pixels show, from the polynomials of `light_tables`.

The inner loops run over segments of N = `SEGMENT_PX` pixels of a row, a constant, and over few
arrays, so that the compiler can compute several pixels at once.
"""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import ONE, ZERO
from tacdiff_ros.optics.fast.light_panels import PANELS
from tacdiff_ros.optics.fast.light_tables import SECTOR_ENTRIES, SECTORS
from tacdiff_ros.optics.fast.light_tables import SEGMENT_PX as N
from tacdiff_ros.optics.fast.surface_hits import Z

LOWEST, HIGHEST = np.float32(-2.5), np.float32(0.5)  # heights beyond which light is constant
FLAT_MM = np.float32(0.08)  # height up to which light is linear


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def segment_light(above, below, down, points, light):  # type: ignore[no-untyped-def]
    """Write the light of points of a segment of a row of pixels.

    Args:
        above: (K, 4 N) float32 polynomials of the light at the row of nodes above.
        below: (K, 4 N) float32 polynomials at the row of nodes below.
        down: distance from the row above, as a fraction.
        points: (4 N,) float32 normals and heights z (mm) of the points.
        light: (K, N) float32; changed.
    """
    up = ONE - down
    is_flat = np.abs(points[3 * N :]).max() < FLAT_MM
    for e in range(light.shape[0]):
        a, b, result = above[e], below[e], light[e]
        if is_flat:
            for i in range(N):
                z = points[3 * N + i]
                result[i] = up * a[i] + down * b[i] + z * (up * a[N + i] + down * b[N + i])
            continue
        for i in range(N):
            z = min(max(points[3 * N + i], LOWEST), HIGHEST)
            cubic = up * a[2 * N + i] + down * b[2 * N + i]
            cubic += z * (up * a[3 * N + i] + down * b[3 * N + i])
            linear = up * a[i] + down * b[i] + z * (up * a[N + i] + down * b[N + i])
            result[i] = linear + z * z * cubic


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def shade_segment(visible, shadow_px, row, first, fraction, light):  # type: ignore[no-untyped-def]
    """Reduce the light of a segment of a row of pixels by cast shadows.

    Args:
        visible: (R, C, P) float32 visible fraction of each panel at nodes of the image.
        shadow_px: distance of these nodes in pixels.
        row: row of the image.
        first: column of the image of the first point.
        fraction: (N,) float32 working memory; changed.
        light: (K, N) float32 result of `segment_light`; changed.
    """
    above, below = visible[row // shadow_px], visible[row // shadow_px + 1]
    down = np.float32(row % shadow_px) / np.float32(shadow_px)
    first_node = first // shadow_px
    last_node = min((first + N - 1) // shadow_px + 1, visible.shape[1] - 1)
    for p in range(visible.shape[2]):
        begin, end = last_node, first_node  # nodes around those that are in shadow
        for c in range(first_node, last_node):
            if min(above[c, p], below[c, p], above[c + 1, p], below[c + 1, p]) < ONE:
                begin, end = min(begin, c), c + 1
        for c in range(begin, end):
            left = above[c, p] + down * (below[c, p] - above[c, p])
            right = above[c + 1, p] + down * (below[c + 1, p] - above[c + 1, p])
            step, start = (right - left) / np.float32(shadow_px), c * shadow_px - first
            for i in range(max(start, 0), min(start + shadow_px, N)):
                fraction[i] = left + np.float32(i - start) * step
        x, y, z = light[3 * p], light[3 * p + 1], light[3 * p + 2]
        for i in range(max(begin * shadow_px - first, 0), min(end * shadow_px - first, N)):
            x[i] *= fraction[i]
            y[i] *= fraction[i]
            z[i] *= fraction[i]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def segment_irradiance(light, color, ambient, points, total, rgb):  # type: ignore[no-untyped-def]
    """Write the irradiance of points of a segment of a row of pixels.

    Args:
        light: (K, N) float32 light.
        color: (L, 3) float32 radiance of the lights.
        ambient: (3,) float32 irradiance by ambient light.
        points: (4 N,) float32 normals and heights z (mm) of the points.
        total: (N,) float32 working memory; changed.
        rgb: (3 N,) float32 irradiance; changed.
    """
    vectors = light.reshape(-1)
    for channel in range(3):
        rgb[channel * N : (channel + 1) * N] = ambient[channel]
    for k in range(color.shape[0]):
        red, green, blue = color[k, 0], color[k, 1], color[k, 2]
        total[:] = ZERO
        for p in range(PANELS * k, PANELS * (k + 1)):
            v = vectors[3 * p * N : 3 * (p + 1) * N]
            for i in range(N):
                facing = points[i] * v[i] + points[N + i] * v[N + i]
                total[i] += max(facing + points[2 * N + i] * v[2 * N + i], ZERO)
        for i in range(N):
            rgb[i] += red * total[i]
            rgb[N + i] += green * total[i]
            rgb[2 * N + i] += blue * total[i]
    normal = points[:N], points[N : 2 * N], points[2 * N : 3 * N]
    totals = rgb[:N], rgb[N : 2 * N], rgb[2 * N :]
    add_reflected(light[3 * PANELS * color.shape[0] :], normal, totals)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def add_reflected(light, normal, rgb):  # type: ignore[no-untyped-def]
    """Add the light that the layers reflect.

    Args:
        light: (27, n) float32 entries of `LightTables` behind those of the panels.
        normal: three (n,) float32 components of unit normals.
        rgb: three (n,) float32 channels of irradiance; changed.
    """
    vertical = normal[2]
    for sector in range(SECTORS):
        sign, horizontal = ONE if sector < 2 else -ONE, normal[sector % 2]
        for channel in range(3):
            e, total = SECTOR_ENTRIES * sector + channel, rgb[channel]
            along, down = light[e], light[e + 3]
            for i in range(light.shape[1]):
                total[i] += max(sign * horizontal[i] * along[i] - vertical[i] * down[i], ZERO)
    for channel in range(3):
        total, around = rgb[channel], light[SECTORS * SECTOR_ENTRIES + channel]
        for i in range(light.shape[1]):
            total[i] += (ONE + vertical[i]) * around[i]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def pixel_light(  # type: ignore[no-untyped-def]
    coefficients,
    node_px,
    visible,
    shadow_px,
    first_row,
    color,
    ambient,
    hits,
    normal,
    near,
    near_light,
    rgb,
):
    """Write the irradiance of the points of H whole rows of W pixels.

    Args:
        coefficients: (R, S, K, 4 N) float32 polynomials of the light.
        node_px: distance of their rows in pixels.
        visible: (r, c, 4 L) float32 visible fraction of each panel at nodes of the image; empty if
            the surface casts no shadow.
        shadow_px: distance of these nodes in pixels.
        first_row: row of the image of the first point.
        color: (L, 3) float32 radiance of the lights.
        ambient: (3,) float32 irradiance by ambient light.
        hits: (8, H, W) float32 points.
        normal: (3, H, W) float32 unit normals.
        near: (M,) int32 increasing numbers of some of the points.
        near_light: (K, M) float32 light of these points, with cast shadows; changed.
        rgb: (3, H, W) float32 irradiance; changed.
    """
    height, width = hits.shape[1:]
    light = np.empty((coefficients.shape[2], N), np.float32)
    points, totals = np.zeros(4 * N, np.float32), np.empty(3 * N, np.float32)
    scratch, done = np.empty(N, np.float32), 0
    for r in range(height):
        row = first_row + r
        node, down = row // node_px, np.float32(row % node_px) / np.float32(node_px)
        for segment in range(coefficients.shape[1]):
            first = segment * N
            count = min(N, width - first)
            for axis in range(3):
                points[axis * N : axis * N + count] = normal[axis, r, first : first + count]
            points[3 * N : 3 * N + count] = hits[Z, r, first : first + count]
            above, below = coefficients[node, segment], coefficients[node + 1, segment]
            segment_light(above, below, down, points, light)
            if visible.shape[0]:
                shade_segment(visible, shadow_px, row, first, scratch, light)
            segment_irradiance(light, color, ambient, points, scratch, totals)
            for channel in range(3):
                rgb[channel, r, first : first + count] = totals[channel * N : channel * N + count]
            done = _copy_near(light, near, done, r * width + first, count, near_light)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _copy_near(light, near, done, start, count, near_light):  # type: ignore[no-untyped-def]
    """Copy the light of those points of a segment that are near markers."""
    last = done
    while last < near.shape[0] and near[last] < start + count:
        last += 1
    for e in range(light.shape[0]):
        source, target = light[e], near_light[e]
        for m in range(done, last):
            target[m] = source[near[m] - start]
    return last
