"""What the mechanics asks of a rigid indenter: how far it is, and how that changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters.derivatives import Derivatives

if TYPE_CHECKING:
    from trimesh import Trimesh


class Indenter(ABC):
    """A rigid body in its own frame, mm: lowest point at z = 0, +z away from the gel."""

    @property
    @abstractmethod
    def spec(self) -> str:
        """The text that builds it again, with every size in it: `sphere:diameter=5`."""

    @property
    @abstractmethod
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3) mm, lowest and highest corner of the axis-aligned box around the body."""

    @abstractmethod
    def distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N,) mm, signed distance of points (N, 3) mm, above 0 outside.

        Raises:
            InputError: the points are not (N, 3).
        """

    @abstractmethod
    def derivatives(self, points: ArrayLike) -> Derivatives:
        """Signed distance of points (N, 3) mm with gradient and Hessian.

        Raises:
            InputError: the points are not (N, 3).
        """

    def mesh(self, spacing_mm: float = 0.1) -> Trimesh:
        """The surface as a watertight triangle mesh with outward normals, mm.

        Vertices lie on the surface; triangles are chords of it, with edges of up to about
        twice the spacing.

        Args:
            spacing_mm: of the grid that the surface is cut with.

        Raises:
            InputError: a spacing that is not a number above 0, coarser than a quarter of the
                body's least extent, or so fine that the mesh would not fit into memory.
        """
        from tacdiff_ros.mechanics.indenters.surface_mesh import surface_mesh

        return surface_mesh(self.distance, self.derivatives, self.bounds, spacing_mm)


def as_points(points: ArrayLike) -> NDArray[np.float64]:
    """Points as (N, 3) float64; InputError for another shape."""
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"points have shape {array.shape}, expected (N, 3) in mm")
    return array
