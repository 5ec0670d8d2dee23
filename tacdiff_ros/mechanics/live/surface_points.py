"""Faces of the surface and the contact points on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.live.pad_grid import PadGrid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class SurfacePoints:
    """Faces of the grid, numbered row by row, with p contact points on each.

    Attributes:
        rest: (N, 3) rest positions of the vertices, mm.
        cells: (faces, 2) row and column of each face's first corner.
        vertices: (faces, 4) vertex numbers of the (row, column) corners (0, 0), (0, 1), (1, 0),
            (1, 1).
        weights: (p, 4) bilinear weights of the corners at the points.
    """

    def __init__(self, pad: PadGrid, weights: Floats) -> None:
        """Number the faces of a pad.

        Args:
            pad: dimensions and grid of the pad.
            weights: (p, 4) bilinear weights of the corners at the points.
        """
        self.rest = pad.rest_mm
        row, column = np.divmod(np.arange((pad.rows - 1) * (pad.columns - 1)), pad.columns - 1)
        self.cells = np.stack([row, column], axis=1)
        corner = np.array([0, 1, pad.columns, pad.columns + 1])
        self.vertices = (row * pad.columns + column)[:, None] + corner
        self.weights = weights

    @property
    def shape(self) -> tuple[int, int]:
        """Number of faces, and number of points on each."""
        return len(self.cells), len(self.weights)

    def positions(self, displacement: Floats, faces: Ints) -> Floats:
        """Return the positions of the points on some faces.

        Args:
            displacement: (N, 3) displacement of the vertices, mm.
            faces: (F,) face numbers.

        Returns:
            (F, p, 3) positions, mm.
        """
        vertices = self.vertices[faces]
        return np.asarray(self.weights @ (self.rest[vertices] + displacement[vertices]))

    def gather(self, force: Floats, faces: Ints) -> Floats:
        """Distribute point forces to the vertices.

        Args:
            force: (F, p, 3) forces at the points, N.
            faces: (F,) face numbers.

        Returns:
            (N, 3) vertex forces, N.
        """
        corner_values = self.weights.T @ force
        vertices = self.vertices[faces].ravel()
        parts = [
            np.bincount(vertices, corner_values[:, :, i].ravel(), len(self.rest)) for i in range(3)
        ]
        return np.stack(parts, axis=1).astype(np.float64)  # bincount of no faces gives integers

    def gather_scalar(self, values: Floats, faces: Ints) -> Floats:
        """Distribute scalar values at the points to the vertices.

        Args:
            values: (F, p) values at the points.
            faces: (F,) face numbers.

        Returns:
            (N,) sums at the vertices.
        """
        corner_values = values @ self.weights
        total = np.bincount(self.vertices[faces].ravel(), corner_values.ravel(), len(self.rest))
        return np.asarray(total, np.float64)
