"""Closed polygonal outlines with optional arcs in their concave corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tacdiff_ros.mechanics.indenters.plane_field import (
    TINY_MM,
    Arcs,
    Floats,
    PlaneDerivatives,
    Segments,
)


@dataclass(frozen=True)
class Outline:
    """The region inside a closed path; the distance is exact inside and outside.

    Convex corners are sharp, because the body adds its own rounding; concave corners may be arcs.
    Outside, the field is smooth except where two sides are equally near, which happens only on
    the far side of the centre of a concave arc.

    Attributes:
        sides: S sides in counter-clockwise order.
        normals: (S, 2) outward unit normals of the sides.
        corner_normals: (2, S, 2) sums of the two normals that meet at the starts (index 0) and at
            the ends (index 1) of the sides. Their signs tell inside from outside next to a corner
            (Baerentzen and Aanaes, 2005).
        arcs: arcs in concave corners; the body lies outside their circles.
    """

    sides: Segments
    normals: Floats
    corner_normals: Floats
    arcs: Arcs

    @classmethod
    def polygon(cls, corners: ArrayLike, inner_radius: float = 0.0) -> Outline:
        """Builds the outline of a polygon.

        Args:
            corners: (S, 2) corners in counter-clockwise order, mm.
            inner_radius: radius of the arcs in concave corners, mm; 0 for sharp corners.

        Returns:
            Outline of the polygon.
        """
        corner = np.asarray(corners, np.float64)
        incoming = Segments.between(np.roll(corner, 1, axis=0), corner).direction
        outgoing = np.roll(incoming, -1, axis=0)
        turn = np.arctan2(_cross(incoming, outgoing), (incoming * outgoing).sum(axis=1))
        concave = (turn < -TINY_MM) & (inner_radius > 0)
        trim = np.where(concave, inner_radius * np.tan(np.abs(turn) / 2), 0.0)[:, None]
        start, end = corner + trim * outgoing, corner - trim * incoming
        sides = Segments(start, outgoing, np.hypot(*(np.roll(end, -1, axis=0) - start).T))
        normals = np.stack([outgoing[:, 1], -outgoing[:, 0]], axis=1)
        previous = np.roll(normals, 1, axis=0)
        at_start = np.where(concave[:, None], normals, normals + previous)
        at_end = np.where(concave[:, None], previous, at_start)
        return cls(
            sides=sides,
            normals=normals,
            corner_normals=np.stack([at_start, np.roll(at_end, -1, axis=0)]),
            arcs=_concave_arcs(end[concave], incoming[concave], turn[concave], inner_radius),
        )

    def evaluate(self, points: Floats) -> PlaneDerivatives:
        """Returns the signed distance of points (N, 2), mm, with normal and curvature."""
        squared = self.sides.squared_distances(points)
        if len(self.arcs.radius):
            squared = np.concatenate([squared, self.arcs.squared_distances(points)], axis=1)
        nearest = squared.argmin(axis=1)
        arc = nearest - len(self.sides.length)
        result = self._from_sides(points, np.minimum(nearest, len(self.sides.length) - 1))
        rows = np.flatnonzero(arc >= 0)
        if len(rows):
            self._overwrite_from_arcs(result, points, rows, arc[rows])
        return result

    def _from_sides(self, points: Floats, side: np.ndarray) -> PlaneDerivatives:
        """Returns the signed distance of points (N, 2) to the sides with indices (N,).

        Points whose projection lies off their side are measured from the nearest corner, and get
        their sign from the corner's normal.
        """
        offset = points - self.sides.start[side]
        along = (offset * self.sides.direction[side]).sum(axis=1)
        normal = self.normals[side]
        distance = (offset * normal).sum(axis=1)
        curvature = np.zeros(len(points))
        length = self.sides.length[side]
        rows = np.flatnonzero((along < 0) | (along > length))
        if len(rows):
            at_end = (along[rows] > 0).astype(int)
            corner = self.corner_normals[at_end, side[rows]]
            corner = corner / np.hypot(corner[:, 0], corner[:, 1])[:, None]
            offset = (
                offset[rows] - (at_end * length[rows])[:, None] * self.sides.direction[side[rows]]
            )
            sign = np.where((offset * corner).sum(axis=1) < 0, -1.0, 1.0)
            radius = np.hypot(offset[:, 0], offset[:, 1])
            safe_radius = np.maximum(radius, TINY_MM)
            distance[rows] = sign * radius
            curvature[rows] = sign / safe_radius
            on_corner = (radius < TINY_MM)[:, None]
            normal[rows] = np.where(on_corner, corner, (sign / safe_radius)[:, None] * offset)
        return PlaneDerivatives(distance, normal, curvature)

    def _overwrite_from_arcs(
        self, result: PlaneDerivatives, points: Floats, rows: np.ndarray, arc: np.ndarray
    ) -> None:
        """Overwrites the rows of a result whose nearest feature is the arc with index `arc`."""
        offset = points[rows] - self.arcs.centre[arc]
        radius = np.maximum(np.hypot(offset[:, 0], offset[:, 1]), TINY_MM)
        result.distance[rows] = self.arcs.radius[arc] - radius
        result.normal[rows] = -offset / radius[:, None]
        result.curvature[rows] = -1.0 / radius


def wedge_outline(half_width: float, angle_deg: float, low: float, high: float) -> Outline:
    """Returns a wedge that points down, symmetric about x = 0, with vertical walls above it.

    The flanks must reach the half width below `high`.

    Args:
        half_width: half of the width between the walls, mm.
        angle_deg: full angle between the flanks, degrees.
        low: y of the tip, mm.
        high: y of the flat top, mm.

    Returns:
        Outline with five corners.
    """
    flank_top = low + half_width / np.tan(np.radians(angle_deg) / 2)
    return Outline.polygon(
        [
            (0.0, low),
            (half_width, flank_top),
            (half_width, high),
            (-half_width, high),
            (-half_width, flank_top),
        ]
    )


def rectangle_outline(half_width: float, low: float, high: float) -> Outline:
    """Returns a rectangle that is symmetric about x = 0.

    Args:
        half_width: half of the extent along x, mm.
        low: y of the lower side, mm.
        high: y of the upper side, mm.

    Returns:
        Outline with four corners.
    """
    return Outline.polygon(
        [(-half_width, low), (half_width, low), (half_width, high), (-half_width, high)]
    )


def _cross(a: Floats, b: Floats) -> Floats:
    product: Floats = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return product


def _concave_arcs(start: Floats, direction: Floats, turn: Floats, radius: float) -> Arcs:
    """Returns arcs that continue sides tangentially and turn right, with centres on the right."""
    right = np.stack([direction[:, 1], -direction[:, 0]], axis=1)
    half = turn / 2
    cos, sin = np.cos(half), np.sin(half)
    left = -right
    middle = np.stack(
        [cos * left[:, 0] - sin * left[:, 1], sin * left[:, 0] + cos * left[:, 1]], axis=1
    )
    return Arcs(start + radius * right, np.full(len(turn), radius), middle, np.cos(half))
