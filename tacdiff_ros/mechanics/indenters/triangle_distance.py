"""Signed distance from the points of a grid to a triangle mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from tacdiff_ros.errors import InputError

if TYPE_CHECKING:
    from trimesh import Trimesh

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BAND_CELLS = 5.0  # half width of the band around the surface with exact distances
CANDIDATES = 16  # nearest surface samples whose triangles are tested
MAX_SAMPLES = 4_000_000
MAX_SIDE_FRACTION = 0.1  # of the box, of triangles that cross its border and are not divided
MAX_WALK = 12  # steps from triangle to adjacent triangle
BATCH_POINTS = 50_000


def grid_distance(mesh: Trimesh, origin: Floats, shape: tuple[int, ...], spacing: float) -> Floats:
    """Returns the signed distance of the points of a regular grid to a mesh, positive outside.

    Within `BAND_CELLS` of the surface, the search for the nearest triangle begins at the triangles
    of the `CANDIDATES` nearest surface samples, half a spacing apart, and walks to adjacent
    triangles as long as they are nearer. That is exact near the surface; inside, where several
    parts of the surface are equally near, distances can be too large by a thousandth of the
    spacing. Outside the band, the distance is that to the triangle of the nearest grid point of
    the band, too large by up to 1.3 spacings. The sign is that of the angle-weighted
    normal at the nearest point (Baerentzen and Aanaes, 2005).

    Limits: the surface must not intersect itself.

    Args:
        mesh: watertight mesh with outward normals, mm.
        origin: (3,) first point of the grid, mm.
        shape: numbers of points along x, y and z.
        spacing: distance between grid points, mm.

    Returns:
        Signed distances, an array of the given shape, mm.

    Raises:
        InputError: the surface needs more than `MAX_SAMPLES` samples at that spacing.
    """
    nearest, inside = _nearest_on_grid(mesh, origin, shape, spacing)
    distance = np.empty(nearest.size)
    for start in range(0, nearest.size, BATCH_POINTS):
        flat = np.arange(start, min(start + BATCH_POINTS, nearest.size))
        points = origin + spacing * np.stack(np.unravel_index(flat, shape), axis=1)
        _, offset = _nearest_points(mesh, points, nearest.ravel()[flat])
        distance[flat] = np.linalg.norm(offset, axis=1)
    return np.where(inside, -distance.reshape(shape), distance.reshape(shape))


def _nearest_on_grid(
    mesh: Trimesh, origin: Floats, shape: tuple[int, ...], spacing: float
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Returns the nearest triangle of each grid point and whether the point is inside.

    Only points in the band around the surface are searched; the others take both values from the
    nearest point of the band.
    """
    high = origin + spacing * np.array(shape)
    corners, faces = _triangles_in(mesh, origin, high)
    samples, owner = _surface_samples(corners, faces, 0.5 * spacing, high[2])
    index = np.round((samples - origin) / spacing).astype(int)
    index = index[((index >= 0) & (index < shape)).all(axis=1)]
    off_surface = np.ones(shape, bool)
    off_surface[tuple(index.T)] = False
    band = distance_transform_edt(off_surface) <= BAND_CELLS
    nearest = np.full(shape, -1, np.int32)
    inside = np.zeros(shape, bool)
    band_index = np.argwhere(band)
    tree = cKDTree(samples)
    for start in range(0, len(band_index), BATCH_POINTS):
        batch = band_index[start : start + BATCH_POINTS]
        points = origin + spacing * batch
        triangle, sign = _nearest_triangles(mesh, tree, owner, points)
        nearest[tuple(batch.T)] = triangle
        inside[tuple(batch.T)] = sign < 0
    source = distance_transform_edt(~band, return_distances=False, return_indices=True)
    return nearest[tuple(source)], inside[tuple(source)]


def nearest_weights(points: Floats, corners: Floats) -> Floats:
    """Returns the barycentric coordinates of the points of triangles that are nearest to points.

    Args:
        points: (N, 3) points, mm.
        corners: (N, 3, 3) corners of one triangle for each point, mm.

    Returns:
        (N, 3) barycentric weights; exactly 0 for corners that the nearest edge or corner excludes.
    """
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = _inner(ab, ab), _inner(ab, ac), _inner(ac, ac)
    d20, d21 = _inner(ap, ab), _inner(ap, ac)
    area = d00 * d11 - d01 * d01
    safe = np.where(area > 0, area, 1.0)
    v = (d11 * d20 - d01 * d21) / safe
    w = (d00 * d21 - d01 * d20) / safe
    weights = np.stack([1 - v - w, v, w], axis=1)
    off = np.flatnonzero((weights <= 0).any(axis=1) | (area <= 0))
    if len(off):
        weights[off] = _edge_weights(points[off], corners[off])
    return weights


def _edge_weights(points: Floats, corners: Floats) -> Floats:
    """Returns the weights (N, 3) of the nearest points on the edges of triangles (N, 3, 3)."""
    best = np.full(len(points), np.inf)
    weights = np.zeros((len(points), 3))
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, span = corners[:, first], corners[:, second] - corners[:, first]
        squared = _inner(span, span)
        fraction = _inner(points - start, span) / np.where(squared > 0, squared, 1.0)
        fraction = np.clip(fraction, 0.0, 1.0)
        offset = points - start - fraction[:, None] * span
        gap = _inner(offset, offset)
        nearer = gap < best
        best = np.where(nearer, gap, best)
        on_edge = np.zeros((len(points), 3))
        on_edge[:, first], on_edge[:, second] = 1 - fraction, fraction
        weights = np.where(nearer[:, None], on_edge, weights)
    return weights


def _nearest_triangles(
    mesh: Trimesh, tree: cKDTree, owner: Ints, points: Floats
) -> tuple[Ints, Floats]:
    """Returns the nearest triangles of points and the side of the surface they lie on.

    Args:
        mesh: watertight mesh, mm.
        tree: KD tree of the surface samples, mm.
        owner: (S,) triangle index of each surface sample.
        points: (N, 3) points, mm.

    Returns:
        Tuple of the triangle indices (N,) and the signs (N,), -1 inside and 1 outside.
    """
    _, sample = tree.query(points, k=min(CANDIDATES, tree.n))
    candidates = np.sort(owner[sample.reshape(len(points), -1)], axis=1)
    first = np.ones(candidates.shape, bool)
    first[:, 1:] = candidates[:, 1:] != candidates[:, :-1]
    row, column = np.nonzero(first)
    _, offset = _nearest_points(mesh, points[row], candidates[row, column])
    gap = np.full(candidates.shape, np.inf)
    gap[row, column] = _inner(offset, offset)
    best = candidates[np.arange(len(points)), gap.argmin(axis=1)]
    triangle, weights, offset = _walk(mesh, points, best)
    side = _inner(offset, _normals_at(mesh, triangle, weights))
    return triangle, np.where(side < 0, -1.0, 1.0)


def _walk(mesh: Trimesh, points: Floats, triangle: Ints) -> tuple[Ints, Floats, Floats]:
    """Walks from triangles (N,) to adjacent triangles as long as those are nearer to the points.

    Returns:
        Tuple of the last triangles (N,), the barycentric weights (N, 3) of the nearest points in
        them, and the vectors (N, 3) from the nearest points to the given points, mm.
    """
    triangle = triangle.copy()
    weights, offset = _nearest_points(mesh, points, triangle)
    rows = np.flatnonzero((weights == 0).any(axis=1))
    for _ in range(MAX_WALK):
        if not len(rows):
            break
        adjacent = _adjacent_faces(mesh)[triangle[rows]].ravel()
        adjacent_weights, adjacent_offset = _nearest_points(
            mesh, np.repeat(points[rows], 3, axis=0), adjacent
        )
        squared = _inner(adjacent_offset, adjacent_offset)
        best = 3 * np.arange(len(rows)) + squared.reshape(-1, 3).argmin(axis=1)
        nearer = squared[best] < _inner(offset[rows], offset[rows])
        rows, best = rows[nearer], best[nearer]
        triangle[rows] = adjacent[best]
        weights[rows], offset[rows] = adjacent_weights[best], adjacent_offset[best]
    return triangle, weights, offset


def _nearest_points(mesh: Trimesh, points: Floats, triangle: Ints) -> tuple[Floats, Floats]:
    """Returns the nearest points in triangles with indices (N,) to points (N, 3), mm.

    Returns:
        Tuple of the barycentric weights (N, 3) of the nearest points, and the vectors (N, 3) from
        them to the given points, mm.
    """
    corners = mesh.triangles[triangle]
    weights = nearest_weights(points, corners)
    return weights, points - np.einsum("nc,nci->ni", weights, corners)


def _normals_at(mesh: Trimesh, triangle: Ints, weights: Floats) -> Floats:
    """Returns the pseudonormals (N, 3), not normalized, at barycentric positions in triangles.

    They are face normals inside faces, sums of two face normals on edges, and angle-weighted
    vertex normals at corners.
    """
    normals = mesh.face_normals[triangle].copy()
    zeros = (weights == 0).sum(axis=1)
    on_edge = np.flatnonzero(zeros == 1)
    # A point on an edge has weight 0 at the corner k opposite that edge, and adjacent[f, k] is the
    # face on the other side of it.
    adjacent = _adjacent_faces(mesh)[triangle[on_edge], weights[on_edge].argmin(axis=1)]
    normals[on_edge] += mesh.face_normals[adjacent]
    corner = np.flatnonzero(zeros == 2)
    vertex = mesh.faces[triangle[corner], weights[corner].argmax(axis=1)]
    normals[corner] = mesh.vertex_normals[vertex]
    return normals


def _adjacent_faces(mesh: Trimesh) -> Ints:
    """Returns (F, 3) indices of the faces that share the edge opposite each corner; cached."""
    if "tacdiff_neighbours" not in mesh.metadata:
        faces = np.asarray(mesh.faces, np.int64)
        ends = np.sort(faces[:, [[1, 2], [2, 0], [0, 1]]], axis=2).reshape(-1, 2)
        order = np.lexsort(ends.T)
        # Each edge of a watertight mesh occurs twice, so sorted edges are pairs of equal ones.
        adjacent = np.empty(len(order), np.int64)
        adjacent[order[0::2]], adjacent[order[1::2]] = order[1::2] // 3, order[0::2] // 3
        mesh.metadata["tacdiff_neighbours"] = adjacent.reshape(-1, 3)
    faces_of_edges: Ints = mesh.metadata["tacdiff_neighbours"]
    return faces_of_edges


def _triangles_in(mesh: Trimesh, low: Floats, high: Floats) -> tuple[Floats, Ints]:
    """Returns the parts of the surface that may lie in a box, as triangles.

    Large triangles that cross the border of the box are divided, so that of a body that is much
    larger than the box only the part in it is sampled.

    Args:
        mesh: mesh, mm.
        low: (3,) lowest corner of the box, mm.
        high: (3,) highest corner, mm.

    Returns:
        Tuple of the corners (T, 3, 3) of the triangles, mm, and the faces (T,) they are part of.
    """
    corners, faces = np.array(mesh.triangles), np.arange(len(mesh.faces))
    max_side = MAX_SIDE_FRACTION * float((high - low).max())
    while True:
        lowest, highest = corners.min(axis=1), corners.max(axis=1)
        meets = ((highest >= low) & (lowest <= high)).all(axis=1)
        corners, faces, lowest, highest = (a[meets] for a in (corners, faces, lowest, highest))
        crosses = ((lowest < low) | (highest > high)).any(axis=1)
        large = crosses & ((highest - lowest).max(axis=1) > max_side)
        if not large.any():
            return corners, faces
        a, b, c = (corners[large, corner] for corner in range(3))
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        divided = np.concatenate([np.stack(part, axis=1) for part in parts])
        corners = np.concatenate([corners[~large], divided])
        faces = np.concatenate([faces[~large], np.tile(faces[large], 4)])


def _surface_samples(
    corners: Floats, faces: Ints, spacing: float, top: float
) -> tuple[Floats, Ints]:
    """Samples triangles with at least one point in each.

    The samples of a triangle form rows parallel to its longest side, so that slivers do not get
    more samples than other triangles of the same area.

    Args:
        corners: (T, 3, 3) corners of the triangles, mm.
        faces: (T,) indices of the faces that they are part of.
        spacing: approximate distance between samples, mm.
        top: largest z of the samples, mm.

    Returns:
        Tuple of the samples (S, 3), mm, and the indices (S,) of their faces.

    Raises:
        InputError: the surface needs more than `MAX_SAMPLES` samples.
    """
    sides = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2)
    # Rotates the corners so that the longest side is between the first two.
    corner_order = (sides.argmax(axis=1)[:, None] + np.arange(3)) % 3
    corners = np.take_along_axis(corners, corner_order[:, :, None], axis=1)
    length = sides.max(axis=1)
    height = np.linalg.norm(_cross_edges(corners), axis=1) / length
    rows = np.ceil(height / spacing).astype(int) + 1
    owner, row = _repetitions(rows)
    up = (row + 0.5) / rows[owner]
    columns = np.ceil(length[owner] * (1 - up) / spacing).astype(int) + 1
    if columns.sum() > MAX_SAMPLES:
        raise InputError(
            f"mesh needs more than {MAX_SAMPLES} samples at {spacing:g} mm: give a coarser spacing"
        )
    line, column = _repetitions(columns)
    owner, up = owner[line], up[line]
    along = (1 - up) * (column + 0.5) / columns[line]
    weights = np.stack([1 - up - along, along, up], axis=1)
    samples = np.einsum("nc,nci->ni", weights, corners[owner])
    below_top = samples[:, 2] <= top
    return samples[below_top], faces[owner[below_top]]


def _repetitions(counts: Ints) -> tuple[Ints, Ints]:
    """Returns each index repeated `counts[index]` times, and the running number of its copies."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)


def _cross_edges(corners: Floats) -> Floats:
    """Returns the normals (N, 3) of triangles (N, 3, 3) with twice their area as length."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _inner(a: Floats, b: Floats) -> Floats:
    """Returns the inner products (N,) of vectors (N, 3)."""
    product: Floats = np.einsum("ni,ni->n", a, b)
    return product
