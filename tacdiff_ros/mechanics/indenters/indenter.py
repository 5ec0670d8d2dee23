"""Interface of a rigid indenter: its signed distance field with derivatives."""

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
    """A rigid body in its own frame, in mm: lowest point at z = 0, +z away from the gel."""

    @property
    @abstractmethod
    def spec(self) -> str:
        """Canonical specification with every size, such as `sphere:diameter=5`."""

    @property
    @abstractmethod
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3) lowest and highest corner of the axis-aligned bounding box, mm."""

    @abstractmethod
    def distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """Returns the signed distance of points to the surface of the body.

        Args:
            points: (N, 3) points in the indenter's frame, mm.

        Returns:
            (N,) signed distance, mm, positive outside the body.

        Raises:
            InputError: the points do not have the shape (N, 3).
        """

    @abstractmethod
    def derivatives(self, points: ArrayLike) -> Derivatives:
        """Returns the signed distance of points with its gradient and Hessian.

        Args:
            points: (N, 3) points in the indenter's frame, mm.

        Returns:
            Derivatives at the N points.

        Raises:
            InputError: the points do not have the shape (N, 3).
        """

    def mesh(self, spacing_mm: float = 0.1) -> Trimesh:
        """Returns the surface as a watertight triangle mesh with outward normals, mm.

        Vertices lie on the surface, so that triangles are chords of it. Their edges are up to
        about twice as long as the spacing.

        Args:
            spacing_mm: cell size of the grid that the surface is sampled on, mm.

        Returns:
            Mesh in the indenter's frame, mm.

        Raises:
            InputError: the spacing is not above 0, exceeds a quarter of the body's smallest
                extent, or is so fine that the mesh would not fit into memory.
        """
        from tacdiff_ros.mechanics.indenters.surface_mesh import surface_mesh

        return surface_mesh(self.distance, self.derivatives, self.bounds, spacing_mm)


def as_points(points: ArrayLike) -> NDArray[np.float64]:
    """Returns points as a float64 array.

    Args:
        points: (N, 3) points, mm.

    Returns:
        (N, 3) float64 points, mm.

    Raises:
        InputError: the points do not have the shape (N, 3).
    """
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"points have shape {array.shape}, expected (N, 3) in mm")
    return array
