"""Signed distance from grid points to a triangle mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from tacdiff_ros.errors import InputError

if TYPE_CHECKING:
    from trimesh import Trimesh

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BAND_CELLS = 5.0
CANDIDATES = 16
MAX_SAMPLES = 4_000_000
MAX_WALK = 12
AT_ONCE = 50_000


def grid_distance(mesh: Trimesh, origin: Floats, shape: tuple[int, ...], spacing: float) -> Floats:
    """Signed distance of a regular grid's points, above 0 outside.

    Within `BAND_CELLS` of the surface the search for the nearest triangle begins at those of the
    `CANDIDATES` nearest samples of the surface, half a spacing apart, and goes on over neighbours
    as long as they are nearer. That is exact near the surface; inside, where several parts of it
    are equally near, distances can be too large by a thousandth of the spacing. Beyond the band
    they are those to the triangle of the nearest point of the band, too large by a few hundredths.
    The sign is that of the angle-weighted normal at the nearest point (Baerentzen and Aanaes,
    2005), for bodies that do not pass through themselves.

    Args:
        mesh: watertight, outward normals, mm.
        origin: (3,) mm, first point of the grid.
        shape: number of points along x, y and z.
        spacing: between them, mm.

    Returns:
        Array of the given shape, mm.

    Raises:
        InputError: the surface has too many samples of that spacing.
    """
    top = origin[2] + spacing * shape[2]
    samples, owner = _surface_samples(mesh, 0.5 * spacing, top)
    index = np.round((samples - origin) / spacing).astype(int)
    index = index[((index >= 0) & (index < shape)).all(axis=1)]
    free = np.ones(shape, bool)
    free[tuple(index.T)] = False
    band = distance_transform_edt(free) <= BAND_CELLS
    nearest = np.full(shape, -1, np.int32)
    inside = np.zeros(shape, bool)
    where = np.argwhere(band)
    tree = cKDTree(samples)
    for start in range(0, len(where), AT_ONCE):
        part = where[start : start + AT_ONCE]
        points = origin + spacing * part
        triangle, sign = _nearest_triangles(mesh, tree, owner, points)
        nearest[tuple(part.T)] = triangle
        inside[tuple(part.T)] = sign < 0
    seed = distance_transform_edt(~band, return_distances=False, return_indices=True)
    nearest, inside = nearest[tuple(seed)], inside[tuple(seed)]
    distance = np.empty(nearest.size)
    for start in range(0, nearest.size, AT_ONCE):
        flat = np.arange(start, min(start + AT_ONCE, nearest.size))
        points = origin + spacing * np.stack(np.unravel_index(flat, shape), axis=1)
        _, offset = _foot(mesh, points, nearest.ravel()[flat])
        distance[flat] = np.linalg.norm(offset, axis=1)
    return np.where(inside, -distance.reshape(shape), distance.reshape(shape))


def nearest_weights(points: Floats, corners: Floats) -> Floats:
    """(N, 3) barycentric weights of the nearest points of triangles (N, 3, 3) to points (N, 3).

    Weights are exactly 0 off the edge or corner that is the nearest.
    """
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    d20, d21 = _dot(ap, ab), _dot(ap, ac)
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
    best = np.full(len(points), np.inf)
    weights = np.zeros((len(points), 3))
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, span = corners[:, first], corners[:, second] - corners[:, first]
        squared = _dot(span, span)
        part = _dot(points - start, span) / np.where(squared > 0, squared, 1.0)
        part = np.clip(part, 0.0, 1.0)
        offset = points - start - part[:, None] * span
        gap = _dot(offset, offset)
        nearer = gap < best
        best = np.where(nearer, gap, best)
        here = np.zeros((len(points), 3))
        here[:, first], here[:, second] = 1 - part, part
        weights = np.where(nearer[:, None], here, weights)
    return weights


def _nearest_triangles(
    mesh: Trimesh, tree: cKDTree, owner: Ints, points: Floats
) -> tuple[Ints, Floats]:
    """Index (N,) of the nearest triangles, and on which side of the surface the points are."""
    _, sample = tree.query(points, k=min(CANDIDATES, tree.n))
    candidates = np.sort(owner[sample.reshape(len(points), -1)], axis=1)
    first = np.ones(candidates.shape, bool)
    first[:, 1:] = candidates[:, 1:] != candidates[:, :-1]
    row, column = np.nonzero(first)
    _, offset = _foot(mesh, points[row], candidates[row, column])
    gap = np.full(candidates.shape, np.inf)
    gap[row, column] = _dot(offset, offset)
    best = candidates[np.arange(len(points)), gap.argmin(axis=1)]
    triangle, weights, offset = _walk(mesh, points, best)
    side = _dot(offset, _normals_at(mesh, triangle, weights))
    return triangle, np.where(side < 0, -1.0, 1.0)


def _walk(mesh: Trimesh, points: Floats, triangle: Ints) -> tuple[Ints, Floats, Floats]:
    """From triangles (N,) on to their neighbours, as long as those are nearer to the points.

    Returns:
        The last triangles, the weights (N, 3) of the nearest points in them, and the offsets
        (N, 3) from there to the points.
    """
    triangle = triangle.copy()
    weights, offset = _foot(mesh, points, triangle)
    rows = np.flatnonzero((weights == 0).any(axis=1))
    for _ in range(MAX_WALK):
        if not len(rows):
            break
        beyond = _neighbours(mesh)[triangle[rows]]
        steps, ways = _foot(mesh, np.repeat(points[rows], 3, axis=0), beyond.ravel())
        best = 3 * np.arange(len(rows)) + _dot(ways, ways).reshape(-1, 3).argmin(axis=1)
        nearer = _dot(ways[best], ways[best]) < _dot(offset[rows], offset[rows])
        rows, best = rows[nearer], best[nearer]
        triangle[rows], weights[rows], offset[rows] = beyond.ravel()[best], steps[best], ways[best]
    return triangle, weights, offset


def _foot(mesh: Trimesh, points: Floats, triangle: Ints) -> tuple[Floats, Floats]:
    """Weights (N, 3) of the nearest points in triangles (N,), and the ways (N, 3) from there."""
    corners = mesh.triangles[triangle]
    weights = nearest_weights(points, corners)
    return weights, points - np.einsum("nc,nci->ni", weights, corners)


def _normals_at(mesh: Trimesh, triangle: Ints, weights: Floats) -> Floats:
    """Normals (N, 3) of faces, sums of two at edges, angle-weighted at corners; any length."""
    normals = mesh.face_normals[triangle].copy()
    zeros = (weights == 0).sum(axis=1)
    on_edge = np.flatnonzero(zeros == 1)
    # The edge across from corner k runs between the two others; neighbours[f, k] is beyond it.
    beyond = _neighbours(mesh)[triangle[on_edge], weights[on_edge].argmin(axis=1)]
    normals[on_edge] += mesh.face_normals[beyond]
    corner = np.flatnonzero(zeros == 2)
    vertex = mesh.faces[triangle[corner], weights[corner].argmax(axis=1)]
    normals[corner] = mesh.vertex_normals[vertex]
    return normals


def _neighbours(mesh: Trimesh) -> Ints:
    """(F, 3) the face beyond the edge across from each corner."""
    if "tacdiff_neighbours" not in mesh.metadata:
        faces = np.asarray(mesh.faces, np.int64)
        ends = np.sort(faces[:, [[1, 2], [2, 0], [0, 1]]], axis=2).reshape(-1, 2)
        order = np.lexsort(ends.T)
        beyond = np.empty(len(order), np.int64)
        beyond[order[0::2]], beyond[order[1::2]] = order[1::2] // 3, order[0::2] // 3
        mesh.metadata["tacdiff_neighbours"] = beyond.reshape(-1, 3)
    neighbours: Ints = mesh.metadata["tacdiff_neighbours"]
    return neighbours


def _surface_samples(mesh: Trimesh, apart: float, top: float) -> tuple[Floats, Ints]:
    """Points (S, 3) on the surface up to z = top and the triangles they are of.

    Each triangle has rows along its longest side, so that slivers do not have more than others.
    """
    low = np.flatnonzero(mesh.triangles[:, :, 2].min(axis=1) <= top)
    corners = np.array(mesh.triangles)[low]
    sides = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2)
    turn = (sides.argmax(axis=1)[:, None] + np.arange(3)) % 3
    corners = np.take_along_axis(corners, turn[:, :, None], axis=1)
    length = sides.max(axis=1)
    height = np.linalg.norm(_cross_edges(corners), axis=1) / length
    rows = np.ceil(height / apart).astype(int) + 1
    owner, row = _counted(rows)
    up = (row + 0.5) / rows[owner]
    columns = np.ceil(length[owner] * (1 - up) / apart).astype(int) + 1
    if columns.sum() > MAX_SAMPLES:
        raise InputError(
            f"mesh needs more than {MAX_SAMPLES} samples {apart:g} mm apart: give a coarser spacing"
        )
    line, column = _counted(columns)
    owner, up = owner[line], up[line]
    along = (1 - up) * (column + 0.5) / columns[line]
    weights = np.stack([1 - up - along, along, up], axis=1)
    samples = np.einsum("nc,nci->ni", weights, corners[owner])
    kept = samples[:, 2] <= top
    return samples[kept], low[owner[kept]]


def _counted(counts: Ints) -> tuple[Ints, Ints]:
    """Each index as often as it counts, and the number of the repetition, from 0."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)


def _cross_edges(corners: Floats) -> Floats:
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _dot(a: Floats, b: Floats) -> Floats:
    product: Floats = np.einsum("ni,ni->n", a, b)
    return product
