"""The contact problem on the surface alone, with the gel behind it condensed to a dense matrix.

Unknown are the move v of the vertices that may touch and the forces l at the contact points on
their faces, with  r + S v = N^T l  and  l = P(l, x + N v + e l):  r and S are residual and
stiffness of the linearised gel, N interpolates from vertices to points, P is the projection of
`contact_law`, and e is the softness of the points, which makes the forces of many points on one
face determinate. Solved by a semismooth Newton method in (v, l) in which the points are eliminated
one by one, so that systems are as large as the set of touching vertices (after Hueber & Wohlmuth,
Comput. Methods Appl. Mech. Eng. 194, 2005). It need
not converge where the gel snaps over an edge: see `energy_descent`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tacdiff_ros.mechanics.contact_law import ContactLaw, Projection
from tacdiff_ros.mechanics.contact_points import ContactPoints

MAX_NEWTON_STEPS = 30
WATCHED_STEPS = 6
MAX_MOVE_MM = 0.5


@dataclass(frozen=True)
class CondensedGel:
    """The linearised gel as the candidates for contact feel it.

    Attributes:
        stiffness: (3 n, 3 n) N/mm, Schur complement S.
        compliance: (3 n, 3 n) mm/N, its inverse.
    """

    stiffness: NDArray[np.float64]
    compliance: NDArray[np.float64]

    @classmethod
    def from_stiffness(cls, stiffness: NDArray[np.float64]) -> CondensedGel:
        """Invert once; all contact systems are made from the inverse."""
        return cls(stiffness, np.asarray(linalg.inv(stiffness, check_finite=False)))


@dataclass(frozen=True)
class CondensedSolution:
    """End of the iteration.

    Attributes:
        move: (n, 3) mm of the vertices.
        force: (points, 3) N, l.
        contact: the law at the end.
        iterations: linear systems solved.
        violation_n: largest component of l - P and of the imbalance of vertices.
        converged: it is below the tolerance.
    """

    move: NDArray[np.float64]
    force: NDArray[np.float64]
    contact: Projection
    iterations: int
    violation_n: float
    converged: bool


@dataclass(frozen=True)
class _Iterate:
    """On the way: (v, l), the law there, l - P and the imbalance r + S v - N^T l."""

    move: NDArray[np.float64]
    force: NDArray[np.float64]
    contact: Projection
    violation: NDArray[np.float64]
    imbalance: NDArray[np.float64]

    @property
    def size(self) -> float:
        return max(
            float(np.abs(self.violation).max(initial=0.0)),
            float(np.abs(self.imbalance).max(initial=0.0)),
        )


@dataclass(frozen=True)
class CondensedProblem:
    """One step's contact problem for n vertices.

    Attributes:
        gel: condensed.
        residual: (3 n,) N, r.
        law: of contact and friction.
        points: where it holds.
        position: (n, 3) mm at move 0.
        softness: mm/N, e.
        tolerance_n: largest violation of a converged solution.
    """

    gel: CondensedGel
    residual: NDArray[np.float64]
    law: ContactLaw
    points: ContactPoints
    position: NDArray[np.float64]
    softness: float
    tolerance_n: float

    @functools.cached_property
    def _scale(self) -> NDArray[np.float64]:
        """(points,) N/mm: the number c of the law, the stiffness that a point feels."""
        vertices, weights = self.points.vertices, self.points.weights
        blocks = self.gel.compliance.reshape(len(self.position), 3, len(self.position), 3)
        mean = np.einsum("aibi->ab", blocks) / 3.0
        of_face = mean[vertices[:, :, None], vertices[:, None, :]]
        yielding = np.einsum("pa,fab,pb->fp", weights, of_face, weights, optimize=True)
        return np.asarray(1.0 / (self.softness + np.abs(yielding).ravel()))

    def _at(self, move: NDArray[np.float64], force: NDArray[np.float64]) -> _Iterate:
        place = self.points.places(self.position + move) + self.softness * force
        contact = self.law.project(force, place, self._scale)
        held = self.points.gather(force)
        imbalance = self.residual + self.gel.stiffness @ move.ravel() - held.ravel()
        return _Iterate(move, force, contact, force - contact.force, imbalance)

    def solve(self, move: NDArray[np.float64], force: NDArray[np.float64]) -> CondensedSolution:
        """Solve from a first guess of the move (n, 3) and the forces (points, 3).

        Full steps while the violation falls at least every few of them, else shorter ones.
        """
        current = best = self._at(move, force)
        since_best = 0
        for iteration in range(MAX_NEWTON_STEPS):
            if current.size <= self.tolerance_n:
                return _ended(current, iteration, True)
            try:
                step, push = self._newton_step(current)
            except linalg.LinAlgError:
                break
            if not (np.isfinite(step).all() and np.isfinite(push).all()):
                break
            share = min(1.0, MAX_MOVE_MM / max(float(np.abs(step).max()), 1e-12))
            if since_best >= WATCHED_STEPS:
                share /= 2.0
            current = self._at(current.move + share * step, current.force + share * push)
            since_best += 1
            if current.size < best.size:
                best, since_best = current, 0
            if since_best > 2 * WATCHED_STEPS:
                break
        return _ended(best, MAX_NEWTON_STEPS, best.size <= self.tolerance_n)

    def _newton_step(self, at: _Iterate) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps of the move (n, 3) and of the forces (points, 3).

        Each point gives dl = -T (l - P) + K N dv with T = (I - dP/dl - e dP/dx)^-1 and
        K = T dP/dx; a point out of contact loses its force. The vertices then solve
        (S - N^T K N) dv = -(imbalance) - N^T T (l - P).
        """
        compliance = self.gel.compliance
        push = -at.violation
        touching = np.flatnonzero(at.contact.touches)
        if not len(touching):
            right = -at.imbalance + self.points.gather(push).ravel()
            return np.asarray(compliance @ right).reshape(-1, 3), push
        by_place = at.contact.by_place[touching]
        local = np.linalg.inv(np.eye(3) - at.contact.by_force[touching] - self.softness * by_place)
        push[touching] = np.einsum("nij,nj->ni", local, push[touching])
        slope = np.zeros((self.points.count, 3, 3))
        slope[touching] = local @ by_place
        faces = np.unique(touching // len(self.points.weights))
        used, coupling = self.points.gather_slopes(slope, faces)
        index = (3 * used[:, None] + np.arange(3)).ravel()
        right = -at.imbalance + self.points.gather(push).ravel()
        free = compliance @ right
        system = np.eye(len(index)) - compliance[np.ix_(index, index)] @ coupling
        touched = np.asarray(linalg.solve(system, free[index], check_finite=False))
        step = (free + compliance[:, index] @ (coupling @ touched)).reshape(-1, 3)
        moved = self.points.places(step)
        push[touching] += np.einsum("nij,nj->ni", slope[touching], moved[touching])
        return step, push


def _ended(at: _Iterate, iterations: int, converged: bool) -> CondensedSolution:
    return CondensedSolution(at.move, at.force, at.contact, iterations, at.size, converged)
