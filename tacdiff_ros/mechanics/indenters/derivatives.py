"""A signed distance with its first and second derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_CURVATURE_PER_MM = 1e3


@dataclass(frozen=True)
class Derivatives:
    """A signed distance field at N points, to second order.

    Attributes:
        distance: (N,) float64 mm, above 0 outside of the body.
        gradient: (N, 3) float64, of unit length for exact fields; outward.
        hessian: (N, 3, 3) float64 1/mm, symmetric.
    """

    distance: NDArray[np.float64]
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]

    @classmethod
    def from_curvatures(
        cls,
        distance: NDArray[np.float64],
        normal: NDArray[np.float64],
        tangents: tuple[NDArray[np.float64], NDArray[np.float64]],
        curvatures: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> Derivatives:
        """An exact distance field from the principal directions of its level sets.

        The Hessian of a distance is k1 t1 t1^T + k2 t2 t2^T: it knows no change along the normal.
        Curvatures are clipped to `MAX_CURVATURE_PER_MM` (edges of a core, inside of the body).

        Args:
            distance: (N,) mm.
            normal: (N, 3) unit vectors.
            tangents: t1 and t2, each (N, 3), unit vectors across the normal and each other.
            curvatures: k1 and k2, each (N,) 1/mm, above 0 where the level set is convex.
        """
        hessian = np.zeros((len(distance), 3, 3))
        for tangent, curvature in zip(tangents, curvatures, strict=True):
            held = np.clip(curvature, -MAX_CURVATURE_PER_MM, MAX_CURVATURE_PER_MM)
            hessian += (held[:, None] * tangent)[:, :, None] * tangent[:, None, :]
        return cls(distance, normal, hessian)
