"""Plane shapes written with a round pen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tacdiff_ros.mechanics.indenters.plane_field import (
    TINY_MM,
    Arcs,
    Floats,
    PlaneDerivatives,
    Segments,
)


@dataclass(frozen=True)
class Strokes:
    """The union of lines and arcs written with a round pen; the distance is exact outside.

    Outside, the field has a kink where two strokes are equally near, as in the inner corners of
    letters. Inside, the field is the distance to the nearest centre line minus half the width.

    Attributes:
        segments: straight centre lines, and the free ends of arcs as segments of length 0.
        arcs: curved centre lines, up to full circles.
        half_width: half of the pen's width, mm; 0 for the bare centre lines.
    """

    segments: Segments
    arcs: Arcs
    half_width: float

    @classmethod
    def from_tables(cls, lines: Floats, arcs: Floats, half_width: float) -> Strokes:
        """Builds strokes from tables of lines and arcs.

        Args:
            lines: (L, 4) rows of x0, y0, x1, y1, mm.
            arcs: (A, 5) rows as in `Arcs.from_degrees`.
            half_width: half of the pen's width, mm.

        Returns:
            The union of all strokes.
        """
        segments = Segments.between(lines[:, :2], lines[:, 2:])
        ends = [
            arcs[:, :2] + arcs[:, 2:3] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            for angle in np.radians(arcs[:, 3:5].T)
        ]
        segment_ends = np.concatenate([segments.start, segments.end])
        free: list[Floats] = []
        for end in np.concatenate(ends) if len(arcs) else []:
            others = np.concatenate([segment_ends, np.reshape(free, (-1, 2))])
            if not len(others) or np.hypot(*(others - end).T).min() > TINY_MM:
                free.append(end)
        points = np.reshape(free, (-1, 2))
        lines = np.concatenate([lines, np.concatenate([points, points], axis=1)])
        return cls(
            Segments.between(lines[:, :2], lines[:, 2:]), Arcs.from_degrees(arcs), half_width
        )

    def evaluate(self, points: Floats) -> PlaneDerivatives:
        """Returns the signed distance of points (N, 2), mm, with normal and curvature."""
        squared = np.concatenate(
            [self.segments.squared_distances(points), self.arcs.squared_distances(points)], axis=1
        )
        nearest = squared.argmin(axis=1)
        arc = nearest - len(self.segments.length)
        distance, normal, curvature = self._from_segments(
            points, np.minimum(nearest, len(self.segments.length) - 1)
        )
        rows = np.flatnonzero(arc >= 0)
        if len(rows):
            offset = points[rows] - self.arcs.centre[arc[rows]]
            radius = np.maximum(np.hypot(offset[:, 0], offset[:, 1]), TINY_MM)
            side = np.where(radius < self.arcs.radius[arc[rows]], -1.0, 1.0)
            distance[rows] = side * (radius - self.arcs.radius[arc[rows]])
            normal[rows] = (side / radius)[:, None] * offset
            curvature[rows] = side / radius
        return PlaneDerivatives(distance - self.half_width, normal, curvature)

    def _from_segments(self, points: Floats, nearest: np.ndarray) -> PlaneDerivatives:
        """Returns the unsigned distance of points (N, 2) to the segments with indices (N,)."""
        direction, length = self.segments.direction[nearest], self.segments.length[nearest]
        offset = points - self.segments.start[nearest]
        along = (offset * direction).sum(axis=1)
        clipped = np.clip(along, 0.0, length)
        offset = offset - clipped[:, None] * direction
        distance = np.hypot(offset[:, 0], offset[:, 1])
        safe_distance = np.maximum(distance, TINY_MM)
        across = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        normal = np.where((distance > TINY_MM)[:, None], offset / safe_distance[:, None], across)
        curvature = np.where((along > 0) & (along < length), 0.0, 1.0 / safe_distance)
        return PlaneDerivatives(distance, normal, curvature)
