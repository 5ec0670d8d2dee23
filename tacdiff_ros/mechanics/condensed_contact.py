"""Contact problem of the linearised gel.

The unknowns are the displacement increment v of the candidate vertices (those that may come into
contact; all nodes of the pad where these are many) and the forces l at the contact points:

    r + S v = N^T l,    l = P(l, x + N v + e l).

r and S are the residual and the stiffness of the linearised gel, N interpolates from vertices to
contact points, P is the projection of `contact_law`, and e is the compliance ("softness") of a
contact point, without which the forces of the many points on one face would be indeterminate.

The solver is a semismooth Newton method in (v, l). The point forces are eliminated point by point,
so that the linear systems are only as large as the set of vertices in contact (after Hueber &
Wohlmuth, Comput. Methods Appl. Mech. Eng. 194, 2005).

Limits: the iteration may fail to converge where the gel snaps over an edge; see `energy_descent`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tacdiff_ros.mechanics.contact_law import ContactLaw, Projection
from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.linear_gel import LinearGel

MAX_NEWTON_STEPS = 50
STAGNATION_STEPS = 6  # steps without improvement before the steps are halved
MAX_INCREMENT_MM = 0.5  # of any vertex in one Newton step


@dataclass(frozen=True)
class CondensedSolution:
    """Result of the Newton iteration.

    Attributes:
        increment: (n, 3) displacement increment v of the vertices, mm.
        force: (points, 3) contact forces l on the gel, N.
        contact: contact law, evaluated at the solution.
        iterations: number of linear systems solved.
        violation_n: largest component of l - P and of the imbalance of the vertices, N.
        converged: True if `violation_n` is at most the tolerance.
    """

    increment: NDArray[np.float64]
    force: NDArray[np.float64]
    contact: Projection
    iterations: int
    violation_n: float
    converged: bool


@dataclass(frozen=True)
class _Iterate:
    """One Newton iterate.

    Attributes:
        increment: (n, 3) displacement increment v, mm.
        force: (points, 3) contact forces l, N.
        contact: contact law, evaluated at this iterate.
        violation: (points, 3) violation l - P of the contact law, N.
        imbalance: (3 n,) imbalance r + S v - N^T l of the vertices, N.
    """

    increment: NDArray[np.float64]
    force: NDArray[np.float64]
    contact: Projection
    violation: NDArray[np.float64]
    imbalance: NDArray[np.float64]

    @property
    def max_residual_n(self) -> float:
        return max(
            float(np.abs(self.violation).max(initial=0.0)),
            float(np.abs(self.imbalance).max(initial=0.0)),
        )


@dataclass(frozen=True)
class CondensedProblem:
    """Contact problem of one step for n candidate vertices.

    Attributes:
        gel: linearised gel, which holds the stiffness S.
        residual: (3 n,) residual r at zero increment, N.
        law: contact and friction law.
        points: contact points on the candidate faces.
        position: (n, 3) vertex positions at zero increment, mm.
        softness: compliance e of a contact point, mm/N.
        tolerance_n: largest violation of a converged solution, N.
    """

    gel: LinearGel
    residual: NDArray[np.float64]
    law: ContactLaw
    points: ContactPoints
    position: NDArray[np.float64]
    softness: float
    tolerance_n: float

    @functools.cached_property
    def _augmentation(self) -> NDArray[np.float64]:
        """(points,) augmentation parameter c of the law, N/mm: the local stiffness of a point."""
        return np.asarray(1.0 / (self.softness + self.gel.point_compliance(self.points)))

    def _evaluate(self, increment: NDArray[np.float64], force: NDArray[np.float64]) -> _Iterate:
        position = self.points.interpolate(self.position + increment) + self.softness * force
        contact = self.law.project(force, position, self._augmentation)
        vertex_force = self.points.gather(force)
        imbalance = self.residual + self.gel.force(increment.ravel()) - vertex_force.ravel()
        return _Iterate(
            increment=increment,
            force=force,
            contact=contact,
            violation=force - contact.force,
            imbalance=imbalance,
        )

    def solve(
        self, increment: NDArray[np.float64], force: NDArray[np.float64]
    ) -> CondensedSolution:
        """Solve the contact problem from an initial guess.

        Full Newton steps are taken as long as the residual improves at least once in
        `STAGNATION_STEPS` steps; after that the steps are halved.

        Args:
            increment: (n, 3) initial displacement increment, mm.
            force: (points, 3) initial contact forces, N.

        Returns:
            The solution, or the best iterate with `converged` False.
        """
        current = best = self._evaluate(increment, force)
        steps_since_best = 0
        for iteration in range(MAX_NEWTON_STEPS):
            if current.max_residual_n <= self.tolerance_n:
                return _solution(current, iteration, True)
            try:
                increment_step, force_step = self._newton_step(current)
            except linalg.LinAlgError:
                break
            if not (np.isfinite(increment_step).all() and np.isfinite(force_step).all()):
                break
            length = min(1.0, MAX_INCREMENT_MM / max(float(np.abs(increment_step).max()), 1e-12))
            if steps_since_best >= STAGNATION_STEPS:
                length /= 2.0
            current = self._evaluate(
                current.increment + length * increment_step, current.force + length * force_step
            )
            steps_since_best += 1
            if current.max_residual_n < best.max_residual_n:
                best, steps_since_best = current, 0
            if steps_since_best > 2 * STAGNATION_STEPS:
                break
        return _solution(best, MAX_NEWTON_STEPS, best.max_residual_n <= self.tolerance_n)

    def _newton_step(self, at: _Iterate) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the Newton steps of the increment (n, 3) in mm and of the forces (points, 3) in N.

        Each point gives dl = -T (l - P) + K N dv with T = (I - dP/dl - e dP/dx)^-1 and
        K = T dP/dx; a point out of contact loses its force. The vertices then solve
        (S - N^T K N) dv = -(imbalance) - N^T T (l - P).
        """
        force_step = -at.violation
        stiffness = np.zeros((self.points.count, 3, 3))
        touching = np.flatnonzero(at.contact.touches)
        by_position = at.contact.by_position[touching]
        local = np.linalg.inv(
            np.eye(3) - at.contact.by_force[touching] - self.softness * by_position
        )
        force_step[touching] = np.einsum("nij,nj->ni", local, force_step[touching])
        stiffness[touching] = local @ by_position
        right = -at.imbalance + self.points.gather(force_step).ravel()
        step = self.gel.solve(right, self.points, stiffness).reshape(-1, 3)
        point_step = self.points.interpolate(step)
        force_step[touching] += np.einsum("nij,nj->ni", stiffness[touching], point_step[touching])
        return step, force_step


def _solution(at: _Iterate, iterations: int, converged: bool) -> CondensedSolution:
    return CondensedSolution(
        increment=at.increment,
        force=at.force,
        contact=at.contact,
        iterations=iterations,
        violation_n=at.max_residual_n,
        converged=converged,
    )
