"""Convex bodies with flat faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.plane_field import TINY_MM

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ConvexPolyhedron:
    """A convex polyhedron; its distance is exact outside and inside.

    Attributes:
        normals: (F, 3) outward unit normals of the faces.
        offsets: (F,) mm, of the faces along their normals.
        fences: (F, C, 3) unit vectors in the faces, outward across their edges; faces with fewer
            than C edges repeat the last.
        fence_offsets: (F, C) mm, of the edges along the fences.
        edge_start: (E, 3) mm.
        edge_direction: (E, 3) unit vectors.
        edge_length: (E,) mm.
    """

    normals: Floats
    offsets: Floats
    fences: Floats
    fence_offsets: Floats
    edge_start: Floats
    edge_direction: Floats
    edge_length: Floats

    @classmethod
    def of_faces(cls, corners: ArrayLike, faces: Sequence[Sequence[int]]) -> ConvexPolyhedron:
        """From corners (V, 3) mm and the corners of each face, counter-clockwise from outside."""
        at = np.asarray(corners, np.float64)
        most = max(len(face) for face in faces)
        normals, fences, fence_offsets = [], [], []
        for face in faces:
            loop = at[list(face)]
            along = np.roll(loop, -1, axis=0) - loop
            normal = _unit(np.cross(along[0], along[1]))
            across = _unit(np.cross(along, normal))
            rows = np.minimum(np.arange(most), len(face) - 1)
            normals.append(normal)
            fences.append(across[rows])
            fence_offsets.append((across * loop).sum(axis=1)[rows])
        first = at[[face[0] for face in faces]]
        edges = sorted({tuple(sorted(pair)) for face in faces for pair in _pairs(face)})
        start, end = at[[a for a, _ in edges]], at[[b for _, b in edges]]
        return cls(
            np.array(normals),
            (np.array(normals) * first).sum(axis=1),
            np.array(fences),
            np.array(fence_offsets),
            start,
            _unit(end - start),
            np.linalg.norm(end - start, axis=1),
        )

    def distance(self, points: Floats) -> Floats:
        """(N,) mm for points (N, 3) mm."""
        heights, gaps, _ = self._gaps(points)
        nearest = np.sqrt(gaps.min(axis=1))
        inside = heights.max(axis=1)
        return np.where(inside <= 0, inside, nearest)

    def derivatives(self, points: Floats) -> Derivatives:
        """Distance of points (N, 3) mm with gradient and Hessian."""
        heights, gaps, along = self._gaps(points)
        rows = np.arange(len(points))
        inside = heights.max(axis=1) <= 0
        nearest = np.where(inside, heights.argmax(axis=1), gaps.argmin(axis=1))
        face = np.minimum(nearest, len(self.offsets) - 1)
        edge = np.maximum(nearest - len(self.offsets), 0)
        length, direction = self.edge_length[edge], self.edge_direction[edge]
        place = along[rows, edge]
        foot = self.edge_start[edge] + np.clip(place, 0.0, length)[:, None] * direction
        offset = points - foot
        away = np.linalg.norm(offset, axis=1)
        safe = np.maximum(away, TINY_MM)
        on_face = (nearest < len(self.offsets)) | (away < TINY_MM)
        normal = np.where(on_face[:, None], self.normals[face], offset / safe[:, None])
        distance = np.where(on_face, heights[rows, face], away)
        first = _across(normal, direction)
        at_corner = (place <= 0) | (place >= length)
        curvatures = (
            np.where(on_face, 0.0, 1.0 / safe),
            np.where(on_face | ~at_corner, 0.0, 1.0 / safe),
        )
        tangents = (first, np.cross(normal, first))
        return Derivatives.from_curvatures(distance, normal, tangents, curvatures)

    def _gaps(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Heights over faces (N, F), squared distances to faces and edges, places along edges."""
        heights = points @ self.normals.T - self.offsets
        shape = self.fence_offsets.shape
        beyond = (points @ self.fences.reshape(-1, 3).T).reshape(-1, *shape) - self.fence_offsets
        over = (heights >= 0) & (beyond <= 0).all(axis=2)
        along = points @ self.edge_direction.T - (self.edge_start * self.edge_direction).sum(axis=1)
        held = np.clip(along, 0.0, self.edge_length)
        offset = points[:, None] - self.edge_start - held[:, :, None] * self.edge_direction
        to_edges = (offset * offset).sum(axis=2)
        to_faces = np.where(over, heights * heights, np.inf)
        return heights, np.concatenate([to_faces, to_edges], axis=1), along


def _pairs(face: Sequence[int]) -> list[tuple[int, int]]:
    return [(face[i - 1], face[i]) for i in range(len(face))]


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _across(normal: Floats, direction: Floats) -> Floats:
    """A unit vector across the normal: across an edge too, where the normal stands on the edge."""
    first = np.cross(normal, direction)
    size = np.linalg.norm(first, axis=1, keepdims=True)
    axis = np.eye(3)[np.abs(normal).argmin(axis=1)]
    return _unit(np.where(size > 1e-6, first, np.cross(normal, axis)))
