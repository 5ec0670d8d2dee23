"""A signed distance with its first and second derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_CURVATURE_PER_MM = 1e3


@dataclass(frozen=True)
class Derivatives:
    """Signed distance, gradient and Hessian of a distance field at N points.

    Attributes:
        distance: (N,) float64 signed distance, mm, positive outside the body.
        gradient: (N, 3) float64 outward gradient, dimensionless; unit vectors for exact fields.
        hessian: (N, 3, 3) float64 symmetric second derivatives, 1/mm.
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
        """Builds the derivatives of an exact distance field from its principal curvatures.

        The Hessian of an exact distance is k1 t1 t1^T + k2 t2 t2^T: the gradient does not change
        along the normal. Curvatures are clipped to `MAX_CURVATURE_PER_MM`, because they are
        infinite at the edges of a core, which lie inside the body.

        Args:
            distance: (N,) signed distance, mm.
            normal: (N, 3) unit normals of the level sets.
            tangents: principal directions t1 and t2, each (N, 3) unit vectors, perpendicular to
                the normal and to each other.
            curvatures: principal curvatures k1 and k2, each (N,), 1/mm, positive where the level
                set is convex.

        Returns:
            Derivatives at the N points.
        """
        hessian = np.zeros((len(distance), 3, 3))
        for tangent, curvature in zip(tangents, curvatures, strict=True):
            clipped = np.clip(curvature, -MAX_CURVATURE_PER_MM, MAX_CURVATURE_PER_MM)
            hessian += (clipped[:, None] * tangent)[:, :, None] * tangent[:, None, :]
        return cls(distance, normal, hessian)
