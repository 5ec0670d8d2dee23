"""Distances between a point cloud and a mesh, both ways (equation 2 of the baseline)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.object_pose.paper_motion import Loss, gather
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

MAX_POINTS = 1500
CANDIDATES = 3  # points near a triangle's centre, of which the nearest to the triangle counts


class MeshDistanceLoss:
    """Mean squared distance of points to the mesh, plus that of its triangles to the points."""

    def __init__(self, item: RigidObject, points: Array, seed: int = 0) -> None:
        """Store the points.

        Args:
            item: the object.
            points: (N, 3) points in the frame of the hand's root link, m; a random part of many.
            seed: seed of the choice.
        """
        if len(points) > MAX_POINTS:
            points = np.random.default_rng(seed).choice(points, MAX_POINTS, replace=False)
        self._item, self._points = item, points
        self._tree = cKDTree(points) if len(points) else None
        self._corners = item.vertices[item.faces]

    def __call__(self, pose: Array) -> Loss:
        """Return the loss at a pose (4, 4); 0 without points."""
        if self._tree is None:
            return Loss(0.0, np.zeros(6))
        rotation = pose[:3, :3]
        centre = rotation @ self._item.centre_of_mass + pose[:3, 3]
        distance, gradient = self._item.distance.distance_and_gradient(
            (self._points - pose[:3, 3]) @ rotation
        )
        pull = -2 * distance[:, None] * (gradient @ rotation.T) / len(distance)
        value = float((distance**2).mean())
        total = gather(pull, self._points - centre)
        corners = self._corners @ rotation.T + pose[:3, 3]
        closest, offset = self._triangle_offsets(corners)
        value += float((offset**2).sum(axis=1).mean())
        return Loss(value, total + gather(2 * offset / len(offset), closest - centre))

    def value(self, pose: Array) -> float:
        """Return the loss at a pose (4, 4) alone."""
        return self(pose).value

    def _triangle_offsets(self, corners: Array) -> tuple[Array, Array]:
        """Return the point (F, 3) of each triangle next to the cloud, and its offset from it."""
        assert self._tree is not None  # noqa: S101 (checked by the caller)
        count = min(CANDIDATES, len(self._points))
        index = self._tree.query(corners.mean(axis=1), k=count)[1].reshape(len(corners), count)
        closest, offset = np.empty((len(corners), 3)), np.empty((len(corners), 3))
        nearest_on_triangles(corners, self._points, index, closest, offset)
        return closest, offset


@cached_njit(nogil=True, error_model="numpy")
def nearest_on_triangles(corners: Any, points: Any, index: Any, closest: Any, offset: Any) -> None:
    """Find the point of each triangle that is nearest to one of its candidate points.

    Args:
        corners: (F, 3, 3) float64 corners, m.
        points: (N, 3) float64 points, m.
        index: (F, K) int64 candidates of each triangle.
        closest: (F, 3) float64 output, point on the triangle, m.
        offset: (F, 3) float64 output, from the candidate to that point, m.
    """
    for f in range(corners.shape[0]):
        best = np.inf
        for k in range(index.shape[1]):
            point = points[index[f, k]]
            near = closest_on_triangle(corners[f, 0], corners[f, 1], corners[f, 2], point)
            square = 0.0
            for a in range(3):
                square += (near[a] - point[a]) ** 2
            if square < best:
                best = square
                for a in range(3):
                    closest[f, a] = near[a]
                    offset[f, a] = near[a] - point[a]


@cached_njit(nogil=True, error_model="numpy")
def closest_on_triangle(a: Any, b: Any, c: Any, p: Any) -> Any:
    """Return the point (3,) of a triangle nearest to `p` (Ericson 2005, section 5.1.5)."""
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = (ab * ap).sum(), (ac * ap).sum()
    if d1 <= 0.0 and d2 <= 0.0:
        return a.copy()
    bp = p - b
    d3, d4 = (ab * bp).sum(), (ac * bp).sum()
    if d3 >= 0.0 and d4 <= d3:
        return b.copy()
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        return a + (d1 / (d1 - d3)) * ab
    cp = p - c
    d5, d6 = (ab * cp).sum(), (ac * cp).sum()
    if d6 >= 0.0 and d5 <= d6:
        return c.copy()
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        return a + (d2 / (d2 - d6)) * ac
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        return b + ((d4 - d3) / ((d4 - d3) + (d5 - d6))) * (c - b)
    total = va + vb + vc
    return a + ab * (vb / total) + ac * (vc / total)
