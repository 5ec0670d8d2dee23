"""Plane shapes drawn with a round pen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tacdiff_ros.mechanics.indenters.plane_field import (
    TINY_MM,
    Arcs,
    Floats,
    PlaneMeasure,
    Segments,
)


@dataclass(frozen=True)
class Strokes:
    """The union of lines and arcs drawn with a round pen; its distance is exact outside.

    Outside, the gradient turns where two strokes are equally near, as in the inner corners of
    letters: the field has a kink there. Inside it is the distance to the nearest line's middle.

    Attributes:
        segments: the straight lines, and the free ends of arcs as lines without a length.
        arcs: up to full circles.
        half_width: of the pen, mm; 0 leaves the lines themselves.
    """

    segments: Segments
    arcs: Arcs
    half_width: float

    @classmethod
    def of_tables(cls, lines: Floats, arcs: Floats, half_width: float) -> Strokes:
        """From lines (L, 4) of x0, y0, x1, y1 in mm and arcs (A, 5) as in `Arcs.of_degrees`."""
        segments = Segments.between(lines[:, :2], lines[:, 2:])
        ends = [
            arcs[:, :2] + arcs[:, 2:3] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            for angle in np.radians(arcs[:, 3:5].T)
        ]
        known = np.concatenate([segments.start, segments.end])
        free: list[Floats] = []
        for end in np.concatenate(ends) if len(arcs) else []:
            others = np.concatenate([known, np.reshape(free, (-1, 2))])
            if not len(others) or np.hypot(*(others - end).T).min() > TINY_MM:
                free.append(end)
        points = np.reshape(free, (-1, 2))
        lines = np.concatenate([lines, np.concatenate([points, points], axis=1)])
        return cls(Segments.between(lines[:, :2], lines[:, 2:]), Arcs.of_degrees(arcs), half_width)

    def measure(self, points: Floats) -> PlaneMeasure:
        """Signed distance of points (N, 2) mm, with derivatives."""
        gaps = np.concatenate(
            [self.segments.squared_gaps(points), self.arcs.squared_gaps(points)], axis=1
        )
        nearest = gaps.argmin(axis=1)
        arc = nearest - len(self.segments.length)
        distance, normal, curvature = self._from_segments(
            points, np.minimum(nearest, len(self.segments.length) - 1)
        )
        rows = np.flatnonzero(arc >= 0)
        if len(rows):
            offset = points[rows] - self.arcs.centre[arc[rows]]
            away = np.maximum(np.hypot(offset[:, 0], offset[:, 1]), TINY_MM)
            side = np.where(away < self.arcs.radius[arc[rows]], -1.0, 1.0)
            distance[rows] = side * (away - self.arcs.radius[arc[rows]])
            normal[rows] = (side / away)[:, None] * offset
            curvature[rows] = side / away
        return PlaneMeasure(distance - self.half_width, normal, curvature)

    def _from_segments(self, points: Floats, nearest: np.ndarray) -> PlaneMeasure:
        direction, length = self.segments.direction[nearest], self.segments.length[nearest]
        offset = points - self.segments.start[nearest]
        along = (offset * direction).sum(axis=1)
        held = np.clip(along, 0.0, length)
        offset = offset - held[:, None] * direction
        distance = np.hypot(offset[:, 0], offset[:, 1])
        safe = np.maximum(distance, TINY_MM)
        across = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        normal = np.where((distance > TINY_MM)[:, None], offset / safe[:, None], across)
        curvature = np.where((along > 0) & (along < length), 0.0, 1.0 / safe)
        return PlaneMeasure(distance, normal, curvature)
