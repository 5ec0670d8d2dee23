"""Compiled distance field of closed outlines, see `outline.py`."""

from __future__ import annotations

import math

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.mechanics.indenters.plane_field import TINY_MM


@cached_njit(nogil=True, error_model="numpy")
def evaluate_outline(points, sides, corner_normals, arcs, distance, normal, curvature):  # type: ignore[no-untyped-def]
    """Write the signed distance, the normal and the curvature at each point.

    Args:
        points: (N, 2) points, mm.
        sides: (S, 7) start, direction, length and outward normal of each side.
        corner_normals: (2, S, 2) sums of the normals that meet at the starts and at the ends.
        arcs: (A, 6) centre, radius, direction to the middle and cosine of half of the angle.
        distance: (N,) signed distance, mm; changed.
        normal: (N, 2) unit gradient; changed.
        curvature: (N,) curvature of the level set, 1/mm; changed.
    """
    for i in range(len(points)):
        x, y = points[i, 0], points[i, 1]
        side, nearest = _nearest_side(x, y, sides)
        arc = _nearer_arc(x, y, arcs, nearest)
        if arc >= 0:
            dx, dy = x - arcs[arc, 0], y - arcs[arc, 1]
            radius = max(math.sqrt(dx * dx + dy * dy), TINY_MM)
            distance[i] = arcs[arc, 2] - radius
            normal[i, 0], normal[i, 1] = -dx / radius, -dy / radius
            curvature[i] = -1.0 / radius
            continue
        dx, dy = x - sides[side, 0], y - sides[side, 1]
        ux, uy, length = sides[side, 2], sides[side, 3], sides[side, 4]
        along = dx * ux + dy * uy
        if 0.0 <= along <= length:
            normal[i, 0], normal[i, 1] = sides[side, 5], sides[side, 6]
            distance[i] = dx * sides[side, 5] + dy * sides[side, 6]
            curvature[i] = 0.0
            continue
        end = 1 if along > 0.0 else 0
        cx, cy = corner_normals[end, side, 0], corner_normals[end, side, 1]
        dx, dy = dx - end * length * ux, dy - end * length * uy
        sign = -1.0 if dx * cx + dy * cy < 0.0 else 1.0
        radius = math.sqrt(dx * dx + dy * dy)
        distance[i] = sign * radius
        curvature[i] = sign / max(radius, TINY_MM)
        if radius < TINY_MM:
            size = math.sqrt(cx * cx + cy * cy)
            normal[i, 0], normal[i, 1] = cx / size, cy / size
        else:
            normal[i, 0], normal[i, 1] = sign * dx / radius, sign * dy / radius


@cached_njit(nogil=True, error_model="numpy")
def _nearest_side(x, y, sides):  # type: ignore[no-untyped-def]
    """Return the index of the side nearest to a point, and its squared distance."""
    best, lowest = 0, math.inf
    for k in range(len(sides)):
        dx, dy = x - sides[k, 0], y - sides[k, 1]
        ux, uy = sides[k, 2], sides[k, 3]
        along = dx * ux + dy * uy
        excess = along - min(max(along, 0.0), sides[k, 4])
        across = dy * ux - dx * uy
        squared = excess * excess + across * across
        if squared < lowest:
            best, lowest = k, squared
    return best, lowest


@cached_njit(nogil=True, error_model="numpy")
def _nearer_arc(x, y, arcs, limit):  # type: ignore[no-untyped-def]
    """Return the index of the arc that is nearest to a point within a squared distance, or -1."""
    best, lowest = -1, limit
    for k in range(len(arcs)):
        dx, dy = x - arcs[k, 0], y - arcs[k, 1]
        radius = math.sqrt(dx * dx + dy * dy)
        if dx * arcs[k, 3] + dy * arcs[k, 4] < radius * arcs[k, 5]:
            continue  # an end of the arc is nearest, and so a side
        squared = (radius - arcs[k, 2]) ** 2
        if squared < lowest:
            best, lowest = k, squared
    return best
