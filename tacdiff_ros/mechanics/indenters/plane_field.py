"""Distance fields in the plane, from which solids are extruded and revolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TINY_MM = 1e-9


class PlaneDerivatives(NamedTuple):
    """Signed distance, normal and curvature of a plane distance field at N points.

    The Hessian of the distance is `curvature` times the outer product of the tangent with itself.

    Attributes:
        distance: (N,) signed distance, mm, positive outside the shape.
        normal: (N, 2) unit gradient.
        curvature: (N,) curvature of the level set, 1/mm, positive for convex level sets.
    """

    distance: Floats
    normal: Floats
    curvature: Floats


class PlaneField(Protocol):
    """A plane shape with a signed distance field."""

    def evaluate(self, points: Floats) -> PlaneDerivatives:
        """Returns the signed distance of points (N, 2), mm, with normal and curvature."""
        ...


@dataclass(frozen=True)
class PlanePoint:
    """A single point, which becomes a disc when it is rounded.

    Attributes:
        at: position (x, y), mm.
    """

    at: tuple[float, float]

    def evaluate(self, points: Floats) -> PlaneDerivatives:
        """Returns the distance of points (N, 2) to the point, mm; its normal at itself is -y."""
        return distance_to_point(points - np.array(self.at), np.array([0.0, -1.0]))


def distance_to_point(offset: Floats, fallback: Floats) -> PlaneDerivatives:
    """Returns the distance to a point with normal and curvature.

    Args:
        offset: (N, 2) vectors from the point, mm.
        fallback: (2,) unit normal for zero offsets, where the gradient is undefined.

    Returns:
        Derivatives at the N offsets.
    """
    distance = np.hypot(offset[:, 0], offset[:, 1])
    safe_distance = np.maximum(distance, TINY_MM)
    normal = np.where((distance > TINY_MM)[:, None], offset / safe_distance[:, None], fallback)
    return PlaneDerivatives(distance, normal, 1.0 / safe_distance)


@dataclass(frozen=True)
class Segments:
    """S straight line segments in the plane.

    Attributes:
        start: (S, 2) start points, mm.
        direction: (S, 2) unit vectors from start to end.
        length: (S,) lengths, mm.
    """

    start: Floats
    direction: Floats
    length: Floats

    @classmethod
    def between(cls, start: Floats, end: Floats) -> Segments:
        """Builds segments from their end points; equal end points make a segment of length 0.

        Args:
            start: (S, 2) start points, mm.
            end: (S, 2) end points, mm.

        Returns:
            The S segments.
        """
        span = end - start
        length = np.hypot(span[:, 0], span[:, 1])
        direction = span / np.maximum(length, TINY_MM)[:, None]
        direction[length < TINY_MM] = (1.0, 0.0)
        return cls(start, direction, length)

    @property
    def end(self) -> Floats:
        """(S, 2) end points, mm."""
        return self.start + self.length[:, None] * self.direction

    def squared_distances(self, points: Floats) -> Floats:
        """Returns the squared distances (N, S), mm^2, of points (N, 2), mm, to the segments."""
        x = points[:, 0, None] - self.start[:, 0]
        y = points[:, 1, None] - self.start[:, 1]
        ux, uy = self.direction[:, 0], self.direction[:, 1]
        along = x * ux + y * uy
        overshoot = along - np.clip(along, 0.0, self.length)
        across = y * ux - x * uy
        squared: Floats = overshoot * overshoot + across * across
        return squared


@dataclass(frozen=True)
class Arcs:
    """A circular arcs in the plane, each up to a full circle.

    Attributes:
        centre: (A, 2) centres of the circles, mm.
        radius: (A,) radii, mm.
        middle: (A, 2) unit vectors from the centre to the middle of the arc.
        cos_half_angle: (A,) cosine of half of the arc's angle.
    """

    centre: Floats
    radius: Floats
    middle: Floats
    cos_half_angle: Floats

    @classmethod
    def from_degrees(cls, table: Floats) -> Arcs:
        """Builds arcs from a table of centres, radii and angles.

        Args:
            table: (A, 5) rows of centre x and y and radius, mm, and first and last angle, degrees,
                counter-clockwise.

        Returns:
            The A arcs.
        """
        first, last = np.radians(table[:, 3]), np.radians(table[:, 4])
        middle = (first + last) / 2
        direction = np.stack([np.cos(middle), np.sin(middle)], axis=1)
        return cls(table[:, :2], table[:, 2], direction, np.cos((last - first) / 2))

    def squared_distances(self, points: Floats) -> Floats:
        """Returns the squared distances of points to the interiors of the arcs.

        Args:
            points: (N, 2) points, mm.

        Returns:
            (N, A) squared distances, mm^2; inf where an end of the arc is nearest.
        """
        x = points[:, 0, None] - self.centre[:, 0]
        y = points[:, 1, None] - self.centre[:, 1]
        radius = np.sqrt(x * x + y * y)
        in_sector = x * self.middle[:, 0] + y * self.middle[:, 1] >= radius * self.cos_half_angle
        return np.where(in_sector, (radius - self.radius) ** 2, np.inf)
