"""Solids that extrude a plane shape along a coordinate axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.plane_field import TINY_MM, PlaneField


@dataclass(frozen=True)
class Extrusion:
    """A plane shape extruded between two planes perpendicular to an axis, with sharp edges.

    The distance is exact outside and inside; inside it is the distance to the nearest wall or end.

    Attributes:
        shape: plane shape in the coordinates of the two other axes, in their order.
        low: coordinate of the lower end along the axis, mm.
        high: coordinate of the upper end along the axis, mm.
        axis: index of the extrusion axis; 0, 1 or 2 for x, y or z.
    """

    shape: PlaneField
    low: float
    high: float
    axis: int = 2

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the signed distance (N,) of points (N, 3), both in mm."""
        walls = self.shape.evaluate(points[:, self._plane]).distance
        along = points[:, self.axis]
        ends = np.maximum(self.low - along, along - self.high)
        outside = np.hypot(np.maximum(walls, 0.0), np.maximum(ends, 0.0))
        return outside + np.minimum(np.maximum(walls, ends), 0.0)

    def derivatives(self, points: NDArray[np.float64]) -> Derivatives:
        """Returns the signed distance of points (N, 3), mm, with its gradient and Hessian.

        The gradient is cos * (normal of the walls) + sin * (normal of the nearer end): one of the
        two next to a wall or an end, a blend of both around an edge.
        """
        walls, wall_normal, wall_curvature = self.shape.evaluate(points[:, self._plane])
        along = points[:, self.axis]
        below, above = self.low - along, along - self.high
        end_sign = np.where(below > above, -1.0, 1.0)
        ends = np.maximum(below, above)
        wall_gap, end_gap = np.maximum(walls, 0.0), np.maximum(ends, 0.0)
        gap = np.hypot(wall_gap, end_gap)
        outside = gap > TINY_MM
        safe_gap = np.where(outside, gap, 1.0)
        cos = np.where(outside, wall_gap / safe_gap, walls >= ends)
        sin = np.where(outside, end_gap / safe_gap, walls < ends)
        edge_curvature = np.where((cos > 0) & (sin > 0), 1.0 / safe_gap, 0.0)
        normal = self._in_space(wall_normal, cos, end_sign * sin)
        wall_tangent = np.stack([-wall_normal[:, 1], wall_normal[:, 0]], axis=1)
        tangents = (
            self._in_space(wall_tangent, np.ones(len(points)), np.zeros(len(points))),
            self._in_space(wall_normal, -sin, end_sign * cos),
        )
        distance = gap + np.minimum(np.maximum(walls, ends), 0.0)
        return Derivatives.from_curvatures(
            distance, normal, tangents, (cos * wall_curvature, edge_curvature)
        )

    @property
    def _plane(self) -> list[int]:
        """Indices of the two axes of the plane shape."""
        return [axis for axis in range(3) if axis != self.axis]

    def _in_space(
        self,
        direction: NDArray[np.float64],
        weight: NDArray[np.float64],
        along: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Returns vectors (N, 3) from a weighted plane direction and a component along the axis."""
        space = np.empty((len(direction), 3))
        space[:, self._plane] = weight[:, None] * direction
        space[:, self.axis] = along
        return space
