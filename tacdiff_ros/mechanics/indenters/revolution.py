"""Plane shapes turned about the z axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.plane_field import PlaneField

ON_AXIS_MM = 1e-7  # where curvatures about the axis are taken for points on it


@dataclass(frozen=True)
class Revolution:
    """A shape in the half plane (radius, z), turned about z.

    Its distance is that of the plane shape, which must be symmetric about radius 0 if it reaches
    there. On the axis of a ring the field has a kink; the gradient there is one of those beside.

    Attributes:
        shape: in the plane of radius and z, mm.
    """

    shape: PlaneField

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) mm for points (N, 3) mm."""
        radius = np.hypot(points[:, 0], points[:, 1])
        return self.shape.measure(np.stack([radius, points[:, 2]], axis=1)).distance

    def derivatives(self, points: NDArray[np.float64]) -> Derivatives:
        """Distance of points (N, 3) mm with gradient and Hessian."""
        radius = np.hypot(points[:, 0], points[:, 1])
        on_axis = radius < ON_AXIS_MM
        radius = np.where(on_axis, ON_AXIS_MM, radius)
        zero = np.zeros(len(points))
        x = np.where(on_axis, 1.0, points[:, 0] / radius)
        y = np.where(on_axis, 0.0, points[:, 1] / radius)
        distance, normal, bend = self.shape.measure(np.stack([radius, points[:, 2]], axis=1))
        out, up = normal[:, 0], normal[:, 1]
        tangents = (
            np.stack([-up * x, -up * y, out], axis=1),
            np.stack([-y, x, zero], axis=1),
        )
        return Derivatives.from_curvatures(
            distance, np.stack([out * x, out * y, up], axis=1), tangents, (bend, out / radius)
        )
