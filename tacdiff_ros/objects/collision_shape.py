"""Collision shapes of a hand's links: primitives with analytic distances, or distance fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.objects.distance_field import DistanceField

Array = NDArray[np.float64]

BOX, SPHERE, CYLINDER, CAPSULE, MESH = range(5)
KINDS = ("box", "sphere", "cylinder", "capsule", "mesh")
CIRCLE_SECTIONS = 32


@dataclass(frozen=True)
class CollisionShape:
    """A solid shape that is fixed to a link.

    Attributes:
        link: name of the link.
        kind: box, sphere, cylinder, capsule or mesh; cylinders and capsules lie along z.
        size: (3,) half lengths of a box; (radius, 0, 0) of a sphere; (radius, half length, 0) of a
            cylinder, and of a capsule's cylinder; m.
        pose: (4, 4) transform from the shape's frame to the link's.
        max_indentation: depth to which an object may press into the shape's soft cover, m.
        vertices: (V, 3) vertices of a mesh in the shape's frame, m; None for primitives.
        faces: (F, 3) triangles of a mesh; None for primitives.
        distance: distance field of a mesh; None for primitives.
    """

    link: str
    kind: str
    size: tuple[float, float, float]
    pose: Array
    max_indentation: float = 0.0
    vertices: Array | None = None
    faces: NDArray[np.int32] | None = None
    distance: DistanceField | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"collision shape {self.kind!r}: expected {', '.join(KINDS)}")
        if self.kind == "mesh" and self.distance is None:
            raise InputError(f"collision mesh of link {self.link} has no distance field")

    def distance_and_gradient(self, points: Array) -> tuple[Array, Array]:
        """Return distances (N,) and gradients (N, 3) at points (N, 3) in the link's frame."""
        local = (points - self.pose[:3, 3]) @ self.pose[:3, :3]
        if self.distance is not None:
            distance, gradient = self.distance.distance_and_gradient(local)
        else:
            distance, gradient = np.empty(len(local)), np.empty((len(local), 3))
            primitive_distances(
                local, KINDS.index(self.kind), np.array(self.size), distance, gradient
            )
        return distance, gradient @ self.pose[:3, :3].T

    def mesh(self) -> tuple[Array, NDArray[np.int32]]:
        """Return a watertight triangle mesh in the link's frame.

        Returns:
            vertices: (V, 3) positions, m.
            faces: (F, 3) vertex indices, counter-clockwise as seen from outside.
        """
        vertices, faces = self._local_mesh()
        return vertices @ self.pose[:3, :3].T + self.pose[:3, 3], faces

    def _local_mesh(self) -> tuple[Array, NDArray[np.int32]]:
        import trimesh

        a, b, _ = self.size
        if self.vertices is not None and self.faces is not None:
            return self.vertices, self.faces
        if self.kind == "box":
            solid: Any = trimesh.creation.box(extents=2 * np.array(self.size))
        elif self.kind == "sphere":
            solid = trimesh.creation.icosphere(subdivisions=3, radius=a)
        elif self.kind == "cylinder":
            solid = trimesh.creation.cylinder(radius=a, height=2 * b, sections=CIRCLE_SECTIONS)
        else:
            solid = trimesh.creation.capsule(
                radius=a, height=2 * b, count=[CIRCLE_SECTIONS, CIRCLE_SECTIONS]
            )
            solid.apply_translation([0, 0, -solid.bounds.mean(axis=0)[2]])
        return np.asarray(solid.vertices, float), np.asarray(solid.faces, np.int32)

    def surface_points(self, spacing: float) -> tuple[Array, Array]:
        """Sample the surface evenly.

        Args:
            spacing: approximate distance between points, m.

        Returns:
            points: (N, 3) positions in the link's frame, m.
            normals: (N, 3) outward unit normals in the link's frame.
        """
        vertices, faces = self.mesh()
        a, b, c = (vertices[faces[:, i]] for i in range(3))
        cross = np.cross(b - a, c - a)
        area = 0.5 * np.linalg.norm(cross, axis=1)
        count = max(8, round(area.sum() / spacing**2))
        cumulative = np.cumsum(area)
        targets = (np.arange(count) + 0.5) / count * cumulative[-1]
        chosen = np.minimum(np.searchsorted(cumulative, targets), len(faces) - 1)
        # A low-discrepancy sequence (R2, Roberts 2018) inside the triangles.
        u, v = np.modf(np.arange(1, count + 1)[None] * np.array([[0.7548776662], [0.5698402910]]))[
            0
        ]
        u, v = np.where(u + v > 1, 1 - u, u)[:, None], np.where(u + v > 1, 1 - v, v)[:, None]
        points = a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]
        return points, (cross / (2 * area)[:, None])[chosen]


@cached_njit(nogil=True, error_model="numpy")
def box_distance(x: float, y: float, z: float, size: Any, gradient: Any) -> float:
    """Return the signed distance to a box of half lengths `size`, and write its gradient."""
    p = (x, y, z)
    inside = -1e30
    face = 0
    outside = 0.0
    for a in range(3):
        excess = abs(p[a]) - size[a]
        gradient[a] = max(excess, 0.0)
        outside += gradient[a] * gradient[a]
        if excess > inside:
            inside, face = excess, a
    if outside == 0.0:
        gradient[face] = 1.0 if p[face] >= 0 else -1.0
        return inside
    length = math.sqrt(outside)
    for a in range(3):
        gradient[a] = gradient[a] / length if p[a] >= 0 else -gradient[a] / length
    return length


@cached_njit(nogil=True, error_model="numpy")
def ball_distance(x: float, y: float, z: float, radius: float, gradient: Any) -> float:
    """Return the signed distance to a sphere about the origin, and write its gradient."""
    length = math.sqrt(x * x + y * y + z * z)
    if length < 1e-15:
        gradient[0], gradient[1], gradient[2] = 0.0, 0.0, 1.0
    else:
        gradient[0], gradient[1], gradient[2] = x / length, y / length, z / length
    return length - radius


@cached_njit(nogil=True, error_model="numpy")
def cylinder_distance(
    x: float, y: float, z: float, radius: float, half_length: float, gradient: Any
) -> float:
    """Return the signed distance to a cylinder along z, and write its gradient."""
    length = math.sqrt(x * x + y * y)
    ux, uy = (1.0, 0.0) if length < 1e-15 else (x / length, y / length)
    radial, axial = length - radius, abs(z) - half_length
    sign = 1.0 if z >= 0 else -1.0
    if radial > 0.0 and axial > 0.0:
        corner = math.sqrt(radial * radial + axial * axial)
        gradient[0], gradient[1] = ux * radial / corner, uy * radial / corner
        gradient[2] = sign * axial / corner
        return corner
    if radial > axial:
        gradient[0], gradient[1], gradient[2] = ux, uy, 0.0
        return radial
    gradient[0], gradient[1], gradient[2] = 0.0, 0.0, sign
    return axial


@cached_njit(nogil=True, error_model="numpy")
def primitive_distance(x: float, y: float, z: float, kind: int, size: Any, gradient: Any) -> float:
    """Return the signed distance to one primitive in its own frame, and write its gradient."""
    if kind == BOX:
        return box_distance(x, y, z, size, gradient)
    if kind == SPHERE:
        return ball_distance(x, y, z, size[0], gradient)
    if kind == CYLINDER:
        return cylinder_distance(x, y, z, size[0], size[1], gradient)
    return ball_distance(x, y, z - min(max(z, -size[1]), size[1]), size[0], gradient)


@cached_njit(nogil=True, error_model="numpy")
def primitive_distances(points: Any, kind: int, size: Any, distance: Any, gradient: Any) -> None:
    """Compute distances (N,) and gradients (N, 3) of one primitive at points (N, 3)."""
    for n in range(points.shape[0]):
        distance[n] = primitive_distance(
            points[n, 0], points[n, 1], points[n, 2], kind, size, gradient[n]
        )


@cached_njit(nogil=True, error_model="numpy")
def nearest_primitive(
    points: Any, kinds: Any, sizes: Any, poses: Any, distance: Any, gradient: Any, shape: Any
) -> None:
    """Compute the distances to the nearest of several primitives; meshes are left out.

    Args:
        points: (N, 3) float64 positions, m.
        kinds: (S,) int64 kinds of the shapes.
        sizes: (S, 3) float64 sizes of the shapes, m.
        poses: (S, 4, 4) float64 poses of the shapes in the frame of the points.
        distance: (N,) float64 output, m.
        gradient: (N, 3) float64 output in the frame of the points.
        shape: (N,) int64 output, index of the nearest shape; -1 if there is no primitive.
    """
    local = np.empty(3)
    for n in range(points.shape[0]):
        distance[n] = np.inf
        shape[n] = -1
        for s in range(kinds.shape[0]):
            if kinds[s] == MESH:
                continue
            pose = poses[s]
            x, y, z = (
                points[n, 0] - pose[0, 3],
                points[n, 1] - pose[1, 3],
                points[n, 2] - pose[2, 3],
            )
            value = primitive_distance(
                pose[0, 0] * x + pose[1, 0] * y + pose[2, 0] * z,
                pose[0, 1] * x + pose[1, 1] * y + pose[2, 1] * z,
                pose[0, 2] * x + pose[1, 2] * y + pose[2, 2] * z,
                kinds[s],
                sizes[s],
                local,
            )
            if value < distance[n]:
                distance[n] = value
                shape[n] = s
                for a in range(3):
                    gradient[n, a] = (
                        pose[a, 0] * local[0] + pose[a, 1] * local[1] + pose[a, 2] * local[2]
                    )
