"""Gel surfaces that respect the rigid indenter between and at their vertices.

Both models of the gel enforce contact at points on faces that are flat between the vertices. Such a
face cannot bend where the rim of an indenter crosses it: while the rim touches the middle of a
face, the vertex below the indenter lies lower than the indenter, by up to a fifth of the vertex
spacing. Without adhesion the gel cannot be there, and on a surface that is interpolated through the
vertices, the rim would be cut. Here, vertices that contact encloses are put on the indenter, and
all others are kept out of it.

Limits: forces are those of the flat faces. They are too large under sharp rims, by an error
proportional to the vertex spacing (`docs/mechanics.md`).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.surface_refinement import refine_surface
from tacdiff_ros.sensor.gel_surface import GelSurface, grid_triangles

Floats = NDArray[np.float64]

MIN_LOADED_FACES = 3  # of the four faces of a vertex that contact encloses
MAX_GAP_FRACTION = 0.4  # of the vertex spacing: a wider gap below the indenter is a real one
MIN_DOWNWARD = 0.7  # -z component of the indenter's normal: gaps beside its walls are real
MAX_CHORD_MM = 0.005  # depth of the middle of a triangle's edge inside the indenter that is left
EDGE_ROUNDS = 3
PROJECTIONS = 2  # projections onto the indenter; distances inside it are not exact at its edges


def seat_vertices(
    indenter: Indenter,
    pose: IndenterPose,
    position: Floats,
    loaded_faces: NDArray[np.bool_],
    spacing_mm: float,
) -> Floats:
    """Return vertex positions of which none is inside the indenter or lower than its tip.

    Vertices of which at least three of the four faces touch the lower side of the indenter are put
    on it.

    Args:
        indenter: rigid indenter.
        pose: indenter pose in frame `gel`.
        position: (rows * columns, 3) vertex positions, mm.
        loaded_faces: (rows - 1, columns - 1) bool, faces with a loaded contact point.
        spacing_mm: rest spacing of the vertices, mm.

    Returns:
        (rows * columns, 3) positions, mm.
    """
    if not loaded_faces.any():
        return position
    padded = np.pad(loaded_faces, 1)
    faces = [padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]]
    index = np.flatnonzero(np.sum(faces, axis=0) >= MIN_LOADED_FACES)
    seated = position.copy()
    local = pose.to_indenter(position[index])
    field = indenter.derivatives(local)
    is_gap = field.distance < MAX_GAP_FRACTION * spacing_mm
    below = is_gap & (field.gradient[:, 2] < -MIN_DOWNWARD)
    local[below] -= field.distance[below, None] * field.gradient[below]
    seated[index] = pose.to_gel(local)
    seated = outside_indenter(indenter, pose, seated)
    return _above_tip(pose, seated)


def outside_indenter(indenter: Indenter, pose: IndenterPose, position: Floats) -> Floats:
    """Return positions (N, 3) in mm, with those inside the indenter moved to its surface.

    Args:
        indenter: rigid indenter.
        pose: indenter pose in frame `gel`.
        position: (N, 3) positions in frame `gel`, mm.
    """
    local = pose.to_indenter(position)
    index = np.flatnonzero(_within_bounds(indenter, local))
    moved = position.copy()
    for _ in range(PROJECTIONS):
        index = index[indenter.distance(local[index]) < 0.0]
        if not len(index):
            break
        field = indenter.derivatives(local[index])
        local[index] -= field.distance[:, None] * field.gradient
        moved[index] = pose.to_gel(local[index])
    return moved


def _within_bounds(indenter: Indenter, local: Floats, margin_mm: float = 0.0) -> NDArray[np.bool_]:
    """Return which (N, 3) positions, mm, are within the indenter's bounds plus a margin."""
    low, high = indenter.bounds
    within = np.ones(len(local), bool)
    for axis in range(3):
        within &= local[:, axis] > low[axis] - margin_mm
        within &= local[:, axis] < high[axis] + margin_mm
    return within


def _above_tip(pose: IndenterPose, position: Floats) -> Floats:
    """Positions (N, 3) with heights of at least that of the tip: no adhesion pulls the gel down."""
    raised = position.copy()
    raised[:, 2] = np.maximum(raised[:, 2], min(0.0, pose.tip_mm[2]))
    return raised


def refine_contact(
    surface: GelSurface, indenter: Indenter, pose: IndenterPose, rows: int, columns: int
) -> GelSurface:
    """Return the surface on a finer grid, with no triangle inside the indenter.

    Args:
        surface: coarse surface of a result.
        indenter: indenter of the result.
        pose: indenter pose of the result.
        rows: number of vertices along y of the fine grid.
        columns: number of vertices along x of the fine grid.

    Raises:
        InputError: the fine grid has fewer rows or columns than the surface.
    """
    fine = refine_surface(surface, rows, columns)
    position = outside_indenter(indenter, pose, fine.position.astype(np.float64))
    edges = _grid_edges(rows, columns)
    near = _within_bounds(indenter, pose.to_indenter(position), _half_edge_mm(fine, position))
    chosen = near[edges[:, 0]] & near[edges[:, 1]]
    for _ in range(EDGE_ROUNDS):
        before = position
        position = _above_tip(pose, _moved_with_edges(indenter, pose, position, edges[chosen]))
        changed = position != before
        has_moved = changed[:, 0] | changed[:, 1] | changed[:, 2]
        chosen = has_moved[edges[:, 0]] | has_moved[edges[:, 1]]
    return fine.moved(position, may_overhang=True)


@functools.lru_cache(maxsize=8)
def _grid_edges(rows: int, columns: int) -> NDArray[np.int32]:
    """Return the (E, 2) vertex numbers of the edges of a grid's triangles."""
    triangles = grid_triangles(rows, columns)
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = edges[edges[:, 0] < edges[:, 1]]  # adjacent triangles run along it in both directions
    edges.flags.writeable = False
    return edges


def _half_edge_mm(surface: GelSurface, position: Floats) -> float:
    """Return a bound of half the length of all edges between vertices at positions (N, 3), mm."""
    coordinates = position.reshape(surface.rows, surface.columns, 3).transpose(2, 0, 1).copy()
    steps = (np.abs(np.diff(coordinates, axis=axis)) for axis in (1, 2))
    return 0.5 * sum(float(np.linalg.norm(step.max(axis=(1, 2)))) for step in steps)


def _moved_with_edges(
    indenter: Indenter, pose: IndenterPose, position: Floats, edges: NDArray[np.int32]
) -> Floats:
    """Move the ends of edges (E, 2) whose middle is inside the indenter until it is not.

    Such edges are chords of a rounded rim. A vertex of several of them takes the longest motion.
    """
    middle = 0.5 * (position[edges[:, 0]] + position[edges[:, 1]])
    motion = outside_indenter(indenter, pose, middle) - middle
    length = np.sqrt(np.einsum("ei,ei->e", motion, motion))
    motion *= np.maximum(1.0 - MAX_CHORD_MM / np.maximum(length, MAX_CHORD_MM), 0.0)[:, None]
    inside = np.flatnonzero(length > MAX_CHORD_MM)
    inside = inside[np.argsort(length[inside])]  # the last of several assignments remains
    moved = np.zeros_like(position)
    moved[edges[inside]] = motion[inside, None]
    return position + moved
