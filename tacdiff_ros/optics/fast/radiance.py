"""Radiance of points of the surface, and pixel values."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import HALF, MIN_BASE, ONE, ZERO, power

SECTORS, COLUMNS = 4, 8  # of the table of `optics.interreflection`
BELOW_END = np.float32(1.001)  # keeps the last cell of the table inside it


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def add_indirect(table, pad, tangent, hits, normal, rgb):  # type: ignore[no-untyped-def]
    """Add the light that the layers reflect, and that of the pad around a slope.

    Args:
        table: (rows, columns, 4, 8) float32 table of `IndirectLight`.
        pad: (2,) float32 width and height of the pad, mm.
        tangent: tangent of the typical angle of the light.
        hits: (8, N) float32 points.
        normal: (3, N) float32 unit normals.
        rgb: (3, N) float32 irradiance; changed.
    """
    rows, columns = table.shape[:2]
    size_x, size_y = np.float32(columns), np.float32(rows)
    cell = np.empty(COLUMNS, np.float32)
    for i in range(hits.shape[1]):
        shift = tangent * hits[2, i]
        nx, ny, nz = normal[0, i], normal[1, i], normal[2, i]
        for sector in range(SECTORS):
            sign = ONE if sector < 2 else -ONE
            x = hits[0, i] + (sign * shift if sector % 2 == 0 else ZERO)
            y = hits[1, i] + (sign * shift if sector % 2 == 1 else ZERO)
            x = min(max((x / pad[0] + HALF) * size_x - HALF, ZERO), size_x - BELOW_END)
            y = min(max((y / pad[1] + HALF) * size_y - HALF, ZERO), size_y - BELOW_END)
            c, r = int(x), int(y)
            right, down = x - np.float32(c), y - np.float32(r)
            for k in range(COLUMNS):
                above = table[r, c, sector, k]
                above += right * (table[r, c + 1, sector, k] - above)
                below = table[r + 1, c, sector, k]
                below += right * (table[r + 1, c + 1, sector, k] - below)
                cell[k] = above + down * (below - above)
            facing = sign * (nx if sector % 2 == 0 else ny)
            for k in range(3):
                rgb[k, i] += max(cell[3 + k] * facing - cell[k] * nz, ZERO)
            if sector < 3:
                rgb[sector, i] += HALF * (ONE + nz) * cell[6]


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
def add_vertex_light(values, size, hits, rgb):  # type: ignore[no-untyped-def]
    """Add an irradiance that is given on a regular grid of material points.

    Args:
        values: (rows, columns, 3) float32 irradiance at the nodes, which span the pad.
        size: (2,) float32 width and height of the pad, mm.
        hits: (8, N) float32 points.
        rgb: (3, N) float32 irradiance; changed.
    """
    rows, columns = values.shape[:2]
    end_x, end_y = np.float32(columns) - BELOW_END, np.float32(rows) - BELOW_END
    scale_x, scale_y = np.float32(columns - 1) / size[0], np.float32(rows - 1) / size[1]
    for i in range(hits.shape[1]):
        x = min(max((hits[3, i] + HALF * size[0]) * scale_x, ZERO), end_x)
        y = min(max((hits[4, i] + HALF * size[1]) * scale_y, ZERO), end_y)
        c, r = int(x), int(y)
        right, down = x - np.float32(c), y - np.float32(r)
        for k in range(3):
            above = values[r, c, k] + right * (values[r, c + 1, k] - values[r, c, k])
            below = values[r + 1, c, k]
            below += right * (values[r + 1, c + 1, k] - below)
            rgb[k, i] += above + down * (below - above)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def pixel_values(factor, inverse_gamma, radiance, valid, image):  # type: ignore[no-untyped-def]
    """Write pixel values, 1 for white.

    Args:
        factor: (N, 3) float32 pixel value of unit radiance of a linear camera.
        inverse_gamma: (3,) float32.
        radiance: (3, N) float32 mean radiance of each pixel.
        valid: (N,) bool, whether the pixel shows the gel.
        image: (N, 3) float32 pixel values; changed.
    """
    for k in range(3):
        is_linear = inverse_gamma[k] == ONE
        for i in range(image.shape[0]):
            value = max(factor[i, k] * radiance[k, i], MIN_BASE) if valid[i] else MIN_BASE
            image[i, k] = value if is_linear else power(value, inverse_gamma[k])
