"""Indenters that are tilted against the gel: rotation about x (roll), then about y (pitch)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenter_spec import ANGLE_KEYS, IndenterSpec
from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.indenter import Indenter, as_points

if TYPE_CHECKING:
    from trimesh import Trimesh

Floats = NDArray[np.float64]

MAX_ANGLE_DEG = 180.0
SURFACE_SPACING_MM = 0.2  # of the triangles among which the lowest point is searched
SEARCH_STEP_MM, SEARCH_STEPS = 0.05, 200


@dataclass(frozen=True, eq=False)
class TiltedIndenter(Indenter):
    """An indenter, rotated about the gel's x and y axes.

    As with bodies from files, z is 0 at its lowest point, and its bounding box is centred on the z
    axis.

    Attributes:
        text: canonical specification.
        upright: indenter before the rotation.
        rotation: (3, 3) rotation from the frame of `upright` to that of this indenter.
        origin: (3,) origin of this indenter's frame in the frame of `upright`, mm.
        box: (2, 3) lowest and highest corner of the bounding box, mm.
    """

    text: str
    upright: Indenter
    rotation: Floats
    origin: Floats
    box: Floats

    @property
    def spec(self) -> str:
        """Canonical specification with every size and both angles."""
        return self.text

    @property
    def bounds(self) -> Floats:
        """(2, 3) lowest and highest corner of the axis-aligned bounding box, mm."""
        return self.box.copy()

    def distance(self, points: ArrayLike) -> Floats:
        """Returns the signed distance (N,) of points (N, 3), mm, positive outside."""
        return self.upright.distance(self._to_upright(points))

    def derivatives(self, points: ArrayLike) -> Derivatives:
        """Returns the signed distance of points (N, 3), mm, with its gradient and Hessian."""
        field = self.upright.derivatives(self._to_upright(points))
        return Derivatives(
            field.distance,
            field.gradient @ self.rotation.T,
            self.rotation @ field.hessian @ self.rotation.T,
        )

    def mesh(self, spacing_mm: float = 0.1) -> Trimesh:
        """Returns the surface as a watertight triangle mesh with outward normals, mm."""
        mesh = self.upright.mesh(spacing_mm)
        mesh.vertices = (mesh.vertices - self.origin) @ self.rotation.T
        return mesh

    def _to_upright(self, points: ArrayLike) -> Floats:
        return np.asarray(as_points(points) @ self.rotation + self.origin)


def tilt_matrix(roll_deg: float, pitch_deg: float) -> Floats:
    """Returns the (3, 3) rotation by `roll_deg` about x, followed by `pitch_deg` about y."""
    roll, pitch = math.radians(roll_deg), math.radians(pitch_deg)
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    about_y = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    return about_y @ about_x


def tilt_angles(spec: IndenterSpec) -> tuple[float, float]:
    """Returns roll and pitch of a specification in degrees; 0 where they are not given.

    Raises:
        InputError: an angle is beyond `MAX_ANGLE_DEG`.
    """
    roll, pitch = (spec.sizes_mm.get(key, 0.0) for key in ANGLE_KEYS)
    for key, angle in zip(ANGLE_KEYS, (roll, pitch), strict=True):
        if abs(angle) > MAX_ANGLE_DEG:
            raise InputError(
                f"indenter '{spec.name}': {key} is {angle:g} degrees, expected "
                f"{-MAX_ANGLE_DEG:g} to {MAX_ANGLE_DEG:g}"
            )
    return roll, pitch


def without_tilt(spec: IndenterSpec) -> IndenterSpec:
    """Returns the specification without roll and pitch."""
    sizes = {key: value for key, value in spec.sizes_mm.items() if key not in ANGLE_KEYS}
    return replace(spec, sizes_mm=sizes)


def tilt_text(roll_deg: float, pitch_deg: float) -> str:
    """Returns the end of a canonical specification: the angles that are not 0."""
    angles = zip(ANGLE_KEYS, (roll_deg, pitch_deg), strict=True)
    return "".join(f",{key}={repr(angle).removesuffix('.0')}" for key, angle in angles if angle)


def tilted(indenter: Indenter, roll_deg: float, pitch_deg: float) -> Indenter:
    """Returns an indenter rotated by roll, then pitch; the same one if both are 0.

    Args:
        indenter: indenter with an exact distance field near its surface.
        roll_deg: rotation about x, degrees.
        pitch_deg: rotation about y, degrees.
    """
    if roll_deg == pitch_deg == 0.0:
        return indenter
    rotation = tilt_matrix(roll_deg, pitch_deg)
    surface = np.asarray(indenter.mesh(SURFACE_SPACING_MM).vertices) @ rotation.T
    down = -rotation[2]
    lowest = _lowest_point(indenter, surface[surface[:, 2].argmin()] @ rotation, down)
    low, high = surface.min(axis=0), surface.max(axis=0)
    origin = np.array([*(low + high)[:2] / 2, rotation[2] @ lowest])
    box = np.stack([low, high]) - origin
    box[0, 2] = 0.0
    text = indenter.spec + tilt_text(roll_deg, pitch_deg)
    return TiltedIndenter(text, indenter, rotation, origin @ rotation, box)


def _lowest_point(indenter: Indenter, start: Floats, down: Floats) -> Floats:
    """Returns the point of the surface (3,) that is farthest along `down`, near a start."""
    point = start
    for _ in range(SEARCH_STEPS):
        field = indenter.derivatives((point + SEARCH_STEP_MM * down)[None])
        point = point + SEARCH_STEP_MM * down - field.distance[0] * field.gradient[0]
    return point
