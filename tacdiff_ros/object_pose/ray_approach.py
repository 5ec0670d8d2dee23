"""Nearest approach of rays to an object, by sphere tracing in its distance field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.objects.distance_field import DistanceField

Floats = NDArray[np.float64]
STEP_FRACTION = 0.4  # step along a ray as a fraction of the distance to the object
MIN_STEP = 0.0005  # m
MAX_STEPS = 400


def nearest_approach(field: DistanceField, origin: Floats, ray: Floats, end: Floats) -> Floats:
    """Return where along rays the signed distance to the object is least.

    Args:
        field: distance field of the object.
        origin: (3,) common origin in the object's frame, m.
        ray: (N, 3) directions, of any length, in the object's frame.
        end: (N,) largest parameter of each ray.

    Returns:
        (N,) parameters: the points are `origin + parameter * ray`.
    """
    parameter = np.empty(len(ray))
    _trace(
        np.ascontiguousarray(origin),
        np.ascontiguousarray(ray),
        np.ascontiguousarray(end),
        field.values,
        field.origin,
        field.spacing,
        parameter,
    )
    return parameter


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _trace(
    origin: Any, ray: Any, end: Any, values: Any, corner: Any, spacing: float, parameter: Any
) -> None:
    """Trace all rays through the grid's box; a ray that misses it ends at the box's nearest side.

    Args:
        origin: (3,) origin of the rays.
        ray: (N, 3) directions.
        end: (N,) largest parameters.
        values: (X, Y, Z) distances at the nodes.
        corner: (3,) position of the first node.
        spacing: distance between nodes.
        parameter: (N,) output.
    """
    point = np.empty(3)
    centre = np.empty(3)
    radius = 0.0
    for a in range(3):
        half = 0.5 * spacing * (values.shape[a] - 1)
        centre[a] = corner[a] + half
        radius += half * half
    for n in range(ray.shape[0]):
        length2, along, apart2 = 0.0, 0.0, 0.0
        for a in range(3):
            length2 += ray[n, a] * ray[n, a]
            along += ray[n, a] * (centre[a] - origin[a])
        along /= length2
        for a in range(3):
            gap = origin[a] + along * ray[n, a] - centre[a]
            apart2 += gap * gap
        parameter[n] = min(max(along, 0.0), end[n])
        if apart2 > radius:
            continue
        half_chord = math.sqrt((radius - apart2) / length2)
        length = math.sqrt(length2)
        at, last = max(along - half_chord, 0.0), min(along + half_chord, end[n])
        best = np.inf
        for _ in range(MAX_STEPS):
            if at > last:
                break
            for a in range(3):
                point[a] = origin[a] + at * ray[n, a]
            distance = _distance(point, values, corner, spacing)
            if distance < best:
                best = distance
                parameter[n] = at
            at += max(STEP_FRACTION * abs(distance), MIN_STEP) / length


@cached_njit(nogil=True, error_model="numpy", fastmath=True, inline="always")
def _distance(point: Any, values: Any, corner: Any, spacing: float) -> float:
    """Return the trilinear distance at a point; outside of the box a bound of it."""
    outside = 0.0
    x = (point[0] - corner[0]) / spacing
    y = (point[1] - corner[1]) / spacing
    z = (point[2] - corner[2]) / spacing
    u = min(max(x, 0.0), values.shape[0] - 1.0)
    v = min(max(y, 0.0), values.shape[1] - 1.0)
    w = min(max(z, 0.0), values.shape[2] - 1.0)
    outside = math.sqrt((x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2) * spacing
    i = min(int(u), values.shape[0] - 2)
    j = min(int(v), values.shape[1] - 2)
    k = min(int(w), values.shape[2] - 2)
    u -= i
    v -= j
    w -= k
    near = (1.0 - v) * ((1.0 - w) * values[i, j, k] + w * values[i, j, k + 1]) + v * (
        (1.0 - w) * values[i, j + 1, k] + w * values[i, j + 1, k + 1]
    )
    far = (1.0 - v) * ((1.0 - w) * values[i + 1, j, k] + w * values[i + 1, j, k + 1]) + v * (
        (1.0 - w) * values[i + 1, j + 1, k] + w * values[i + 1, j + 1, k + 1]
    )
    return outside + (1.0 - u) * near + u * far
