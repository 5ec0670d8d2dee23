"""Gauss-Seidel solver for the forces at contact points, one surface face at a time.

Each point in turn takes the force that closes its gap and stops its slip, within the limits of
unilateral contact and the friction cone; the displacement that this force causes is applied
immediately (nonsmooth Gauss-Seidel: Jean, Comput. Methods Appl. Mech. Eng. 177, 1999). The points
lie on faces whose four vertices carry forces and displacements by bilinear interpolation.

There are more points than vertices, and sticking points may require displacements that bilinear
faces cannot take. A small compliance ("softness") of the points, of at most 0.01 mm, distributes
such loads, as in the full solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.kernel_cache import cached_njit

POINTS_PER_SIDE = 3
LOCAL_ITERATIONS = 4  # over the points of one face before the next face


def face_weights(per_side: int = POINTS_PER_SIDE) -> NDArray[np.float64]:
    """Return the bilinear weights of a face's corners at its evenly spaced points.

    Args:
        per_side: number of points along each side of a face.

    Returns:
        (per_side^2, 4) weights of the (row, column) corners (0, 0), (0, 1), (1, 0), (1, 1).
    """
    along = (np.arange(per_side) + 0.5) / per_side
    y, x = (axis.ravel() for axis in np.meshgrid(along, along, indexing="ij"))
    return np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)


@dataclass(frozen=True)
class PointKernel:
    """Kernel of the layer in the layout that the sweeps need.

    Attributes:
        planes: (3, 2 rows - 1, 3 (2 columns - 1)) float32 kernel of `SurfaceKernel`, mm/N, with the
            columns for the three components of a force one after the other in each row.
        weights: (p, 4) corner weights at the points of a face, see `face_weights`.
        corners: (p, 4, 3, 3) displacement of a face's corners per force at its point p, mm/N.
        own: (p, 3, 3) displacement of point p per force at the same point, mm/N.
    """

    planes: NDArray[np.float32]
    weights: NDArray[np.float64]
    corners: NDArray[np.float64]
    own: NDArray[np.float64]

    @classmethod
    def from_values(cls, values: NDArray[np.float64]) -> PointKernel:
        """Build the kernel of the points from a kernel of the vertices.

        Args:
            values: (2 rows - 1, 2 columns - 1, 3, 3) values of a `SurfaceKernel`, mm/N.
        """
        weights = face_weights()
        middle = np.array(values.shape[:2]) // 2
        row, column = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        between = values[
            middle[0] + row[:, None] - row[None, :], middle[1] + column[:, None] - column[None, :]
        ]
        corners = np.einsum("baij,pa->pbij", between, weights)
        own = np.einsum("pbij,pb->pij", corners, weights)
        planes = np.ascontiguousarray(values.transpose(2, 0, 3, 1), np.float32)
        planes = planes.reshape(3, len(values), -1)
        return cls(planes=planes, weights=weights, corners=np.ascontiguousarray(corners), own=own)


@dataclass(frozen=True)
class PointContact:
    """Contact state of F faces with p points each, before the sweeps.

    Attributes:
        faces: (F, 2) int64 row and column of the first corner of each face.
        normal: (F, p, 3) unit outward normal of the indenter.
        gap_mm: (F, p) distance from the indenter, mm.
        off_anchor: (F, p, 3) position relative to the anchor, mm; its part across the normal is
            slip.
        anchored: (F, p) bool, points with friction.
        force: (F, p, 3) force on the gel, N.
        softness: compliance of a point, mm/N; the position of a point is that of the gel plus
            softness times force.
    """

    faces: NDArray[np.int64]
    normal: NDArray[np.float64]
    gap_mm: NDArray[np.float64]
    off_anchor: NDArray[np.float64]
    anchored: NDArray[np.bool_]
    force: NDArray[np.float64]
    softness: float


@dataclass(frozen=True)
class SweepLimits:
    """Friction coefficient and stopping criteria of the sweeps.

    Attributes:
        friction: Coulomb coefficient.
        max_sweeps: largest number of sweeps over all faces.
        tolerance_mm: largest displacement change by the last two sweeps at convergence, mm.
    """

    friction: float
    max_sweeps: int
    tolerance_mm: float


@dataclass(frozen=True)
class SweepResult:
    """Result of the sweeps.

    Attributes:
        force: (F, p, 3) force on the gel, N.
        displacement_change: (F, p, 3) displacement of the points caused by the change of the
            forces, mm.
        sweeps: number of sweeps.
        last_change_mm: largest displacement change by the last two sweeps, mm.
    """

    force: NDArray[np.float64]
    displacement_change: NDArray[np.float64]
    sweeps: int
    last_change_mm: float


def solve_contact_forces(
    kernel: PointKernel, contact: PointContact, limits: SweepLimits
) -> SweepResult:
    """Solve for the point forces that satisfy contact and friction, with fixed normals.

    Args:
        kernel: kernel of the layer.
        contact: contact state before the sweeps; it is not changed.
        limits: friction coefficient and stopping criteria.

    Returns:
        The forces, also if `max_sweeps` was reached before convergence.
    """
    faces = contact.faces
    if not len(faces):
        return SweepResult(
            force=contact.force,
            displacement_change=np.zeros_like(contact.force),
            sweeps=0,
            last_change_mm=0.0,
        )
    low, high = faces.min(axis=0), faces.max(axis=0) + 2
    moved = np.zeros((3, *(high - low)), np.float32)
    force = contact.force.copy()
    sweeps, change = _sweep(
        kernel.planes,
        kernel.weights,
        kernel.corners,
        kernel.own + contact.softness * np.eye(3),
        faces - low,
        np.ascontiguousarray(contact.normal),
        contact.gap_mm.copy(),
        contact.off_anchor.copy(),
        contact.anchored,
        force,
        moved,
        contact.softness,
        limits.friction,
        limits.max_sweeps,
        limits.tolerance_mm,
    )
    row, column = (faces - low).T
    corner = np.stack(
        [moved[:, row + a, column + b] for a in (0, 1) for b in (0, 1)], axis=-1
    )  # (3, F, 4)
    displacement_change = np.einsum("ifa,pa->fpi", corner, kernel.weights)
    return SweepResult(
        force=force, displacement_change=displacement_change, sweeps=sweeps, last_change_mm=change
    )


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _sweep(  # type: ignore[no-untyped-def]
    planes,
    weights,
    corners,
    own,
    faces,
    normal,
    gap,
    off_anchor,
    anchored,
    force,
    moved,
    softness,
    friction,
    max_sweeps,
    tolerance,
):
    """Sweep forward and backward over the faces until the displacement settles.

    Changes `gap`, `off_anchor`, `force` and `moved` (3, rows, columns), the displacement change of
    the vertices of a window around all faces; returns the number of sweeps and the last change.
    """
    count = faces.shape[0]
    force_change = np.zeros((4, 3), np.float32)
    corner_u = np.zeros((4, 3))
    before = moved.copy()
    change = 0.0
    for sweep in range(max_sweeps):
        for position in range(count):
            f = position if sweep % 2 == 0 else count - 1 - position
            row, column = faces[f]
            for a in range(4):
                for i in range(3):
                    corner_u[a, i] = moved[i, row + a // 2, column + a % 2]
                    force_change[a, i] = 0.0
            max_correction = _solve_face(
                weights,
                corners,
                own,
                normal[f],
                gap[f],
                off_anchor[f],
                anchored[f],
                force[f],
                softness,
                friction,
                0.1 * tolerance,
                corner_u,
                force_change,
            )
            if max_correction > 0.0:
                _add_displacement(planes, row, column, force_change, moved)
        if sweep % 2 == 1:
            change = np.abs(moved - before).max()
            before[:] = moved
            if change < tolerance:
                return sweep + 1, change
    return max_sweeps, change


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _solve_face(  # type: ignore[no-untyped-def]
    weights,
    corners,
    own,
    normal,
    gap,
    off_anchor,
    anchored,
    force,
    softness,
    friction,
    threshold,
    corner_u,
    force_change,
):
    """Correct the forces of one face's points in turn, in up to `LOCAL_ITERATIONS` passes.

    Corrections below `threshold` (mm) are skipped unless they release a point. Changes `gap`,
    `off_anchor`, `force`, `corner_u` (displacement change of the four corners) and `force_change`
    (of the corners); returns the largest correction of the first pass in mm.
    """
    step = np.empty(3)
    slip = np.empty(3)
    first = 0.0
    for repeat in range(LOCAL_ITERATIONS):
        max_correction = 0.0
        for p in range(weights.shape[0]):
            n, w = normal[p], own[p]
            current_gap = gap[p] + _point_offset(weights[p], corner_u, off_anchor[p], n, slip)
            tangential_compliance = 0.5 * (w[0, 0] + w[1, 1])
            normal_compliance = w[0, 0] * n[0] ** 2 + w[1, 1] * n[1] ** 2 + w[2, 2] * n[2] ** 2
            normal_force = _force_step(
                n,
                current_gap / normal_compliance,
                slip,
                anchored[p],
                force[p],
                friction,
                tangential_compliance,
                step,
            )
            size = tangential_compliance * math.sqrt(step[0] ** 2 + step[1] ** 2 + step[2] ** 2)
            if size > threshold or (normal_force == 0.0 and size > 0.0):
                max_correction = max(max_correction, size)
                gap[p] += softness * (n[0] * step[0] + n[1] * step[1] + n[2] * step[2])
                _apply(
                    weights[p],
                    corners[p],
                    step,
                    softness,
                    force[p],
                    off_anchor[p],
                    force_change,
                    corner_u,
                )
        if repeat == 0:
            first = max_correction
        if max_correction <= 0.2 * first:
            break
    return first


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _point_offset(weights, corner_u, off_anchor, n, slip):  # type: ignore[no-untyped-def]
    """Write a point's offset from its anchor into `slip`; return its motion along the normal."""
    along = 0.0
    for i in range(3):
        point_u = 0.0
        for a in range(4):
            point_u += weights[a] * corner_u[a, i]
        slip[i] = off_anchor[i] + point_u
        along += n[i] * point_u
    return along


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _apply(  # type: ignore[no-untyped-def]
    weights, corners, step, softness, force, off_anchor, force_change, corner_u
):
    """Add a step to the force of a point, and its effects on the corners of the face."""
    for i in range(3):
        force[i] += step[i]
        off_anchor[i] += softness * step[i]
        for a in range(4):
            force_change[a, i] += weights[a] * step[i]
            for j in range(3):
                corner_u[a, i] += corners[a, i, j] * step[j]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _force_step(  # type: ignore[no-untyped-def]
    n, gap_force, slip, anchored, force, friction, tangential_compliance, step
):
    """Write the change of one point's force into `step`; return its new normal force.

    `gap_force` is the gap over the point's compliance along the normal n.
    """
    along = force[0] * n[0] + force[1] * n[1] + force[2] * n[2]
    normal_force = max(0.0, along - gap_force)
    normal_slip = slip[0] * n[0] + slip[1] * n[1] + slip[2] * n[2]
    length = 0.0
    for i in range(3):
        step[i] = 0.0
        if anchored:
            step[i] = (
                force[i] - along * n[i] - (slip[i] - normal_slip * n[i]) / (tangential_compliance)
            )
            length += step[i] ** 2
    length = math.sqrt(length)
    scale = 1.0
    if length > friction * normal_force:
        scale = friction * normal_force / length
    for i in range(3):
        step[i] = scale * step[i] + normal_force * n[i] - force[i]
    return normal_force


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _add_displacement(planes, row, column, force, moved):  # type: ignore[no-untyped-def]
    """Add to `moved` the displacement of all window vertices under forces on a face's corners.

    One loop over a row adds the effects of all corners and components: the rows are short, and
    every loop over one costs as much as some of its vertices.
    """
    rows, columns, width = moved.shape[1], moved.shape[2], planes.shape[2] // 3
    first_row, first = planes.shape[1] // 2 - row, width // 2 - column
    for i in range(3):
        for r in range(rows):
            target = moved[i, r]
            upper, lower = planes[i, first_row + r], planes[i, first_row + r - 1]
            left, right = first - 1, first + columns
            ux, lx = upper[left:right], lower[left:right]
            uy, ly = upper[width + left : width + right], lower[width + left : width + right]
            uz = upper[2 * width + left : 2 * width + right]
            lz = lower[2 * width + left : 2 * width + right]
            for c in range(columns):
                by_x = ux[c + 1] * force[0, 0] + ux[c] * force[1, 0]
                by_x += lx[c + 1] * force[2, 0] + lx[c] * force[3, 0]
                by_y = uy[c + 1] * force[0, 1] + uy[c] * force[1, 1]
                by_y += ly[c + 1] * force[2, 1] + ly[c] * force[3, 1]
                by_z = uz[c + 1] * force[0, 2] + uz[c] * force[1, 2]
                by_z += lz[c + 1] * force[2, 2] + lz[c] * force[3, 2]
                target[c] += by_x + by_y + by_z
