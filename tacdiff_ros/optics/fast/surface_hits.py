"""Intersections of camera rays with the triangles of a gel surface.

A ray meets the plane of a triangle at a point whose grid coordinates are the solution of a linear
2x2 system. Outside the triangle the solution is a Newton step to another cell of the grid. The
first guess is the cell on the flat pad, moved as far as it had to be moved for a neighbouring ray.
The result is the triangle that a ray tracer finds.

Limits: where the surface hides a part of itself, the hit may be the hidden one.
"""

from __future__ import annotations

import numpy as np

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.optics.fast.compiled_math import HALF, ONE, ZERO

TOLERANCE = np.float32(1e-4)  # of grid coordinates: no ray passes between two triangles
MIN_LENGTH_MM = np.float32(1e-9)
MIN_SQUARE = np.float32(1e-20)
MAX_STEPS = 16
SEARCH_CELLS = 8  # cells around the last guess that are searched if the steps do not converge
# Rows of hits and columns of the table of vertices.
X, Y, Z, REST_X, REST_Y, NORMAL_X, NORMAL_Y, NORMAL_Z, HIT_ROWS = range(9)
AT_Y, AT_Z, AT_REST_X = np.uint64(Y), np.uint64(Z), np.uint64(REST_X)
TO_NORMAL = np.uint64(NORMAL_X - REST_X)  # from the rest position of a vertex to its normal


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def vertex_table(position, rest, band, table):  # type: ignore[no-untyped-def]
    """Write positions, rest positions and unit normals of vertices to a table.

    Normals follow from fourth-order central differences, one-sided at the border.

    Args:
        position: (rows, columns, 3) float32 positions, mm.
        rest: (rows, columns, 3) float32 rest positions, mm.
        band: first row to compute, and the row after the last one.
        table: (rows, columns, 8) float32: position, (x, y) at rest, normal; changed.
    """
    rows, columns = position.shape[:2]
    eight = np.float32(8.0)
    for row in range(band[0], band[1]):
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
            scale = ONE / np.sqrt(max(squared, MIN_SQUARE))
            table[row, column, X] = position[row, column, 0]
            table[row, column, Y] = position[row, column, 1]
            table[row, column, Z] = _flushed(position[row, column, 2])
            table[row, column, REST_X] = rest[row, column, 0]
            table[row, column, REST_Y] = rest[row, column, 1]
            table[row, column, NORMAL_X] = normal_x * scale
            table[row, column, NORMAL_Y] = normal_y * scale
            table[row, column, NORMAL_Z] = normal_z * scale


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _flushed(value):  # type: ignore[no-untyped-def]
    """Return 0 for lengths whose products would be denormal numbers, which are slow."""
    return value if abs(value) > MIN_LENGTH_MM else ZERO


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def hit_grid(table, shape, pad, rays, width, moved, hits, valid):  # type: ignore[no-untyped-def]
    """Intersect rays of a regular grid with the surface.

    Args:
        table: flat float32 result of `vertex_table`.
        shape: rows and columns of the surface.
        pad: (2,) float32 width and height of the pad, mm.
        rays: (4, N) float32 rays: x and y at z = 0, mm, and dx/dz, dy/dz.
        width: number of rays in a row of the grid.
        moved: (2, N) float32 distance of each hit from that on the flat pad, in cells of the
            surface; changed.
        hits: (8, N) float32 position, rest position (mm) and unit normal of each hit, 0 where a
            ray misses the surface; changed.
        valid: (N,) bool, whether each ray hits the surface; changed.
    """
    missed = np.empty(width, np.int32)
    for start in range(0, rays.shape[1], width):
        count = 0
        for k in range(start, min(start + width, rays.shape[1])):
            shift_x, shift_y = ZERO, ZERO
            if start > 0:
                shift_x, shift_y = moved[0, k - width], moved[1, k - width]
            if not _hit(table, shape, pad, rays, shift_x, shift_y, moved, hits, valid, k):
                missed[count] = k
                count += 1
        for m in range(count):
            k = missed[m]
            shift_x, shift_y = ZERO, ZERO
            if k > 0:
                shift_x, shift_y = moved[0, k - 1], moved[1, k - 1]
            _search(table, shape, pad, rays, shift_x, shift_y, moved, hits, valid, k)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def hit_rays(table, shape, pad, rays, near, moved, hits, valid):  # type: ignore[no-untyped-def]
    """Intersect rays with the surface that are near rays of a grid.

    Args:
        table: flat float32 result of `vertex_table`.
        shape: rows and columns of the surface.
        pad: (2,) float32 width and height of the pad, mm.
        rays: (4, N) float32 rays.
        near: (N,) int32 index of a ray of the grid near each ray.
        moved: (2, M) float32 result of `hit_grid`.
        hits: (8, N) float32 as in `hit_grid`; changed.
        valid: (N,) bool, as in `hit_grid`; changed.
    """
    own = np.empty((2, rays.shape[1]), np.float32)
    missed = np.empty(rays.shape[1], np.int32)
    count = 0
    for k in range(rays.shape[1]):
        shift_x, shift_y = moved[0, near[k]], moved[1, near[k]]
        if not _hit(table, shape, pad, rays, shift_x, shift_y, own, hits, valid, k):
            missed[count] = k
            count += 1
    for m in range(count):
        k = missed[m]
        shift_x, shift_y = moved[0, near[k]], moved[1, near[k]]
        _search(table, shape, pad, rays, shift_x, shift_y, own, hits, valid, k)


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _guess(shape, pad, rays, shift_x, shift_y, k):  # type: ignore[no-untyped-def]
    """Return the triangle that ray `k` hits if its hit is moved by so many cells."""
    at_x = (rays[0, k] + HALF * pad[0]) * (np.float32(shape[1] - 1) / pad[0]) + shift_x
    at_y = (rays[1, k] + HALF * pad[1]) * (np.float32(shape[0] - 1) / pad[1]) + shift_y
    row, column = min(max(int(at_y), 0), shape[0] - 2), min(max(int(at_x), 0), shape[1] - 2)
    return row, column, at_x - np.float32(column) + at_y - np.float32(row) > ONE


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _hit(  # type: ignore[no-untyped-def]
    table, shape, pad, rays, shift_x, shift_y, moved, hits, valid, k
):
    """Write the hit of ray `k` if it is in the triangle of the guess; return whether it is."""
    row, column, lower = _guess(shape, pad, rays, shift_x, shift_y, k)
    s, t = _triangle_point(
        table, shape[1], row, column, lower, rays[0, k], rays[1, k], rays[2, k], rays[3, k]
    )
    if s < -TOLERANCE or t < -TOLERANCE or s + t > ONE + TOLERANCE:
        return False
    _write_hit(table, shape, pad, rays, row, column, lower, s, t, moved, hits, valid, k)
    return True


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _search(  # type: ignore[no-untyped-def]
    table, shape, pad, rays, shift_x, shift_y, moved, hits, valid, k
):
    """Write the hit of ray `k`, which is not in the triangle of the guess, or that it misses."""
    row, column, lower = _guess(shape, pad, rays, shift_x, shift_y, k)
    x, y, slope_x, slope_y = rays[0, k], rays[1, k], rays[2, k], rays[3, k]
    row, column, lower, s, t = _walk(table, shape, row, column, lower, x, y, slope_x, slope_y)
    if row >= 0:
        _write_hit(table, shape, pad, rays, row, column, lower, s, t, moved, hits, valid, k)
        return
    valid[k] = False
    moved[0, k], moved[1, k] = shift_x, shift_y
    for j in range(HIT_ROWS):
        hits[j, k] = ZERO
    hits[NORMAL_Z, k] = -ONE


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _write_hit(  # type: ignore[no-untyped-def]
    table, shape, pad, rays, row, column, lower, s, t, moved, hits, valid, k
):
    """Write the interpolated vertices of a triangle, and how far the hit is moved, in cells."""
    corner, first, second = _corners(shape[1], row, column, lower)
    rest = ONE - s - t
    x = rest * table[corner] + s * table[first] + t * table[second]
    y = rest * table[corner + AT_Y] + s * table[first + AT_Y] + t * table[second + AT_Y]
    z = rest * table[corner + AT_Z] + s * table[first + AT_Z] + t * table[second + AT_Z]
    hits[X, k], hits[Y, k], hits[Z, k] = x, y, z
    corner, first, second = corner + AT_REST_X, first + AT_REST_X, second + AT_REST_X
    x = rest * table[corner] + s * table[first] + t * table[second]
    y = rest * table[corner + AT_Y] + s * table[first + AT_Y] + t * table[second + AT_Y]
    hits[REST_X, k], hits[REST_Y, k] = x, y
    corner, first, second = corner + TO_NORMAL, first + TO_NORMAL, second + TO_NORMAL
    x = rest * table[corner] + s * table[first] + t * table[second]
    y = rest * table[corner + AT_Y] + s * table[first + AT_Y] + t * table[second + AT_Y]
    z = rest * table[corner + AT_Z] + s * table[first + AT_Z] + t * table[second + AT_Z]
    scale = ONE / np.sqrt(max(x * x + y * y + z * z, MIN_SQUARE))
    hits[NORMAL_X, k], hits[NORMAL_Y, k], hits[NORMAL_Z, k] = x * scale, y * scale, z * scale
    right, down = (ONE - s, ONE - t) if lower else (s, t)
    flat_x = (rays[0, k] + HALF * pad[0]) * (np.float32(shape[1] - 1) / pad[0])
    flat_y = (rays[1, k] + HALF * pad[1]) * (np.float32(shape[0] - 1) / pad[1])
    moved[0, k] = np.float32(column) + right - flat_x
    moved[1, k] = np.float32(row) + down - flat_y
    valid[k] = True


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _corners(columns, row, column, lower):  # type: ignore[no-untyped-def]
    """Return where the three corners of a triangle start in the table.

    The upper triangle has the corners (row, column), (row, column + 1), (row + 1, column), the
    lower one (row + 1, column + 1), (row + 1, column), (row, column + 1).
    """
    # Unsigned, so that the compiler knows that no index is negative.
    step, line = np.uint64(HIT_ROWS), np.uint64(HIT_ROWS * columns)
    start = np.uint64(HIT_ROWS * (row * columns + column))
    right, below = start + step, start + line
    if lower:
        return below + step, below, right
    return start, right, below


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _triangle_point(  # type: ignore[no-untyped-def]
    table, columns, row, column, lower, x, y, slope_x, slope_y
):
    """Return the barycentric coordinates where a ray meets the plane of a triangle."""
    corner, first, second = _corners(columns, row, column, lower)
    z = table[corner + AT_Z]
    corner_x, corner_y = table[corner] - slope_x * z, table[corner + AT_Y] - slope_y * z
    z = table[first + AT_Z]
    a, c = table[first] - slope_x * z - corner_x, table[first + AT_Y] - slope_y * z - corner_y
    z = table[second + AT_Z]
    b, d = table[second] - slope_x * z - corner_x, table[second + AT_Y] - slope_y * z - corner_y
    x, y = x - corner_x, y - corner_y
    determinant = a * d - b * c
    scale = ONE / (determinant if abs(determinant) > MIN_SQUARE else MIN_SQUARE)
    return (d * x - b * y) * scale, (a * y - c * x) * scale


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _walk(table, shape, row, column, lower, x, y, slope_x, slope_y):  # type: ignore[no-untyped-def]
    """Return the triangle that a ray hits and the point in it, by steps from a guess.

    Returns:
        Row, column and kind of the triangle and barycentric coordinates; row -1 for none.
    """
    last_row, last_column = shape[0] - 2, shape[1] - 2
    for _ in range(MAX_STEPS):
        s, t = _triangle_point(table, shape[1], row, column, lower, x, y, slope_x, slope_y)
        if s >= -TOLERANCE and t >= -TOLERANCE and s + t <= ONE + TOLERANCE:
            return row, column, lower, s, t
        right, down = (ONE - s, ONE - t) if lower else (s, t)
        right = min(max(right, -np.float32(last_column)), np.float32(last_column + 1))
        down = min(max(down, -np.float32(last_row)), np.float32(last_row + 1))
        next_column = min(max(column + int(np.floor(right)), 0), last_column)
        next_row = min(max(row + int(np.floor(down)), 0), last_row)
        if next_row == row and next_column == column:
            outside_x = (column == 0 and right < ZERO) or (column == last_column and right > ONE)
            outside_y = (row == 0 and down < ZERO) or (row == last_row and down > ONE)
            if outside_x or outside_y:
                return -1, -1, lower, s, t
            lower = not lower
        else:
            lower = right - np.floor(right) + down - np.floor(down) > ONE
            row, column = next_row, next_column
    return _search_around(table, shape, row, column, x, y, slope_x, slope_y)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _search_around(  # type: ignore[no-untyped-def]
    table, shape, row, column, x, y, slope_x, slope_y
):
    """Return the triangle around a guess that a ray hits first, as `_walk`."""
    best_row, best_column, best_lower, best_s, best_t = -1, -1, False, ZERO, ZERO
    best_z = np.float32(1e9)
    for r in range(max(row - SEARCH_CELLS, 0), min(row + SEARCH_CELLS + 1, shape[0] - 1)):
        first, last = max(column - SEARCH_CELLS, 0), min(column + SEARCH_CELLS + 1, shape[1] - 1)
        for c in range(first, last):
            for lower in (False, True):
                s, t = _triangle_point(table, shape[1], r, c, lower, x, y, slope_x, slope_y)
                if s < -TOLERANCE or t < -TOLERANCE or s + t > ONE + TOLERANCE:
                    continue
                p, q, w = _corners(shape[1], r, c, lower)
                z = (ONE - s - t) * table[p + AT_Z] + s * table[q + AT_Z] + t * table[w + AT_Z]
                if z < best_z:
                    best_row, best_column, best_lower = r, c, lower
                    best_s, best_t, best_z = s, t, z
    return best_row, best_column, best_lower, best_s, best_t
