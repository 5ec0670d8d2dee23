"""Distance fields in the plane, from which bodies are extruded and revolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TINY_MM = 1e-9


class PlaneMeasure(NamedTuple):
    """A signed distance field at N points of the plane, to second order.

    The Hessian is `curvature` times the outer product of the tangent with itself.

    Attributes:
        distance: (N,) mm, above 0 outside.
        normal: (N, 2) unit gradient.
        curvature: (N,) 1/mm of the level set, above 0 where it is convex.
    """

    distance: Floats
    normal: Floats
    curvature: Floats


class PlaneField(Protocol):
    """A shape in the plane."""

    def measure(self, points: Floats) -> PlaneMeasure:
        """Distance of points (N, 2) mm, with derivatives."""
        ...


@dataclass(frozen=True)
class PlanePoint:
    """A point, which with a rounding becomes a disc: `at` (x, y) in mm."""

    at: tuple[float, float]

    def measure(self, points: Floats) -> PlaneMeasure:
        """Distance of points (N, 2) mm to the point; at the point itself, the normal is -y."""
        return around(points - np.array(self.at), np.array([0.0, -1.0]))


def around(offset: Floats, fallback: Floats) -> PlaneMeasure:
    """Distance to a point from offsets (N, 2) mm; the normal at the point itself is `fallback`."""
    distance = np.hypot(offset[:, 0], offset[:, 1])
    safe = np.maximum(distance, TINY_MM)
    normal = np.where((distance > TINY_MM)[:, None], offset / safe[:, None], fallback)
    return PlaneMeasure(distance, normal, 1.0 / safe)


@dataclass(frozen=True)
class Segments:
    """S straight pieces in the plane: start (S, 2), unit direction (S, 2), length (S,), mm."""

    start: Floats
    direction: Floats
    length: Floats

    @classmethod
    def between(cls, start: Floats, end: Floats) -> Segments:
        """From start (S, 2) to end (S, 2); where both are the same, the piece is a point."""
        span = end - start
        length = np.hypot(span[:, 0], span[:, 1])
        unit = span / np.maximum(length, TINY_MM)[:, None]
        unit[length < TINY_MM] = (1.0, 0.0)
        return cls(start, unit, length)

    @property
    def end(self) -> Floats:
        """(S, 2) mm."""
        return self.start + self.length[:, None] * self.direction

    def squared_gaps(self, points: Floats) -> Floats:
        """(N, S) mm^2, squared distances of points (N, 2) to the pieces."""
        x = points[:, 0, None] - self.start[:, 0]
        y = points[:, 1, None] - self.start[:, 1]
        ux, uy = self.direction[:, 0], self.direction[:, 1]
        along = x * ux + y * uy
        beyond = along - np.clip(along, 0.0, self.length)
        across = y * ux - x * uy
        gaps: Floats = beyond * beyond + across * across
        return gaps


@dataclass(frozen=True)
class Arcs:
    """A arcs in the plane, each up to a full circle.

    Attributes:
        centre: (A, 2) mm.
        radius: (A,) mm.
        middle: (A, 2) unit vectors from the centre to the middle of the arc.
        reach: (A,) cosine of half of the arc's angle.
    """

    centre: Floats
    radius: Floats
    middle: Floats
    reach: Floats

    @classmethod
    def of_degrees(cls, table: Floats) -> Arcs:
        """From rows (A, 5) of centre x, y, radius, first and last angle, counter-clockwise."""
        first, last = np.radians(table[:, 3]), np.radians(table[:, 4])
        middle = (first + last) / 2
        direction = np.stack([np.cos(middle), np.sin(middle)], axis=1)
        return cls(table[:, :2], table[:, 2], direction, np.cos((last - first) / 2))

    def squared_gaps(self, points: Floats) -> Floats:
        """(N, A) mm^2, squared distances of points (N, 2); inf where an end is the nearest."""
        x = points[:, 0, None] - self.centre[:, 0]
        y = points[:, 1, None] - self.centre[:, 1]
        away = np.sqrt(x * x + y * y)
        facing = x * self.middle[:, 0] + y * self.middle[:, 1] >= away * self.reach
        return np.where(facing, (away - self.radius) ** 2, np.inf)
