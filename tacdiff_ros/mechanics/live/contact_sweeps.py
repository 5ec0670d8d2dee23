"""Forces at contact points of the surface, one face at a time until all fit together.

Nonsmooth Gauss-Seidel (Jean, Comput. Methods Appl. Mech. Eng. 177, 1999): each point in turn takes
the force that closes its gap and stops its slip, as far as pressing and the friction cone allow,
and hands the displacement that this causes on at once. Points lie on faces, whose four vertices
carry forces and displacements in bilinear shares.

There are more points than vertices, and sticking ones may ask for more than bilinear faces can do;
a small softness of the points (of 0.01 mm at most) shares such loads out, as in the full solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.kernel_cache import cached_njit

POINTS_PER_SIDE = 3
LOCAL_TURNS = 4
LOCAL_TURNS = 4
LOCAL_TURNS = 4


def face_weights(per_side: int = POINTS_PER_SIDE) -> NDArray[np.float64]:
    """(points, 4) shares of the corners (row, column), (0, 0), (0, 1), (1, 0), (1, 1)."""
    along = (np.arange(per_side) + 0.5) / per_side
    y, x = (axis.ravel() for axis in np.meshgrid(along, along, indexing="ij"))
    return np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)


@dataclass(frozen=True)
class PointKernel:
    """The layer's kernel as the sweeps read it.

    Attributes:
        planes: (3, 3, 2 rows - 1, 2 columns - 1) float32 mm/N, see `SurfaceKernel`.
        weights: (p, 4), see `face_weights`.
        corners: (p, 4, 3, 3) mm/N, displacement of a face's corners per force at its point p.
        own: (p, 3, 3) mm/N, displacement of point p per force on itself.
    """

    planes: NDArray[np.float32]
    weights: NDArray[np.float64]
    corners: NDArray[np.float64]
    own: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> PointKernel:
        """From the values of a `SurfaceKernel`."""
        weights = face_weights()
        middle = np.array(values.shape[:2]) // 2
        row, column = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        between = values[
            middle[0] + row[:, None] - row[None, :], middle[1] + column[:, None] - column[None, :]
        ]
        corners = np.einsum("baij,pa->pbij", between, weights)
        own = np.einsum("pbij,pb->pij", corners, weights)
        planes = np.ascontiguousarray(np.moveaxis(values, (2, 3), (0, 1)), np.float32)
        return cls(planes, weights, np.ascontiguousarray(corners), own)


@dataclass(frozen=True)
class PointContact:
    """Points of F faces, p on each, as they stand when the sweeps begin.

    Attributes:
        faces: (F, 2) int64, row and column of the first corner of each face.
        normal: (F, p, 3) unit, off the indenter.
        gap_mm: (F, p) distance from the indenter.
        off_anchor: (F, p, 3) mm, place less the anchor; what is across the normal is slip.
        anchored: (F, p) bool, friction acts.
        force: (F, p, 3) N on the gel.
        softness: mm/N; places are those of the gel plus softness times force.
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
    """When to stop.

    Attributes:
        friction: Coulomb coefficient.
        most_sweeps: over all faces.
        tolerance_mm: largest displacement by the last two sweeps.
    """

    friction: float
    most_sweeps: int
    tolerance_mm: float


@dataclass(frozen=True)
class Settled:
    """Where the sweeps ended.

    Attributes:
        force: (F, p, 3) N on the gel.
        move: (F, p, 3) mm, what the change of the forces displaced.
        sweeps: made.
        change_mm: largest displacement by the last two sweeps.
    """

    force: NDArray[np.float64]
    move: NDArray[np.float64]
    sweeps: int
    change_mm: float


def settle(kernel: PointKernel, contact: PointContact, limits: SweepLimits) -> Settled:
    """Forces in equilibrium with contact and friction, with the normals held."""
    faces = contact.faces
    if not len(faces):
        return Settled(contact.force, np.zeros_like(contact.force), 0, 0.0)
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
        limits.most_sweeps,
        limits.tolerance_mm,
    )
    row, column = (faces - low).T
    corner = np.stack(
        [moved[:, row + a, column + b] for a in (0, 1) for b in (0, 1)], axis=-1
    )  # (3, F, 4)
    move = np.einsum("ifa,pa->fpi", corner, kernel.weights)
    return Settled(force, move, sweeps, change)


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _sweep(  # type: ignore[no-untyped-def]
    planes,
    weights,
    corners,
    own,
    faces,
    normal,
    gap,
    off,
    anchored,
    force,
    moved,
    softness,
    friction,
    most,
    tolerance,
):
    """Sweep back and forth over the faces; changes gap, off, force and moved."""
    count = faces.shape[0]
    gained = np.zeros((4, 3), np.float32)
    nodal = np.zeros((4, 3))
    before = moved.copy()
    change = 0.0
    for sweep in range(most):
        for turn in range(count):
            f = turn if sweep % 2 == 0 else count - 1 - turn
            row, column = faces[f]
            for a in range(4):
                for i in range(3):
                    nodal[a, i] = moved[i, row + a // 2, column + a % 2]
                    gained[a, i] = 0.0
            largest = _visit(
                weights,
                corners,
                own,
                normal[f],
                gap[f],
                off[f],
                anchored[f],
                force[f],
                softness,
                friction,
                0.1 * tolerance,
                nodal,
                gained,
            )
            if largest > 0.0:
                for a in range(4):
                    _spread(planes, row + a // 2, column + a % 2, gained[a], moved)
        if sweep % 2 == 1:
            change = np.abs(moved - before).max()
            before[:] = moved
            if change < tolerance:
                return sweep + 1, change
    return most, change


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _visit(  # type: ignore[no-untyped-def]
    weights,
    corners,
    own,
    normal,
    gap,
    off,
    anchored,
    force,
    softness,
    friction,
    skip,
    nodal,
    gained,
):
    """Correct the points of a face in turns; returns the largest correction in mm."""
    step = np.empty(3)
    slide = np.empty(3)
    first = 0.0
    for repeat in range(LOCAL_TURNS):
        largest = 0.0
        for p in range(weights.shape[0]):
            n, w = normal[p], own[p]
            here = gap[p] + _carried(weights[p], nodal, off[p], n, slide)
            across = 0.5 * (w[0, 0] + w[1, 1])
            give = w[0, 0] * n[0] ** 2 + w[1, 1] * n[1] ** 2 + w[2, 2] * n[2] ** 2
            press = _correction(
                n, here / give, slide, anchored[p], force[p], friction, across, step
            )
            size = across * math.sqrt(step[0] ** 2 + step[1] ** 2 + step[2] ** 2)
            if size > skip or (press == 0.0 and size > 0.0):
                largest = max(largest, size)
                gap[p] += softness * (n[0] * step[0] + n[1] * step[1] + n[2] * step[2])
                _apply(weights[p], corners[p], step, softness, force[p], off[p], gained, nodal)
        if repeat == 0:
            first = largest
        if largest <= 0.2 * first:
            break
    return first


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _carried(weights, nodal, off, n, slide):  # type: ignore[no-untyped-def]
    """Put the offset from the anchor into `slide`; returns the move along the normal."""
    along = 0.0
    for i in range(3):
        move = 0.0
        for a in range(4):
            move += weights[a] * nodal[a, i]
        slide[i] = off[i] + move
        along += n[i] * move
    return along


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _apply(weights, corners, step, softness, force, off, gained, nodal):  # type: ignore[no-untyped-def]
    """Add a step to the force of a point, and what it does to the face's corners."""
    for i in range(3):
        force[i] += step[i]
        off[i] += softness * step[i]
        for a in range(4):
            gained[a, i] += weights[a] * step[i]
            for j in range(3):
                nodal[a, i] += corners[a, i, j] * step[j]


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _correction(n, missing, slide, anchored, force, friction, across, step):  # type: ignore[no-untyped-def]
    """How the force of one point must change; returns what it presses with then.

    `missing` is the gap over the point's compliance along n.
    """
    along = force[0] * n[0] + force[1] * n[1] + force[2] * n[2]
    press = max(0.0, along - missing)
    off = slide[0] * n[0] + slide[1] * n[1] + slide[2] * n[2]
    length = 0.0
    for i in range(3):
        step[i] = 0.0
        if anchored:
            step[i] = force[i] - along * n[i] - (slide[i] - off * n[i]) / across
            length += step[i] ** 2
    length = math.sqrt(length)
    share = 1.0
    if length > friction * press:
        share = friction * press / length
    for i in range(3):
        step[i] = share * step[i] + press * n[i] - force[i]
    return press


@cached_njit(nogil=True, error_model="numpy", fastmath=True)
def _spread(planes, row, column, force, moved):  # type: ignore[no-untyped-def]
    """Add the displacement of all vertices of the window for a force on one of them."""
    rows, columns = moved.shape[1], moved.shape[2]
    first_row = planes.shape[2] // 2 - row
    first = planes.shape[3] // 2 - column
    x, y, z = force[0], force[1], force[2]
    for i in range(3):
        for r in range(rows):
            to = moved[i, r]
            by_x = planes[i, 0, first_row + r, first : first + columns]
            by_y = planes[i, 1, first_row + r, first : first + columns]
            by_z = planes[i, 2, first_row + r, first : first + columns]
            for c in range(columns):
                to[c] += by_x[c] * x + by_y[c] * y + by_z[c] * z
