"""Rotational symmetries of an object, found by rotating its surface into its own distance field.

An axis of symmetry passes through the centre of mass and is a principal axis of inertia. Where
principal moments are equal, axes in their plane (or all) are searched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from tacdiff_ros.objects.rigid_object import CONTINUOUS, RigidObject, Symmetry

Array = NDArray[np.float64]

TOLERANCE_FRACTION = 0.022  # of the diameter: scans of symmetric objects differ from their rotation
MIN_TOLERANCE_M = 1e-3
QUANTILE = 0.98  # of the surface that must be within the tolerance
SURFACE_POINTS = 1500
ORDERS = (8, 6, 5, 4, 3, 2)
PROBE_ANGLES_DEG = (17.0, 41.0, 83.0, 127.0, 163.0)  # no two are multiples of a common step
EQUAL_MOMENTS = 0.06  # relative difference of moments below which axes between them are searched
PLANE_AXES = 36
SPHERE_AXES = 400
MAX_FACTOR = 2.5  # of the tolerance at the farthest point: a small handle ends a symmetry
REFINE_FACTOR = 2.0  # candidates within this many tolerances are refined


def find_symmetries(
    item: RigidObject, tolerance: float | None = None, seed: int = 0
) -> tuple[Symmetry, ...]:
    """Find the axes about which rotations do not change the surface.

    Args:
        item: the object.
        tolerance: distance within which `QUANTILE` of the rotated surface must lie from the
            surface, m; None for `TOLERANCE_FRACTION` of the diameter.
        seed: seed of the surface points.

    Returns:
        Axes of symmetry, continuous ones first, then by decreasing order. They generate the whole
        group; axes that follow from others may be missing.
    """
    if tolerance is None:
        tolerance = max(MIN_TOLERANCE_M, TOLERANCE_FRACTION * item.diameter)
    check = _SymmetryCheck(item, tolerance, seed)
    symmetries: list[Symmetry] = []
    for axis in _candidate_axes(item, check.centre):
        if any(abs(axis @ np.array(s.axis)) > math.cos(math.radians(10)) for s in symmetries):
            continue
        symmetry = check.symmetry(axis)
        if symmetry is not None and not _is_known(symmetry, symmetries):
            symmetries.append(symmetry)
        if _is_complete(symmetries):
            break
    return tuple(sorted(symmetries, key=lambda s: -(s.order or math.inf)))


class _SymmetryCheck:
    """Residuals of rotated surface points against the distance field of one object."""

    def __init__(self, item: RigidObject, tolerance: float, seed: int) -> None:
        self._field, self._tolerance = item.distance, tolerance
        self._points = item.surface_points(SURFACE_POINTS, seed)[0]
        self.centre = item.centre_of_mass

    def symmetry(self, axis: Array) -> Symmetry | None:
        """Return the symmetry about an axis near the given one, or None."""
        if all(self._is_near(axis, a, self.centre) for a in PROBE_ANGLES_DEG):
            refined = self._refine(axis, PROBE_ANGLES_DEG[2])
            if all(self._holds(*refined, angle) for angle in PROBE_ANGLES_DEG):
                return _symmetry(*refined, CONTINUOUS)
        for order in ORDERS:
            angle = 360.0 / order
            if self._is_near(axis, angle, self.centre):
                refined = self._refine(axis, angle)
                if self._holds(*refined, angle):
                    return _symmetry(*refined, order)
        return None

    def _distances(self, axis: Array, centre: Array, angle_deg: float) -> Array:
        rotation = Rotation.from_rotvec(math.radians(angle_deg) * axis)
        return self._field.distance(centre + rotation.apply(self._points - centre))

    def _is_near(self, axis: Array, angle_deg: float, centre: Array) -> bool:
        typical = np.median(np.abs(self._distances(axis, centre, angle_deg)))
        return bool(typical < REFINE_FACTOR * self._tolerance)

    def _holds(self, axis: Array, centre: Array, angle_deg: float) -> bool:
        distances = np.abs(self._distances(axis, centre, angle_deg))
        is_within = np.quantile(distances, QUANTILE) < self._tolerance
        return bool(is_within and distances.max() < MAX_FACTOR * self._tolerance)

    def _refine(self, axis: Array, angle_deg: float) -> tuple[Array, Array]:
        """Return axis and centre that minimise the distances: two angles and two offsets."""
        across = np.linalg.svd(axis[None])[2][1:]

        def axis_and_centre(x: Array) -> tuple[Array, Array]:
            tilted = axis + x[:2] @ across
            return tilted / np.linalg.norm(tilted), self.centre + 0.05 * x[2:] @ across

        fit = least_squares(
            lambda x: self._distances(*axis_and_centre(x), angle_deg) / self._tolerance,
            np.zeros(4),
            loss="soft_l1",
            diff_step=1e-3,
            max_nfev=8,
        )
        return axis_and_centre(fit.x)


def _candidate_axes(item: RigidObject, centre: Array) -> Iterator[Array]:
    """Yield principal axes of inertia, then axes between those of equal moments."""
    nodes, volumes = item.distance.interior()
    moments, axes = np.linalg.eigh(np.cov((nodes - centre).T, aweights=volumes))
    yield from axes.T[::-1]
    is_equal = [
        abs(moments[i] - moments[j]) < EQUAL_MOMENTS * max(moments[i], moments[j])
        for i, j in ((0, 1), (1, 2), (0, 2))
    ]
    if is_equal[0] and is_equal[1]:
        yield from _half_sphere(SPHERE_AXES)
    else:
        for pair, equal in zip(((0, 1), (1, 2)), is_equal, strict=False):
            for angle in np.pi * np.arange(PLANE_AXES) / PLANE_AXES if equal else ():
                yield math.cos(angle) * axes[:, pair[0]] + math.sin(angle) * axes[:, pair[1]]


def _half_sphere(count: int) -> Array:
    """Return (count, 3) unit vectors spread over half a sphere (Fibonacci lattice)."""
    z = (np.arange(count) + 0.5) / count
    angle = np.pi * (1 + math.sqrt(5)) * np.arange(count)
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def _is_known(symmetry: Symmetry, known: list[Symmetry]) -> bool:
    return any(
        abs(np.dot(symmetry.axis, other.axis)) > math.cos(math.radians(10)) for other in known
    )


def _is_complete(known: list[Symmetry]) -> bool:
    """Whether further axes follow from the known ones."""
    continuous = sum(s.order == CONTINUOUS for s in known)
    return continuous > 1 or (continuous == 1 and len(known) > 1) or len(known) >= 6


def _symmetry(axis: Array, centre: Array, order: int) -> Symmetry:
    (a, b, c), (x, y, z) = axis.tolist(), centre.tolist()
    return Symmetry((a, b, c), order, (x, y, z))
