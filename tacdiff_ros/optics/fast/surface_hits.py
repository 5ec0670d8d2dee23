"""Intersections of camera rays with the triangles of a gel surface.

A ray meets the plane of a triangle at a point whose grid coordinates are the solution of a linear
2x2 system. Outside the triangle the solution is a Newton step to another cell of the grid, which
is the next guess; neighbouring pixels start from each other's cell. The result is the triangle that
a ray tracer finds.

Limits: where the surface hides a part of itself, the hit may be the hidden one.
"""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit

ZERO, HALF, ONE, TWO = (np.float32(value) for value in (0.0, 0.5, 1.0, 2.0))
TOLERANCE = np.float32(1e-4)  # of grid coordinates: no ray passes between two triangles
MIN_LENGTH_MM = np.float32(1e-9)
MAX_STEPS = 16
SEARCH_CELLS = 8  # cells around the last guess that are searched if the steps do not converge
X, Y, Z, REST_X, REST_Y, NORMAL_X, NORMAL_Y, NORMAL_Z = range(8)
HIT_ROWS = 8


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def vertex_table(position, rest, table):  # type: ignore[no-untyped-def]
    """Write positions, rest positions and unit normals of vertices to a table.

    Normals follow from fourth-order central differences, one-sided at the border.

    Args:
        position: (rows, columns, 3) float32 positions, mm.
        rest: (rows, columns, 3) float32 rest positions, mm.
        table: (rows, columns, 8) float32, in the order of the columns of `hit_rays`; changed.
    """
    rows, columns = position.shape[:2]
    eight = np.float32(8.0)
    for row in range(rows):
        down, down2 = min(row + 1, rows - 1), min(row + 2, rows - 1)
        up, up2 = max(row - 1, 0), max(row - 2, 0)
        for column in range(columns):
            right, right2 = min(column + 1, columns - 1), min(column + 2, columns - 1)
            left, left2 = max(column - 1, 0), max(column - 2, 0)
            a, b = position[row, right], position[row, left]
            a2, b2 = position[row, right2], position[row, left2]
            c, d = position[down, column], position[up, column]
            c2, d2 = position[down2, column], position[up2, column]
            x1 = eight * (a[0] - b[0]) - (a2[0] - b2[0])
            y1 = eight * (a[1] - b[1]) - (a2[1] - b2[1])
            z1 = _flushed(eight * (a[2] - b[2]) - (a2[2] - b2[2]))
            x2 = eight * (c[0] - d[0]) - (c2[0] - d2[0])
            y2 = eight * (c[1] - d[1]) - (c2[1] - d2[1])
            z2 = _flushed(eight * (c[2] - d[2]) - (c2[2] - d2[2]))
            normal_x, normal_y, normal_z = y2 * z1 - z2 * y1, z2 * x1 - x2 * z1, x2 * y1 - y2 * x1
            squared = normal_x * normal_x + normal_y * normal_y + normal_z * normal_z
            scale = ONE / np.sqrt(max(squared, np.float32(1e-20)))
            out = table[row, column]
            out[0], out[1] = position[row, column, 0], position[row, column, 1]
            out[2] = _flushed(position[row, column, 2])
            out[3], out[4] = rest[row, column, 0], rest[row, column, 1]
            out[5], out[6], out[7] = normal_x * scale, normal_y * scale, normal_z * scale


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _flushed(value):  # type: ignore[no-untyped-def]
    """Return 0 for lengths whose products would be denormal numbers, which are slow."""
    return value if abs(value) > MIN_LENGTH_MM else ZERO


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def hit_rays(table, pad, rays, hits, valid):  # type: ignore[no-untyped-def]
    """Intersect rays with the surface, each from the cell that it would hit on the flat pad.

    Args:
        table: (rows, columns, 8) float32 result of `vertex_table`.
        pad: (2,) float32 width and height of the pad, mm.
        rays: (4, N) float32 rays: x and y at z = 0, mm, and dx/dz, dy/dz.
        hits: (8, N) float32 position, rest position (mm) and unit normal of each hit, 0 where a
            ray misses the surface; changed.
        valid: (N,) bool, whether each ray hits the surface; changed.
    """
    weight = np.empty(4, np.float32)
    last_row, last_column = table.shape[0] - 2, table.shape[1] - 2
    cells_x = np.float32(table.shape[1] - 1) / pad[0]
    cells_y = np.float32(table.shape[0] - 1) / pad[1]
    for k in range(rays.shape[1]):
        x, y = rays[0, k], rays[1, k]
        at_x, at_y = (x + HALF * pad[0]) * cells_x, (y + HALF * pad[1]) * cells_y
        r, c = min(max(int(at_y), 0), last_row), min(max(int(at_x), 0), last_column)
        lower = at_x - np.float32(c) + at_y - np.float32(r) > ONE
        r, c = _hit(table, x, y, rays[2, k], rays[3, k], r, c, lower, weight)
        valid[k] = r >= 0
        if r >= 0:
            _write_hit(table, r, c, weight, hits, k)
        else:
            for j in range(HIT_ROWS):
                hits[j, k] = ZERO
            hits[NORMAL_Z, k] = -ONE


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _write_hit(table, r, c, weight, hits, k):  # type: ignore[no-untyped-def]
    """Interpolate the vertices of cell (r, c) with the weights of its four corners."""
    for j in range(HIT_ROWS):
        above = weight[0] * table[r, c, j] + weight[1] * table[r, c + 1, j]
        below = weight[2] * table[r + 1, c, j] + weight[3] * table[r + 1, c + 1, j]
        hits[j, k] = above + below
    x, y, z = hits[NORMAL_X, k], hits[NORMAL_Y, k], hits[NORMAL_Z, k]
    scale = ONE / np.sqrt(max(x * x + y * y + z * z, np.float32(1e-20)))
    hits[NORMAL_X, k], hits[NORMAL_Y, k], hits[NORMAL_Z, k] = x * scale, y * scale, z * scale


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _hit(  # type: ignore[no-untyped-def]
    table, x, y, slope_x, slope_y, row, column, lower, weight
):
    """Return the cell that a ray hits, (-1, -1) for none, and write its corners' weights.

    Args:
        table: as in `hit_rays`.
        x: x of the ray at z = 0, mm.
        y: y of the ray at z = 0, mm.
        slope_x: dx/dz of the ray.
        slope_y: dy/dz of the ray.
        row: row of the first guess.
        column: column of the first guess.
        lower: whether the first guess is the lower triangle of its cell.
        weight: (4,) weights of the corners (r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1); changed.
    """
    last_row, last_column = table.shape[0] - 2, table.shape[1] - 2
    for _ in range(MAX_STEPS):
        right, down = _grid_point(table, x, y, slope_x, slope_y, row, column, lower)
        if -TOLERANCE <= right <= ONE + TOLERANCE and -TOLERANCE <= down <= ONE + TOLERANCE:
            in_lower = right + down > ONE
            if in_lower == lower or abs(right + down - ONE) < TOLERANCE:
                _set_weights(right, down, lower, weight)
                return row, column
            lower = in_lower
            continue
        next_column = min(max(column + int(np.floor(right)), 0), last_column)
        next_row = min(max(row + int(np.floor(down)), 0), last_row)
        lower = right - np.floor(right) + down - np.floor(down) > ONE
        if next_row == row and next_column == column:
            if _is_outside(right, down, row, column, last_row, last_column):
                return -1, -1
            break
        row, column = next_row, next_column
    return _search(table, x, y, slope_x, slope_y, row, column, weight)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _is_outside(right, down, row, column, last_row, last_column):  # type: ignore[no-untyped-def]
    """Return whether a solution in a border cell lies outside of the grid."""
    beyond_x = (column == 0 and right < ZERO) or (column == last_column and right > ONE)
    beyond_y = (row == 0 and down < ZERO) or (row == last_row and down > ONE)
    return beyond_x or beyond_y


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _set_weights(right, down, lower, weight):  # type: ignore[no-untyped-def]
    """Write the weights of a cell's corners for a point in its upper or lower triangle."""
    if lower:
        weight[0] = ZERO
        weight[1], weight[2], weight[3] = ONE - down, ONE - right, right + down - ONE
    else:
        weight[0], weight[1], weight[2], weight[3] = ONE - right - down, right, down, ZERO


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _grid_point(table, x, y, slope_x, slope_y, row, column, lower):  # type: ignore[no-untyped-def]
    """Return where a ray meets the plane of a cell's triangle, in units of the cell."""
    y1, x1, y2, x2 = row, column + 1, row + 1, column  # first and second neighbour of the corner
    if lower:
        y0, x0 = row + 1, column + 1
        y1, x1, y2, x2 = y2, x2, y1, x1
    else:
        y0, x0 = row, column
    z = table[y0, x0, Z]
    corner_x, corner_y = table[y0, x0, X] - slope_x * z, table[y0, x0, Y] - slope_y * z
    z = table[y1, x1, Z]
    a, c = table[y1, x1, X] - slope_x * z - corner_x, table[y1, x1, Y] - slope_y * z - corner_y
    z = table[y2, x2, Z]
    b, d = table[y2, x2, X] - slope_x * z - corner_x, table[y2, x2, Y] - slope_y * z - corner_y
    x, y = x - corner_x, y - corner_y
    determinant = a * d - b * c
    if abs(determinant) < np.float32(1e-12):
        return TWO, TWO
    scale = ONE / determinant
    s, t = (d * x - b * y) * scale, (a * y - c * x) * scale
    if lower:
        return ONE - s, ONE - t
    return s, t


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _search(table, x, y, slope_x, slope_y, row, column, weight):  # type: ignore[no-untyped-def]
    """Return the cell around a guess that the ray hits first, as `_hit`."""
    best_row, best_column, best_z = -1, -1, np.float32(1e9)
    candidate = np.empty(4, np.float32)
    for r in range(max(row - SEARCH_CELLS, 0), min(row + SEARCH_CELLS + 1, table.shape[0] - 1)):
        for c in range(
            max(column - SEARCH_CELLS, 0), min(column + SEARCH_CELLS + 1, table.shape[1] - 1)
        ):
            for lower in (False, True):
                right, down = _grid_point(table, x, y, slope_x, slope_y, r, c, lower)
                inside = -TOLERANCE <= right <= ONE + TOLERANCE
                inside = inside and -TOLERANCE <= down <= ONE + TOLERANCE
                total = right + down - ONE
                if not inside or (total < -TOLERANCE if lower else total > TOLERANCE):
                    continue
                _set_weights(right, down, lower, candidate)
                z = candidate[0] * table[r, c, Z] + candidate[1] * table[r, c + 1, Z]
                z += candidate[2] * table[r + 1, c, Z] + candidate[3] * table[r + 1, c + 1, Z]
                if z < best_z:
                    best_row, best_column, best_z = r, c, z
                    weight[:] = candidate
    return best_row, best_column
