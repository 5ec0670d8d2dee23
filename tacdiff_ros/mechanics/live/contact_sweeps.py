"""Forces of vertices in frictional contact, one vertex at a time until all fit together.

Nonsmooth block Gauss-Seidel (Moreau 1999; Jean, Comput. Methods Appl. Mech. Eng. 177, 1999): each
vertex in turn takes the force that closes its gap and stops its slip, as far as pressing and the
friction cone allow, and hands the displacement that this causes to all others at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ContactFrame:
    """Indenter and vertices as they stand when the sweeps begin, N vertices.

    Attributes:
        cell: (N, 2) int64, row and column of each vertex in the grid.
        normal: (N, 3) unit, off the indenter.
        gap_mm: (N,) distance from the indenter.
        off_anchor: (N, 3) mm, place less the anchor; what is across the normal is slip.
        anchored: (N,) bool, friction acts.
    """

    cell: NDArray[np.int64]
    normal: NDArray[np.float64]
    gap_mm: NDArray[np.float64]
    off_anchor: NDArray[np.float64]
    anchored: NDArray[np.bool_]


@dataclass(frozen=True)
class Settled:
    """Where the sweeps ended.

    Attributes:
        force: (N, 3) N on the gel.
        move: (N, 3) mm, what the change of the forces displaced.
        sweeps: made.
        change_mm: largest correction in the last sweep.
    """

    force: NDArray[np.float64]
    move: NDArray[np.float64]
    sweeps: int
    change_mm: float


@dataclass(frozen=True)
class SweepLimits:
    """When to stop.

    Attributes:
        friction: Coulomb coefficient.
        most_sweeps: over all vertices.
        tolerance_mm: largest displacement by which a vertex still corrects itself.
    """

    friction: float
    most_sweeps: int
    tolerance_mm: float


def settle(
    kernel: NDArray[np.float64],
    frame: ContactFrame,
    force: NDArray[np.float64],
    limits: SweepLimits,
) -> Settled:
    """Forces in equilibrium with contact and friction, normals held.

    Args:
        kernel: (2 rows - 1, 2 columns - 1, 3, 3) mm/N, see `SurfaceKernel`.
        frame: where vertices are under the forces given.
        force: (N, 3) N to begin with.
        limits: when to stop.
    """
    force, off = force.copy(), frame.off_anchor.copy()
    sweeps, change = _sweep(
        kernel,
        frame.cell,
        np.ascontiguousarray(frame.normal),
        frame.gap_mm.copy(),
        off,
        frame.anchored,
        force,
        limits.friction,
        limits.most_sweeps,
        limits.tolerance_mm,
    )
    return Settled(force, off - frame.off_anchor, sweeps, change)


@numba.njit(cache=True, error_model="numpy", fastmath=True)
def _sweep(kernel, cell, normal, gap, off, anchored, force, friction, most, tolerance):  # type: ignore[no-untyped-def]
    """Sweep back and forth; changes gap, off and force."""
    count = cell.shape[0]
    middle_row, middle_column = kernel.shape[0] // 2, kernel.shape[1] // 2
    own = kernel[middle_row, middle_column]
    across = 0.5 * (own[0, 0] + own[1, 1])
    step = np.empty(3)
    change = 0.0
    for sweep in range(most):
        change = 0.0
        for turn in range(count):
            i = turn if sweep % 2 == 0 else count - 1 - turn
            give = _give(own, normal[i])
            press = _correction(
                normal[i], gap[i], off[i], anchored[i], force[i], friction, give, across, step
            )
            size = across * math.sqrt(step[0] ** 2 + step[1] ** 2 + step[2] ** 2)
            if size == 0.0 or (press > 0.0 and size < 0.1 * tolerance):
                continue
            change = max(change, size)
            for a in range(3):
                force[i, a] += step[a]
            row, column = cell[i, 0] - middle_row, cell[i, 1] - middle_column
            for j in range(count):
                k = kernel[cell[j, 0] - row, cell[j, 1] - column]
                x = k[0, 0] * step[0] + k[0, 1] * step[1] + k[0, 2] * step[2]
                y = k[1, 0] * step[0] + k[1, 1] * step[1] + k[1, 2] * step[2]
                z = k[2, 0] * step[0] + k[2, 1] * step[1] + k[2, 2] * step[2]
                off[j, 0] += x
                off[j, 1] += y
                off[j, 2] += z
                gap[j] += normal[j, 0] * x + normal[j, 1] * y + normal[j, 2] * z
        if change < tolerance:
            return sweep + 1, change
    return most, change


@numba.njit(cache=True, error_model="numpy", fastmath=True)
def _give(own, n):  # type: ignore[no-untyped-def]
    """Displacement of a vertex along n per force on itself along n."""
    return own[0, 0] * n[0] ** 2 + own[1, 1] * n[1] ** 2 + own[2, 2] * n[2] ** 2


@numba.njit(cache=True, error_model="numpy", fastmath=True)
def _correction(n, gap, off, anchored, force, friction, give, across, step):  # type: ignore[no-untyped-def]
    """How the force of one vertex must change; returns what it presses with then."""
    along = force[0] * n[0] + force[1] * n[1] + force[2] * n[2]
    press = max(0.0, along - gap / give)
    slide = off[0] * n[0] + off[1] * n[1] + off[2] * n[2]
    length = 0.0
    for a in range(3):
        step[a] = 0.0
        if anchored:
            step[a] = force[a] - along * n[a] - (off[a] - slide * n[a]) / across
            length += step[a] ** 2
    length = math.sqrt(length)
    share = 1.0
    if length > friction * press:
        share = friction * press / length
    for a in range(3):
        step[a] = share * step[a] + press * n[a] - force[a]
    return press
