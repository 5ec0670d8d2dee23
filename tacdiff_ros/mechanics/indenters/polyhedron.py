"""Convex solids with flat faces."""

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
    """A convex polyhedron with F faces and E edges; its distance is exact outside and inside.

    Attributes:
        normals: (F, 3) outward unit normals of the faces.
        offsets: (F,) signed distances of the faces from the origin along their normals, mm.
        edge_normals: (F, C, 3) unit vectors in the plane of each face, perpendicular to its edges
            and pointing out of the face; faces with fewer than C edges repeat the last one.
        edge_offsets: (F, C) signed distances of the edges from the origin along `edge_normals`, mm.
        edge_start: (E, 3) start points of the edges, mm.
        edge_direction: (E, 3) unit vectors along the edges.
        edge_length: (E,) lengths of the edges, mm.
    """

    normals: Floats
    offsets: Floats
    edge_normals: Floats
    edge_offsets: Floats
    edge_start: Floats
    edge_direction: Floats
    edge_length: Floats

    @classmethod
    def from_faces(cls, corners: ArrayLike, faces: Sequence[Sequence[int]]) -> ConvexPolyhedron:
        """Builds a polyhedron from its corners and faces.

        Args:
            corners: (V, 3) corners, mm.
            faces: indices of the corners of each face, counter-clockwise when seen from outside.

        Returns:
            The polyhedron.
        """
        corner = np.asarray(corners, np.float64)
        max_corners = max(len(face) for face in faces)
        normals, edge_normals, edge_offsets = [], [], []
        for face in faces:
            loop = corner[list(face)]
            along = np.roll(loop, -1, axis=0) - loop
            normal = _normalized(np.cross(along[0], along[1]))
            outward = _normalized(np.cross(along, normal))
            rows = np.minimum(np.arange(max_corners), len(face) - 1)
            normals.append(normal)
            edge_normals.append(outward[rows])
            edge_offsets.append((outward * loop).sum(axis=1)[rows])
        first = corner[[face[0] for face in faces]]
        edges = sorted({tuple(sorted(pair)) for face in faces for pair in _pairs(face)})
        start, end = corner[[a for a, _ in edges]], corner[[b for _, b in edges]]
        return cls(
            normals=np.array(normals),
            offsets=(np.array(normals) * first).sum(axis=1),
            edge_normals=np.array(edge_normals),
            edge_offsets=np.array(edge_offsets),
            edge_start=start,
            edge_direction=_normalized(end - start),
            edge_length=np.linalg.norm(end - start, axis=1),
        )

    def distance(self, points: Floats) -> Floats:
        """Returns the signed distance (N,) of points (N, 3), both in mm."""
        heights, squared, _ = self._features(points)
        nearest = np.sqrt(squared.min(axis=1))
        inside = heights.max(axis=1)
        return np.where(inside <= 0, inside, nearest)

    def derivatives(self, points: Floats) -> Derivatives:
        """Returns the signed distance of points (N, 3), mm, with its gradient and Hessian.

        The level sets are planes above faces, cylinders around edges and spheres around corners.
        """
        heights, squared, along = self._features(points)
        rows = np.arange(len(points))
        inside = heights.max(axis=1) <= 0
        nearest = np.where(inside, heights.argmax(axis=1), squared.argmin(axis=1))
        face = np.minimum(nearest, len(self.offsets) - 1)
        edge = np.maximum(nearest - len(self.offsets), 0)
        length, direction = self.edge_length[edge], self.edge_direction[edge]
        position = along[rows, edge]
        foot = self.edge_start[edge] + np.clip(position, 0.0, length)[:, None] * direction
        offset = points - foot
        radius = np.linalg.norm(offset, axis=1)
        safe_radius = np.maximum(radius, TINY_MM)
        on_face = (nearest < len(self.offsets)) | (radius < TINY_MM)
        normal = np.where(on_face[:, None], self.normals[face], offset / safe_radius[:, None])
        distance = np.where(on_face, heights[rows, face], radius)
        tangent = _tangent(normal, direction)
        at_corner = (position <= 0) | (position >= length)
        curvatures = (
            np.where(on_face, 0.0, 1.0 / safe_radius),
            np.where(on_face | ~at_corner, 0.0, 1.0 / safe_radius),
        )
        tangents = (tangent, np.cross(normal, tangent))
        return Derivatives.from_curvatures(distance, normal, tangents, curvatures)

    def _features(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Returns the distances of points (N, 3) to all faces and edges.

        Returns:
            Tuple of the heights (N, F) above the planes of the faces, mm; the squared distances
            (N, F + E) to the faces and then the edges, mm^2, inf for faces that the point is not
            above; and the positions (N, E) of the projections along the edges, mm.
        """
        heights = points @ self.normals.T - self.offsets
        shape = self.edge_offsets.shape
        overshoot = (points @ self.edge_normals.reshape(-1, 3).T).reshape(-1, *shape)
        overshoot = overshoot - self.edge_offsets
        above = (heights >= 0) & (overshoot <= 0).all(axis=2)
        along = points @ self.edge_direction.T - (self.edge_start * self.edge_direction).sum(axis=1)
        clipped = np.clip(along, 0.0, self.edge_length)
        offset = points[:, None] - self.edge_start - clipped[:, :, None] * self.edge_direction
        to_edges = (offset * offset).sum(axis=2)
        to_faces = np.where(above, heights * heights, np.inf)
        return heights, np.concatenate([to_faces, to_edges], axis=1), along


def _pairs(face: Sequence[int]) -> list[tuple[int, int]]:
    return [(face[i - 1], face[i]) for i in range(len(face))]


def _normalized(vectors: Floats) -> Floats:
    normalized: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normalized


def _tangent(normal: Floats, direction: Floats) -> Floats:
    """Returns a unit tangent, perpendicular to the edge too where the normal belongs to an edge."""
    tangent = np.cross(normal, direction)
    size = np.linalg.norm(tangent, axis=1, keepdims=True)
    axis = np.eye(3)[np.abs(normal).argmin(axis=1)]
    return _normalized(np.where(size > 1e-6, tangent, np.cross(normal, axis)))
