"""A rigid object: its surface, distance field, symmetries and what is known of its mechanics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.distance_field import DistanceField

Array = NDArray[np.float64]

CONTINUOUS = 0  # order of an axis of revolution
CONTINUOUS_STEPS = 72  # rotations that stand for an axis of revolution: every 5 degrees
SPHERE_STEPS = 8  # about each axis of a sphere
DISTINCT_RAD = math.radians(5.0)  # measured axes of a group are not exactly at its angles


@dataclass(frozen=True)
class Symmetry:
    """An axis through the object's symmetry centre; rotations about it do not change the surface.

    Attributes:
        axis: (3,) unit vector in the object's frame.
        order: number of rotations in a full turn that do not change it; 0 if all do not.
        centre: (3,) a point on the axis in the object's frame, m.
    """

    axis: tuple[float, float, float]
    order: int
    centre: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not math.isclose(math.hypot(*self.axis), 1.0, rel_tol=1e-6):
            raise InputError(f"symmetry axis {self.axis} is not a unit vector")
        if self.order != CONTINUOUS and self.order < 2:
            raise InputError(f"symmetry of order {self.order}: expected 0 (continuous) or 2 and up")


@dataclass(frozen=True)
class RigidObject:
    """A rigid object in its own frame, lengths in metres.

    Attributes:
        name: name for messages and files.
        vertices: (V, 3) float64 positions, m.
        faces: (F, 3) int32 vertex indices, counter-clockwise as seen from outside.
        distance: signed distance field of the surface.
        mass: mass, kg; None if unknown.
        friction: Coulomb's friction coefficient against the hand; None if unknown.
        symmetries: axes of symmetry, continuous ones first; empty if it has none.
        open_fraction: area of the openings of the mesh as a fraction of surface and openings.
    """

    name: str
    vertices: Array
    faces: NDArray[np.int32]
    distance: DistanceField
    mass: float | None = None
    friction: float | None = None
    symmetries: tuple[Symmetry, ...] = ()
    open_fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.mass is not None and not 0 < self.mass < math.inf:
            raise InputError(f"object {self.name}: mass {self.mass} kg, expected a positive number")
        if self.friction is not None and not 0 <= self.friction < math.inf:
            raise InputError(
                f"object {self.name}: friction {self.friction}, expected a number from 0"
            )

    @cached_property
    def centre_of_mass(self) -> Array:
        """(3,) centre of the enclosed volume (constant density), m."""
        nodes, volumes = self.distance.interior()
        return volumes @ nodes / volumes.sum()

    @cached_property
    def volume(self) -> float:
        """Enclosed volume by the distance field, m3; also of surfaces with small holes."""
        return float(self.distance.interior()[1].sum())

    @cached_property
    def face_areas(self) -> Array:
        """(F,) areas of the triangles, m2."""
        return 0.5 * np.linalg.norm(self._face_cross_products, axis=1)

    @cached_property
    def face_normals(self) -> Array:
        """(F, 3) outward unit normals; 0 for degenerate triangles."""
        return self._face_cross_products / np.maximum(2 * self.face_areas, 1e-18)[:, None]

    @property
    def diameter(self) -> float:
        """Length of the diagonal of the bounding box, m."""
        return float(np.linalg.norm(np.ptp(self.vertices, axis=0)))

    @cached_property
    def _face_cross_products(self) -> Array:
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        return np.cross(b - a, c - a)

    def surface_points(self, count: int, seed: int = 0) -> tuple[Array, Array]:
        """Sample the surface uniformly by area.

        Args:
            count: number of points.
            seed: seed of the random numbers.

        Returns:
            points: (count, 3) positions, m.
            normals: (count, 3) outward unit normals.
        """
        random = np.random.default_rng(seed)
        cumulative = np.cumsum(self.face_areas)
        face = np.searchsorted(cumulative, random.random(count) * cumulative[-1])
        u, v = random.random((2, count, 1))
        u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
        a, b, c = (self.vertices[self.faces[face, i]] for i in range(3))
        return a + u * (b - a) + v * (c - a), self.face_normals[face]

    def symmetry_transforms(self, continuous_steps: int = CONTINUOUS_STEPS) -> Array:
        """Return the group of rotations that do not change the surface.

        Args:
            continuous_steps: number of rotations that stand for an axis of revolution.

        Returns:
            (S, 4, 4) transforms in the object's frame, the identity first.
        """
        group = [np.eye(4)]
        if sum(symmetry.order == CONTINUOUS for symmetry in self.symmetries) > 1:  # a sphere
            continuous_steps = min(continuous_steps, SPHERE_STEPS)
        has_revolution = any(symmetry.order == CONTINUOUS for symmetry in self.symmetries)
        tolerance = math.pi / continuous_steps if has_revolution else DISTINCT_RAD
        for symmetry in self.symmetries:
            order = symmetry.order or continuous_steps
            angles = 2 * math.pi * np.arange(order) / order
            turns = [_rotation_about(symmetry, angle) for angle in angles]
            group = _distinct([a @ b for a in turns for b in group], tolerance)
        return np.array(group)


def _rotation_about(symmetry: Symmetry, angle: float) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(angle * np.array(symmetry.axis)).as_matrix()
    matrix[:3, 3] = np.array(symmetry.centre) - matrix[:3, :3] @ np.array(symmetry.centre)
    return matrix


def _distinct(transforms: list[Array], tolerance: float) -> list[Array]:
    """Return the transforms whose rotations are more than `tolerance` rad apart."""
    kept = np.empty((0, 4, 4))
    for transform in transforms:
        cosines = np.einsum("nij,ij->n", kept[:, :3, :3], transform[:3, :3]) / 2 - 0.5
        if not (cosines > math.cos(tolerance)).any():
            kept = np.concatenate([kept, transform[None]])
    return list(kept)
