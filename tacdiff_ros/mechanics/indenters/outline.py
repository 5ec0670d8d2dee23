"""Closed polygonal outlines with optional arcs in their concave corners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from tacdiff_ros.mechanics.indenters.outline_kernel import evaluate_outline
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
        """Returns the signed distance of points (N, 2), mm, with normal and curvature.

        Points beyond the ends of their nearest side are measured from its corner, and get their
        sign from the corner's normal.
        """
        count = len(points)
        result = PlaneDerivatives(np.empty(count), np.empty((count, 2)), np.empty(count))
        evaluate_outline(
            np.asarray(points, np.float64),
            self._side_table,
            self.corner_normals,
            self._arc_table,
            *result,
        )
        return result

    @cached_property
    def _side_table(self) -> Floats:
        """(S, 7) start, direction, length and normal of the sides."""
        sides = self.sides
        return np.column_stack([sides.start, sides.direction, sides.length, self.normals])

    @cached_property
    def _arc_table(self) -> Floats:
        """(A, 6) centre, radius, middle and cosine of half of the angle of the arcs."""
        arcs = self.arcs
        return np.column_stack([arcs.centre, arcs.radius, arcs.middle, arcs.cos_half_angle])


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
