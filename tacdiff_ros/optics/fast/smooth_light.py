"""Ambient and indirect light on a coarse grid of material points, as a function of the normal.

At a node the irradiance is linear in the normal of the surface, except on slopes so steep that
light of the layers would come from below their horizon; those are corrected point by point.
"""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import HALF, ONE, ZERO
from tacdiff_ros.optics.fast.surface_hits import (
    HIT_ROWS,
    NORMAL_X,
    NORMAL_Y,
    NORMAL_Z,
    REST_X,
    REST_Y,
    X,
    Y,
    Z,
)

SECTORS, COLUMNS = 4, 8  # of the table of `optics.interreflection`
ENTRIES = 16  # of a node: RGB factors of the normal's x, y and z and of 1, each padded to 4
GRAZED_SLOPE = np.float32(0.25)  # smallest slope of the gel for which this matters
BELOW_END = np.float32(1.001)  # keeps the last cell of a grid inside it


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def node_points(vertices, at_row, at_column, nodes):  # type: ignore[no-untyped-def]
    """Interpolate the vertices of a surface at the nodes of a grid.

    Args:
        vertices: (rows, columns, 8) float32 result of `vertex_table`.
        at_row: (R,) float32 fractional row of the vertices at each row of nodes.
        at_column: (C,) float32 fractional column of the vertices at each column of nodes.
        nodes: (R, C, 8) float32 interpolated vertices; changed.
    """
    for r in range(len(at_row)):
        row = min(int(at_row[r]), vertices.shape[0] - 2)
        down = at_row[r] - np.float32(row)
        for c in range(len(at_column)):
            column = min(int(at_column[c]), vertices.shape[1] - 2)
            right = at_column[c] - np.float32(column)
            for k in range(HIT_ROWS):
                above = vertices[row, column, k]
                above += right * (vertices[row, column + 1, k] - above)
                below = vertices[row + 1, column, k]
                below += right * (vertices[row + 1, column + 1, k] - below)
                nodes[r, c, k] = above + down * (below - above)


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _cell(table, pad, tangent, x, y, z, sector, cell):  # type: ignore[no-untyped-def]
    """Write the entries of the table for a point and a sector."""
    columns, rows = np.float32(table.shape[1]), np.float32(table.shape[0])
    shift = tangent * z if sector < 2 else -tangent * z
    x += shift if sector % 2 == 0 else ZERO
    y += ZERO if sector % 2 == 0 else shift
    x = min(max((x / pad[0] + HALF) * columns - HALF, ZERO), columns - BELOW_END)
    y = min(max((y / pad[1] + HALF) * rows - HALF, ZERO), rows - BELOW_END)
    c, r = int(x), int(y)
    right, down = x - np.float32(c), y - np.float32(r)
    for k in range(COLUMNS):
        above = table[r, c, sector, k]
        above += right * (table[r, c + 1, sector, k] - above)
        below = table[r + 1, c, sector, k]
        below += right * (table[r + 1, c + 1, sector, k] - below)
        cell[k] = above + down * (below - above)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def node_light(table, pad, tangent, ambient, nodes, light):  # type: ignore[no-untyped-def]
    """Write the ambient and indirect light at nodes, for slopes that no light grazes.

    Args:
        table: (rows, columns, 4, 8) float32 table of `IndirectLight`.
        pad: (2,) float32 width and height of the pad, mm.
        tangent: tangent of the typical angle of the light.
        ambient: (3,) float32 irradiance by ambient light.
        nodes: (R, C, 8) float32 result of `node_points`.
        light: (R, C, 16) float32; changed.
    """
    cell = np.empty(COLUMNS, np.float32)
    light[:] = ZERO
    for i in range(nodes.shape[0]):
        for j in range(nodes.shape[1]):
            x, y, z = nodes[i, j, X], nodes[i, j, Y], nodes[i, j, Z]
            for k in range(3):
                light[i, j, 12 + k] = ambient[k]
            for sector in range(SECTORS):
                _cell(table, pad, tangent, x, y, z, sector, cell)
                horizontal = 0 if sector % 2 == 0 else 4
                sign = ONE if sector < 2 else -ONE
                for k in range(3):
                    light[i, j, horizontal + k] += sign * cell[3 + k]
                    light[i, j, 8 + k] -= cell[k]
                if sector < 3:  # light of the pad around a slope
                    light[i, j, 8 + sector] += HALF * cell[6]
                    light[i, j, 12 + sector] += HALF * cell[6]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def smooth_irradiance(light, pad, hits, normal, rgb):  # type: ignore[no-untyped-def]
    """Write the ambient and indirect irradiance of points, for slopes that no light grazes.

    Args:
        light: (R, C, 16) float32 light at nodes that span the pad.
        pad: (2,) float32 width and height of the pad, mm.
        hits: (8, N) float32 points.
        normal: (3, N) float32 unit normals.
        rgb: (3, N) float32 irradiance; changed.
    """
    rows, columns = light.shape[:2]
    end_x, end_y = np.float32(columns) - BELOW_END, np.float32(rows) - BELOW_END
    scale_x, scale_y = np.float32(columns - 1) / pad[0], np.float32(rows - 1) / pad[1]
    for i in range(hits.shape[1]):
        x = min(max((hits[REST_X, i] + HALF * pad[0]) * scale_x, ZERO), end_x)
        y = min(max((hits[REST_Y, i] + HALF * pad[1]) * scale_y, ZERO), end_y)
        c, r = int(x), int(y)
        right, down = x - np.float32(c), y - np.float32(r)
        second, fourth = right * (ONE - down), right * down
        first, third = ONE - down - second, down - fourth
        nx, ny, nz = normal[0, i], normal[1, i], normal[2, i]
        for k in range(3):
            total = ZERO
            for part in range(4):
                j = 4 * part + k
                above = first * light[r, c, j] + second * light[r, c + 1, j]
                below = third * light[r + 1, c, j] + fourth * light[r + 1, c + 1, j]
                factor = nx if part == 0 else (ny if part == 1 else (nz if part == 2 else ONE))
                total += factor * (above + below)
            rgb[k, i] = total


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def correct_grazed(table, pad, tangent, hits, normal, rgb):  # type: ignore[no-untyped-def]
    """Remove negative contributions of `smooth_irradiance`: light from below a slope's horizon.

    Args:
        table: (rows, columns, 4, 8) float32 table of `IndirectLight`.
        pad: (2,) float32 width and height of the pad, mm.
        tangent: tangent of the typical angle of the light.
        hits: (8, N) float32 points.
        normal: (3, N) float32 unit normals.
        rgb: (3, N) float32 irradiance; changed.
    """
    cell = np.empty(COLUMNS, np.float32)
    for i in range(hits.shape[1]):
        nx, ny, nz = hits[NORMAL_X, i], hits[NORMAL_Y, i], hits[NORMAL_Z, i]
        if nx * nx + ny * ny < GRAZED_SLOPE * GRAZED_SLOPE * nz * nz:
            continue
        nx, ny, nz = normal[0, i], normal[1, i], normal[2, i]
        x, y, z = hits[X, i], hits[Y, i], hits[Z, i]
        for sector in range(SECTORS):
            facing = nx if sector % 2 == 0 else ny
            facing = facing if sector < 2 else -facing
            if facing >= ZERO:
                continue
            _cell(table, pad, tangent, x, y, z, sector, cell)
            for k in range(3):
                rgb[k, i] -= min(cell[3 + k] * facing - cell[k] * nz, ZERO)
