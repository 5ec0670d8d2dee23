"""Solids that revolve a plane shape about the z axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.plane_field import PlaneField

ON_AXIS_MM = 1e-7  # points nearer to the axis get the curvatures at this radius


@dataclass(frozen=True)
class Revolution:
    """A shape in the half plane (radius, z), revolved about the z axis.

    The distance equals that of the plane shape, which must be symmetric about radius 0 if it
    reaches radius 0. On the axis of a ring the field has a kink: the gradient there is that of one
    of the adjacent points.

    Attributes:
        shape: plane shape with coordinates (radius, z), mm.
    """

    shape: PlaneField

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the signed distance (N,) of points (N, 3), both in mm."""
        radius = np.hypot(points[:, 0], points[:, 1])
        return self.shape.evaluate(np.stack([radius, points[:, 2]], axis=1)).distance

    def derivatives(self, points: NDArray[np.float64]) -> Derivatives:
        """Returns the signed distance of points (N, 3), mm, with its gradient and Hessian."""
        radius = np.hypot(points[:, 0], points[:, 1])
        on_axis = radius < ON_AXIS_MM
        radius = np.where(on_axis, ON_AXIS_MM, radius)
        zero = np.zeros(len(points))
        cos = np.where(on_axis, 1.0, points[:, 0] / radius)
        sin = np.where(on_axis, 0.0, points[:, 1] / radius)
        distance, normal, curvature = self.shape.evaluate(np.stack([radius, points[:, 2]], axis=1))
        radial, axial = normal[:, 0], normal[:, 1]
        tangents = (
            np.stack([-axial * cos, -axial * sin, radial], axis=1),
            np.stack([-sin, cos, zero], axis=1),
        )
        normal_in_space = np.stack([radial * cos, radial * sin, axial], axis=1)
        return Derivatives.from_curvatures(
            distance, normal_in_space, tangents, (curvature, radial / radius)
        )
