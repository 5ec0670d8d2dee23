"""Contact points on the pad's surface: several on every face.

Contact at the vertices alone would let faces cut the corners of sharp indenters, and would fold the
gel behind them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.pad_mesh import PadMesh

SPACING_MM = 0.16  # largest distance of the contact points on a face


@dataclass(frozen=True)
class ContactPoints:
    """Evenly spaced contact points on f selected faces, face by face.

    Attributes:
        faces: (f,) row-major face numbers.
        vertices: (f, 4) vertices of each face, as indices into `chosen`.
        chosen: (n,) sorted numbers of the surface vertices (in `WholePad`: of the nodes) that
            `vertices` refers to.
        weights: (p, 4) bilinear shape functions at the p points of every face.
    """

    faces: NDArray[np.int64]
    vertices: NDArray[np.int64]
    chosen: NDArray[np.int64]
    weights: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Total number of points, f p."""
        return len(self.faces) * len(self.weights)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(f p,) numbers of these points among the points of all faces of the pad."""
        per_face = len(self.weights)
        return np.asarray(self.faces[:, None] * per_face + np.arange(per_face)).ravel()

    def interpolate(self, vertex_values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate a vector field bilinearly from the vertices to the points.

        Args:
            vertex_values: (n, 3) values at the vertices, such as positions in mm.

        Returns:
            (f p, 3) values at the points.
        """
        return np.asarray(
            np.einsum("pa,fai->fpi", self.weights, vertex_values[self.vertices], optimize=True)
        ).reshape(-1, 3)

    def sagitta(
        self, position: NDArray[np.float64], hessian: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how deep the points of flat faces lie inside a convex body under the vertices.

        A face is flat between its vertices, whereas a smooth gel would follow the body. To second
        order, the point at fraction t of an edge e lies t (1 - t) e H e / 2 deep, with H the
        Hessian of the body's distance.

        Args:
            position: (n, 3) vertex positions, mm.
            hessian: (f p, 3, 3) Hessian H at the points, 1/mm.

        Returns:
            (f p,) depth, mm.
        """
        corners = position[self.vertices]
        hessian = hessian.reshape(len(self.faces), -1, 3, 3)
        along_x = self.weights[:, 1] + self.weights[:, 3]
        along_y = self.weights[:, 2] + self.weights[:, 3]
        depth = np.zeros(hessian.shape[:2])
        for edge, fraction in (
            (0.5 * (corners[:, 1] - corners[:, 0] + corners[:, 3] - corners[:, 2]), along_x),
            (0.5 * (corners[:, 2] - corners[:, 0] + corners[:, 3] - corners[:, 1]), along_y),
        ):
            curvature = np.einsum("fi,fpij,fj->fp", edge, hessian, edge, optimize=True)
            depth += 0.5 * fraction * (1.0 - fraction) * np.maximum(curvature, 0.0)
        return np.asarray(depth.ravel())

    def gather(self, force: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distribute point forces to the vertices (the transpose of `interpolate`).

        Args:
            force: (f p, 3) forces at the points, N.

        Returns:
            (n, 3) forces on the vertices, N.
        """
        corner_force = np.einsum(
            "pa,fpi->fai", self.weights, force.reshape(len(self.faces), -1, 3), optimize=True
        )
        total = np.zeros((len(self.chosen), 3))
        for corner in range(4):
            np.add.at(total, self.vertices[:, corner], corner_force[:, corner])
        return total

    def face_jacobians(
        self, jacobian: NDArray[np.float64], faces: NDArray[np.integer] | None = None
    ) -> NDArray[np.float64]:
        """Return the derivative of the forces on the corners of each face, N/mm.

        Args:
            jacobian: (f p, 3, 3) derivative of each point's force by its position, N/mm.
            faces: (k,) indices into `faces`; None for all.

        Returns:
            (k, 12, 12) derivatives by the positions of the corners.
        """
        by_face = jacobian.reshape(len(self.faces), -1, 3, 3)
        by_face = by_face if faces is None else by_face[faces]
        return np.einsum(
            "pab,fpij->faibj",
            self.weights[:, :, None] * self.weights[:, None, :],
            by_face,
            optimize=True,
        ).reshape(len(by_face), 12, 12)

    def assemble_jacobian(
        self, jacobian: NDArray[np.float64], faces: NDArray[np.integer]
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Assemble the derivative of the vertex forces, N^T J N, from the points of some faces.

        Args:
            jacobian: (f p, 3, 3) derivative of each point's force by its position, N/mm.
            faces: (k,) indices into `faces` of the faces to assemble.

        Returns:
            The (m,) vertices of these faces, as indices into `chosen`, and the dense (3 m, 3 m)
            matrix, N/mm.
        """
        blocks = self.face_jacobians(jacobian, faces)
        used, local = np.unique(self.vertices[faces], return_inverse=True)
        index = (3 * local.reshape(-1, 4, 1) + np.arange(3)).reshape(-1, 12)
        size = 3 * len(used)
        flat = (index[:, :, None] * size + index[:, None, :]).ravel()
        total = np.bincount(flat, blocks.ravel(), size * size)
        return used, np.asarray(total, np.float64).reshape(size, size)


class SurfaceFaces:
    """All faces of the pad's surface and the contact points on them.

    Attributes:
        vertices: (faces, 4) surface vertices of each face: (row, column) corners (0, 0), (0, 1),
            (1, 0), (1, 1).
        weights: (p, 4) bilinear shape functions at the p points of every face.
    """

    def __init__(self, mesh: PadMesh) -> None:
        """Number the faces of a mesh and place the points on them."""
        number = np.arange(mesh.rows * mesh.columns).reshape(mesh.rows, mesh.columns)
        corners = [number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]]
        self.vertices = np.stack([corner.ravel() for corner in corners], axis=1)
        per_side = max(2, math.ceil(max(mesh.spacing_mm) / SPACING_MM))
        along = (np.arange(per_side) + 0.5) / per_side
        y, x = (axis.ravel() for axis in np.meshgrid(along, along, indexing="ij"))
        self.weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)

    def select(self, faces: NDArray[np.integer]) -> ContactPoints:
        """Return the contact points of some faces.

        Args:
            faces: (f,) row-major face numbers.
        """
        chosen, local = np.unique(self.vertices[faces], return_inverse=True)
        return ContactPoints(
            faces=np.asarray(faces, np.int64),
            vertices=local.reshape(-1, 4),
            chosen=chosen,
            weights=self.weights,
        )

    def half_diagonals(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return half of the longer diagonal of every face.

        Args:
            position: (n, 3) positions of all surface vertices, mm.

        Returns:
            (faces,) half diagonals, mm.
        """
        corners = position[self.vertices]
        lengths = [np.linalg.norm(corners[:, 3 - i] - corners[:, i], axis=1) for i in (0, 1)]
        return np.asarray(0.5 * np.maximum(*lengths))

    def centres(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (faces, 3) centres of all faces in mm for (n, 3) surface vertex positions."""
        return np.asarray(position[self.vertices].mean(axis=1))
