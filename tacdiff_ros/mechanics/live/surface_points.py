"""Faces of the surface and the points on them where contact is held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class SurfacePoints:
    """The grid's faces, numbered row by row, with p points on each.

    Attributes:
        rest: (N, 3) mm, vertices.
        cells: (faces, 2) row and column of the first corner.
        vertices: (faces, 4) corners (row, column), (0, 0), (0, 1), (1, 0), (1, 1).
        weights: (p, 4) shares of the corners at the points.
    """

    def __init__(self, pad: PadGrid, weights: Floats) -> None:
        """Number the faces of a pad."""
        flat = GelSurface.flat(pad.width_mm, pad.height_mm, pad.rows, pad.columns)
        self.rest = flat.rest.astype(np.float64)
        row, column = np.divmod(np.arange((pad.rows - 1) * (pad.columns - 1)), pad.columns - 1)
        self.cells = np.stack([row, column], axis=1)
        corner = np.array([0, 1, pad.columns, pad.columns + 1])
        self.vertices = (row * pad.columns + column)[:, None] + corner
        self.weights = weights

    @property
    def shape(self) -> tuple[int, int]:
        """Faces, and points on each."""
        return len(self.cells), len(self.weights)

    def places(self, displacement: Floats, faces: Ints) -> Floats:
        """(F, p, 3) mm, of the points of some faces for displacements (N, 3) mm."""
        vertices = self.vertices[faces]
        return np.asarray(self.weights @ (self.rest[vertices] + displacement[vertices]))

    def gather(self, force: Floats, faces: Ints) -> Floats:
        """(N, 3) N, of the vertices for forces (F, p, 3) N at the points of some faces."""
        shares = self.weights.T @ force
        vertices = self.vertices[faces].ravel()
        parts = [np.bincount(vertices, shares[:, :, i].ravel(), len(self.rest)) for i in range(3)]
        return np.stack(parts, axis=1)

    def gather_scalar(self, values: Floats, faces: Ints) -> Floats:
        """(N,) sums at the vertices for values (F, p) at the points of some faces."""
        shares = values @ self.weights
        total = np.bincount(self.vertices[faces].ravel(), shares.ravel(), len(self.rest))
        return np.asarray(total, np.float64)
