"""Points on the pad's surface where contact is held: several on every face.

Vertices alone would let faces cut corners of sharp indenters, and fold the gel behind them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.pad_mesh import PadMesh

SPACING_MM = 0.16


@dataclass(frozen=True)
class ContactPoints:
    """Evenly spread points of some faces, face by face.

    Attributes:
        faces: (f,) numbers of the faces, row-major.
        vertices: (f, 4) vertices of each face, numbered within `chosen`.
        chosen: (n,) sorted surface vertices of these faces.
        weights: (p, 4) shape functions at the p points of every face.
    """

    faces: NDArray[np.int64]
    vertices: NDArray[np.int64]
    chosen: NDArray[np.int64]
    weights: NDArray[np.float64]

    @property
    def count(self) -> int:
        """Points in all, f p."""
        return len(self.faces) * len(self.weights)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(f p,) numbers of the points among those of all faces."""
        per_face = len(self.weights)
        return np.asarray(self.faces[:, None] * per_face + np.arange(per_face)).ravel()

    def places(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """(f p, 3) places of the points for vertices (n, 3)."""
        return np.asarray(
            np.einsum("pa,fai->fpi", self.weights, position[self.vertices], optimize=True)
        ).reshape(-1, 3)

    def sagitta(
        self, position: NDArray[np.float64], bend: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(f p,) mm, how deep points of a face lie in a convex body that its vertices lie on.

        A face is flat between its vertices, a smooth gel is not: to second order, an edge e at the
        share t is t (1 - t) e H e / 2 deep, with H the Hessian of the body's distance.

        Args:
            position: (n, 3) mm of the vertices.
            bend: (f p, 3, 3) per mm, H at the points.
        """
        corners = position[self.vertices]
        bend = bend.reshape(len(self.faces), -1, 3, 3)
        across = self.weights[:, 1] + self.weights[:, 3]
        down = self.weights[:, 2] + self.weights[:, 3]
        depth = np.zeros(bend.shape[:2])
        for edge, share in (
            (0.5 * (corners[:, 1] - corners[:, 0] + corners[:, 3] - corners[:, 2]), across),
            (0.5 * (corners[:, 2] - corners[:, 0] + corners[:, 3] - corners[:, 1]), down),
        ):
            bow = np.einsum("fi,fpij,fj->fp", edge, bend, edge, optimize=True)
            depth += 0.5 * share * (1.0 - share) * np.maximum(bow, 0.0)
        return np.asarray(depth.ravel())

    def gather(self, force: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) forces of the vertices for forces (f p, 3) at the points."""
        shares = np.einsum(
            "pa,fpi->fai", self.weights, force.reshape(len(self.faces), -1, 3), optimize=True
        )
        total = np.zeros((len(self.chosen), 3))
        for corner in range(4):
            np.add.at(total, self.vertices[:, corner], shares[:, corner])
        return total

    def gather_slopes(
        self, slope: NDArray[np.float64], faces: NDArray[np.integer]
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Vertices (m,) and dense matrix (3 m, 3 m) for slopes (f p, 3, 3) of some faces."""
        blocks = np.einsum(
            "pab,fpij->faibj",
            self.weights[:, :, None] * self.weights[:, None, :],
            slope.reshape(len(self.faces), -1, 3, 3)[faces],
            optimize=True,
        ).reshape(len(faces), 12, 12)
        used, local = np.unique(self.vertices[faces], return_inverse=True)
        index = (3 * local.reshape(-1, 4, 1) + np.arange(3)).reshape(-1, 12)
        size = 3 * len(used)
        flat = (index[:, :, None] * size + index[:, None, :]).ravel()
        total = np.bincount(flat, blocks.ravel(), size * size)
        return used, np.asarray(total, np.float64).reshape(size, size)


class SurfaceFaces:
    """All faces of the pad's surface and the points on them."""

    def __init__(self, mesh: PadMesh) -> None:
        """Number faces and vertices."""
        number = np.arange(mesh.rows * mesh.columns).reshape(mesh.rows, mesh.columns)
        corners = [number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]]
        self.vertices = np.stack([corner.ravel() for corner in corners], axis=1)
        per_side = max(2, math.ceil(max(mesh.spacing_mm) / SPACING_MM))
        along = (np.arange(per_side) + 0.5) / per_side
        y, x = (axis.ravel() for axis in np.meshgrid(along, along, indexing="ij"))
        self.weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)

    def some(self, faces: NDArray[np.integer]) -> ContactPoints:
        """The points of chosen faces."""
        chosen, local = np.unique(self.vertices[faces], return_inverse=True)
        return ContactPoints(
            np.asarray(faces, np.int64), local.reshape(-1, 4), chosen, self.weights
        )

    def half_diagonals(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """(faces,) mm, half of the longer diagonal of all faces for all surface vertices (n, 3)."""
        corners = position[self.vertices]
        lengths = [np.linalg.norm(corners[:, 3 - i] - corners[:, i], axis=1) for i in (0, 1)]
        return np.asarray(0.5 * np.maximum(*lengths))

    def centres(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """(faces, 3) middles of all faces for all surface vertices (n, 3)."""
        return np.asarray(position[self.vertices].mean(axis=1))
