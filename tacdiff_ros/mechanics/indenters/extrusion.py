"""Plane shapes drawn out along an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.plane_field import TINY_MM, PlaneField


@dataclass(frozen=True)
class Extrusion:
    """A plane shape between two planes across an axis, with sharp edges.

    Its distance is exact outside; inside it is the nearest of walls and ends, exact as well.

    Attributes:
        shape: in the plane of the two other axes, in their order.
        low: mm, where it begins along the axis.
        high: mm, where it ends.
        axis: 0, 1 or 2 for x, y or z.
    """

    shape: PlaneField
    low: float
    high: float
    axis: int = 2

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) mm for points (N, 3) mm."""
        walls = self.shape.measure(points[:, self._plane]).distance
        along = points[:, self.axis]
        ends = np.maximum(self.low - along, along - self.high)
        outside = np.hypot(np.maximum(walls, 0.0), np.maximum(ends, 0.0))
        return outside + np.minimum(np.maximum(walls, ends), 0.0)

    def derivatives(self, points: NDArray[np.float64]) -> Derivatives:
        """Distance of points (N, 3) mm with gradient and Hessian."""
        walls, across, bend = self.shape.measure(points[:, self._plane])
        along = points[:, self.axis]
        below, above = self.low - along, along - self.high
        facing = np.where(below > above, -1.0, 1.0)
        ends = np.maximum(below, above)
        out_walls, out_ends = np.maximum(walls, 0.0), np.maximum(ends, 0.0)
        away = np.hypot(out_walls, out_ends)
        outside = away > TINY_MM
        safe = np.where(outside, away, 1.0)
        cos = np.where(outside, out_walls / safe, walls >= ends)
        sin = np.where(outside, out_ends / safe, walls < ends)
        at_edge = np.where((cos > 0) & (sin > 0), 1.0 / safe, 0.0)
        normal = self._in_space(across, cos, facing * sin)
        turned = np.stack([-across[:, 1], across[:, 0]], axis=1)
        tangents = (
            self._in_space(turned, np.ones(len(points)), np.zeros(len(points))),
            self._in_space(across, -sin, facing * cos),
        )
        distance = away + np.minimum(np.maximum(walls, ends), 0.0)
        return Derivatives.from_curvatures(distance, normal, tangents, (cos * bend, at_edge))

    @property
    def _plane(self) -> list[int]:
        return [axis for axis in range(3) if axis != self.axis]

    def _in_space(
        self,
        direction: NDArray[np.float64],
        weight: NDArray[np.float64],
        along: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """(N, 3) from a weighted direction in the plane and a part along the axis."""
        space = np.empty((len(direction), 3))
        space[:, self._plane] = weight[:, None] * direction
        space[:, self.axis] = along
        return space
