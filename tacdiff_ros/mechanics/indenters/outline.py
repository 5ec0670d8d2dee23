"""Closed outlines of straight sides, with arcs in their inner corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tacdiff_ros.mechanics.indenters.plane_field import (
    TINY_MM,
    Arcs,
    Floats,
    PlaneMeasure,
    Segments,
)


@dataclass(frozen=True)
class Outline:
    """The region inside of a closed path; its distance is exact on both sides.

    Outer corners are sharp (a rounding comes with the body), inner corners may be arcs. The field
    is smooth outside but where two sides are equally near, beyond the centre of an inner arc.

    Attributes:
        sides: counter-clockwise.
        normals: (S, 2), of the sides.
        corner_normals: (2, S, 2), at starts and ends of the sides: the sum of the normals that
            meet there, whose side tells inside from outside (Baerentzen and Aanaes, 2005).
        arcs: in inner corners; the body is outside of their circles.
    """

    sides: Segments
    normals: Floats
    corner_normals: Floats
    arcs: Arcs

    @classmethod
    def polygon(cls, corners: ArrayLike, inner_radius: float = 0.0) -> Outline:
        """From corners (S, 2) mm, counter-clockwise; inner ones get arcs of a radius in mm."""
        at = np.asarray(corners, np.float64)
        into = Segments.between(np.roll(at, 1, axis=0), at).direction
        out = np.roll(into, -1, axis=0)
        turn = np.arctan2(_cross(into, out), (into * out).sum(axis=1))
        inner = (turn < -TINY_MM) & (inner_radius > 0)
        trim = np.where(inner, inner_radius * np.tan(np.abs(turn) / 2), 0.0)[:, None]
        first, last = at + trim * out, at - trim * into
        sides = Segments(first, out, np.hypot(*(np.roll(last, -1, axis=0) - first).T))
        normals = np.stack([out[:, 1], -out[:, 0]], axis=1)
        meeting = np.where(inner[:, None], normals, normals + np.roll(normals, 1, axis=0))
        ending = np.where(inner[:, None], np.roll(normals, 1, axis=0), meeting)
        arcs = _inner_arcs(last[inner], into[inner], turn[inner], inner_radius)
        return cls(sides, normals, np.stack([meeting, np.roll(ending, -1, axis=0)]), arcs)

    def measure(self, points: Floats) -> PlaneMeasure:
        """Signed distance of points (N, 2) mm, with derivatives."""
        gaps = self.sides.squared_gaps(points)
        if len(self.arcs.radius):
            gaps = np.concatenate([gaps, self.arcs.squared_gaps(points)], axis=1)
        nearest = gaps.argmin(axis=1)
        arc = nearest - len(self.sides.length)
        measure = self._from_sides(points, np.minimum(nearest, len(self.sides.length) - 1))
        rows = np.flatnonzero(arc >= 0)
        if len(rows):
            self._overwrite_from_arcs(measure, points, rows, arc[rows])
        return measure

    def _from_sides(self, points: Floats, side: np.ndarray) -> PlaneMeasure:
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
            away = np.hypot(offset[:, 0], offset[:, 1])
            safe = np.maximum(away, TINY_MM)
            distance[rows] = sign * away
            curvature[rows] = sign / safe
            on_corner = (away < TINY_MM)[:, None]
            normal[rows] = np.where(on_corner, corner, (sign / safe)[:, None] * offset)
        return PlaneMeasure(distance, normal, curvature)

    def _overwrite_from_arcs(
        self, measure: PlaneMeasure, points: Floats, rows: np.ndarray, arc: np.ndarray
    ) -> None:
        offset = points[rows] - self.arcs.centre[arc]
        away = np.maximum(np.hypot(offset[:, 0], offset[:, 1]), TINY_MM)
        measure.distance[rows] = self.arcs.radius[arc] - away
        measure.normal[rows] = -offset / away[:, None]
        measure.curvature[rows] = -1.0 / away


def wedge_outline(half_width: float, angle_deg: float, low: float, high: float) -> Outline:
    """A roof upside down: its ridge at (0, low), its flanks up to a half width, then walls to high.

    All in mm but the full angle at the ridge; the flanks must reach the half width below `high`.
    """
    rise = low + half_width / np.tan(np.radians(angle_deg) / 2)
    return Outline.polygon(
        [
            (0.0, low),
            (half_width, rise),
            (half_width, high),
            (-half_width, high),
            (-half_width, rise),
        ]
    )


def rectangle_outline(half_width: float, low: float, high: float) -> Outline:
    """A rectangle about x = 0, from y = low to y = high, mm."""
    return Outline.polygon(
        [(-half_width, low), (half_width, low), (half_width, high), (-half_width, high)]
    )


def _cross(a: Floats, b: Floats) -> Floats:
    product: Floats = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return product


def _inner_arcs(start: Floats, direction: Floats, turn: Floats, radius: float) -> Arcs:
    """Arcs that go on from the ends of sides and turn to the right, around centres on the right."""
    right = np.stack([direction[:, 1], -direction[:, 0]], axis=1)
    half = turn / 2
    cos, sin = np.cos(half), np.sin(half)
    back = -right
    middle = np.stack(
        [cos * back[:, 0] - sin * back[:, 1], sin * back[:, 0] + cos * back[:, 1]], axis=1
    )
    return Arcs(start + radius * right, np.full(len(turn), radius), middle, np.cos(half))
