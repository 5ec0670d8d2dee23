"""Light of a sensor as polynomials of the height of the surface, at nodes of the image.

A camera ray meets the surface at a point that depends only on the pixel and on the height z there.
Without cast shadows the irradiance of a point by a panel of a light, or by reflected light from one
side, is linear in the normal of the surface, unless it comes from below the surface's horizon. The
vectors of these linear functions change smoothly with the pixel and with z: they are computed once
for each sensor, for every n-th row of pixels and four heights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import HALF, ZERO
from tacdiff_ros.optics.fast.light_panels import PANELS, SCRATCH_ROWS, light_panels

Floats = NDArray[np.float32]

LEVELS_MM = (0.15, 0.0, -0.5, -1.4)  # heights at which the polynomials are exact; most are near 0
NODE_MM = 0.4  # largest spacing of the rows of nodes on the undeformed surface
SEGMENT_PX = 160  # pixels of a row that are computed together
SECTORS, SECTOR_ENTRIES, PADS = 4, 6, 3  # sides of reflected light; its entries; light of the pad
CHANGES = 8  # first entry of the table that is a change per mm of height
BELOW_END = np.float32(1.001)  # keeps the last cell of a grid inside it


@dataclass(frozen=True)
class LightTables:
    """Polynomials of the light of a sensor, for images of one size.

    Attributes:
        node_px: distance of the rows in pixels; the first is the first row of pixels.
        coefficients: (R, S, K, 4 N) float32 coefficients of 1, z, z^2, z^3 (z in mm) for each
            column of pixels, in S segments of N. Entries are x, y and z of the vector of each panel
            (irradiance at unit radiance), then six of each side that reflected light comes from
            (RGB of the horizontal and of the vertical part), then RGB of the light that the gel
            around a slope reflects.
    """

    node_px: int
    coefficients: Floats


def light_coefficients(
    lights: Floats, is_rectangle: tuple[bool, ...], indirect: Floats, pad: Floats, rays: Floats
) -> Floats:
    """Return the coefficients of rays.

    Args:
        lights: (L, 15) float32 parameters of the lights.
        is_rectangle: kinds of the lights.
        indirect: (rows, columns, 4, 16) float32 table of `IndirectLight`.
        pad: (2,) float32 width and height of the pad, mm.
        rays: (4, R, W) float32 rays: x and y at z = 0, mm, and dx/dz, dy/dz.

    Returns:
        (R, S, K, 4 N) float32, see `LightTables`.

    Raises:
        ValueError: the table has another number of sectors or entries.
    """
    if indirect.shape[2:] != (SECTORS, 2 * CHANGES):  # compiled code reads without a check
        raise ValueError(f"table of reflected light: {indirect.shape}, expected (.., .., 4, 16)")
    z = np.array(LEVELS_MM)
    side = 0.5 * pad[:, None, None]
    shape, rays = rays.shape[1:], rays.reshape(4, 1, -1)
    levels = np.empty((3, len(z), rays.shape[2]), np.float32)
    levels[:2] = np.clip(rays[:2] + rays[2:] * z[:, None], -side, side)
    levels[2] = z[:, None]
    points = levels.reshape(3, -1)
    parts = [_panel_vectors(*item, points) for item in zip(lights, is_rectangle, strict=True)]
    reflected = np.empty((SECTORS * SECTOR_ENTRIES + PADS, points.shape[1]), np.float32)
    _reflected_light(indirect, pad, points, reflected)
    values = np.concatenate([*parts, reflected]).reshape(-1, len(z), *shape)
    inverse = np.linalg.inv(np.vander(z, increasing=True)).astype(np.float32)
    fitted = np.einsum("jl,elrw->rejw", inverse, values, optimize=True)
    fitted[1:-1] -= np.diff(fitted, 2, axis=0) / 12.0  # so that interpolation has no mean error
    padding = -shape[1] % SEGMENT_PX
    fitted = np.pad(fitted, ((0, 0), (0, 0), (0, 0), (0, padding)), mode="edge")
    segments = fitted.reshape(*fitted.shape[:3], -1, SEGMENT_PX)
    segments = np.moveaxis(segments, 3, 1)
    return np.ascontiguousarray(segments).reshape(*segments.shape[:3], -1)


def _panel_vectors(light: Floats, is_rectangle: bool, points: Floats) -> Floats:
    """Return the (12, N) vectors of the panels of a light: irradiance is their part along a normal.

    The irradiance of a surface minus that of the opposite surface is linear in the normal.
    """
    strip, whole = (np.empty((PANELS, 3, points.shape[1]), np.float32) for _ in range(2))
    scratch = np.empty((SCRATCH_ROWS, points.shape[1]), np.float32)
    front, back = (np.empty_like(strip[:, 0]) for _ in range(2))
    for axis in range(3):
        normal = np.zeros_like(points)
        normal[axis] = 1.0
        for kind, vectors in ((False, strip), (is_rectangle, whole)):
            light_panels(light, kind, points, normal, scratch, front)
            light_panels(light, kind, points, -normal, scratch, back)
            vectors[:, axis] = front - back
    return (strip + (whole - strip).mean(axis=0)).reshape(PANELS * 3, -1)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _reflected_light(table, pad, points, reflected):  # type: ignore[no-untyped-def]
    """Write the light that the layers reflect to points.

    Args:
        table: (rows, columns, 4, 16) float32 table of `IndirectLight`.
        pad: (2,) float32 width and height of the pad, mm.
        points: (3, N) float32 points, mm.
        reflected: (27, N) float32; changed.
    """
    columns, rows = np.float32(table.shape[1]), np.float32(table.shape[0])
    for i in range(points.shape[1]):
        x = min(max((points[0, i] / pad[0] + HALF) * columns - HALF, ZERO), columns - BELOW_END)
        y = min(max((points[1, i] / pad[1] + HALF) * rows - HALF, ZERO), rows - BELOW_END)
        c, r = int(x), int(y)
        right, down, z = x - np.float32(c), y - np.float32(r), points[2, i]
        for sector in range(SECTORS):
            for k in range(SECTOR_ENTRIES + 1):
                value = _interpolated(table, r, c, right, down, sector, k)
                if k == SECTOR_ENTRIES:
                    if sector < PADS:  # light of the pad has its colours in three sectors
                        reflected[SECTORS * SECTOR_ENTRIES + sector, i] = HALF * value
                    continue
                value += z * _interpolated(table, r, c, right, down, sector, CHANGES + k)
                if k < 3:
                    reflected[sector * SECTOR_ENTRIES + 3 + k, i] = value
                else:
                    reflected[sector * SECTOR_ENTRIES + k - 3, i] = value


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _interpolated(table, r, c, right, down, sector, k):  # type: ignore[no-untyped-def]
    """Return entry k of a sector between the node at row r and column c and the next ones."""
    above = table[r, c, sector, k]
    above += right * (table[r, c + 1, sector, k] - above)
    below = table[r + 1, c, sector, k]
    below += right * (table[r + 1, c + 1, sector, k] - below)
    return above + down * (below - above)
