"""Newton iteration on the whole pad for one substep, with a factor of the stiffness that is kept.

Each iteration linearises the gel, solves the contact problem of the linearised gel completely on
the condensed surface, and moves the whole pad by the result. The factor of the stiffness is kept
over iterations and steps as long as the residual decreases fast enough. Residuals are always those
of the full nonlinear model, so a kept factor costs iterations but no accuracy.

Limits: the iteration fails where no equilibrium is near, as when the gel snaps over an edge; see
`edge_crossing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.condensed_contact import CondensedProblem, CondensedSolution
from tacdiff_ros.mechanics.contact_law import ContactLaw, Projection
from tacdiff_ros.mechanics.elasticity import ElasticForce, ElasticPad
from tacdiff_ros.mechanics.energy_descent import MIN_LENGTH_FRACTION, MIN_VOLUME_RATIO
from tacdiff_ros.mechanics.gel_state import StepFailureError, StepReport
from tacdiff_ros.mechanics.surface_stiffness import SurfaceStiffness

MAX_ITERATIONS = 20  # Newton iterations of one substep
MAX_RESIDUAL_RATIO = 0.5  # of successive residuals; above it, the stiffness is factorised again
DIVERGENCE_RATIO = 100.0  # residual over the largest internal force at which the iteration ends
MIN_FORCE_N = 1e-3  # smallest force that residuals are compared with, for a gel without load, N


@dataclass(frozen=True)
class Tolerances:
    """Convergence criteria of the Newton iteration.

    Attributes:
        relative: largest residual over the largest internal force of the pad.
        contact_n: largest residual of the contact problem of the linearised gel, N.
    """

    relative: float
    contact_n: float


@dataclass(frozen=True)
class PadIterate:
    """Pad and contact forces during an iteration, not yet in equilibrium.

    Attributes:
        displacement: (unknowns,) displacement of the free nodes, mm.
        point_force: (points, 3) contact forces on the gel at the candidate points, N.
        elastic: internal force of the pad at this displacement.
    """

    displacement: NDArray[np.float64]
    point_force: NDArray[np.float64]
    elastic: ElasticForce

    @property
    def force_scale_n(self) -> float:
        """Largest component of the internal force, at least `MIN_FORCE_N`, N."""
        return max(float(np.abs(self.elastic.force).max()), MIN_FORCE_N)


@dataclass(frozen=True)
class Equilibrium:
    """Result of one substep.

    Attributes:
        iterate: pad and contact forces in equilibrium.
        contact: contact law, evaluated at the equilibrium.
        report: computational cost and residual of the substep.
    """

    iterate: PadIterate
    contact: Projection
    report: StepReport


@dataclass(frozen=True)
class NewtonStep:
    """Newton iteration for the equilibrium of one substep.

    Attributes:
        pad: elastic pad.
        condensed: stiffness of the pad for the candidate vertices, or for all nodes.
        law: contact law of the substep.
        softness: compliance e of a contact point, mm/N.
        augmentation: augmentation parameter c with which the contact law is checked, N/mm.
        tolerances: convergence criteria.
    """

    pad: ElasticPad
    condensed: SurfaceStiffness
    law: ContactLaw
    softness: float
    augmentation: float
    tolerances: Tolerances

    def solve(
        self,
        iterate: PadIterate,
        guess: NDArray[np.float64],
        report: StepReport,
        max_iterations: int = MAX_ITERATIONS,
    ) -> Equilibrium:
        """Iterate to the equilibrium.

        Args:
            iterate: start of the iteration.
            guess: (n, 3) initial increment of the candidate vertices, mm.
            report: counters of the substep so far.
            max_iterations: largest number of iterations.

        Raises:
            StepFailureError: the iteration diverges or does not converge.
        """
        residual = math.inf
        for _ in range(max_iterations):
            if self.condensed.stale:
                self.condensed.factorise(iterate.displacement)
                report = replace(report, factorisations=report.factorisations + 1)
            solution, iterate = self._linear_step(iterate, guess, residual)
            guess = np.zeros_like(guess)
            before = residual
            contact, residual = self.residual(iterate)
            report = replace(
                report,
                iterations=report.iterations + 1,
                contact_iterations=report.contact_iterations + solution.iterations,
                residual_n=residual,
            )
            if self.is_balanced(iterate, residual):
                return Equilibrium(iterate, contact, report)
            self.condensed.stale = residual > MAX_RESIDUAL_RATIO * before
            if not residual < DIVERGENCE_RATIO * iterate.force_scale_n:
                break
        raise StepFailureError(f"imbalance {residual:.2g} N after {report.iterations} iterations")

    def residual(self, iterate: PadIterate) -> tuple[Projection, float]:
        """Return the contact law at the points, and the residual of the nonlinear model.

        Args:
            iterate: pad and contact forces.

        Returns:
            The evaluated contact law, and the largest component of its violation and of the force
            imbalance of all nodes, N.
        """
        force = iterate.point_force
        position = self.point_positions(iterate.displacement) + self.softness * force
        contact = self.law.project(force, position, np.full(len(position), self.augmentation))
        violation = float(np.abs(force - contact.force).max(initial=0.0))
        return contact, max(self.imbalance(iterate), violation)

    def imbalance(self, iterate: PadIterate) -> float:
        """Return the largest force that is not balanced at any node, N."""
        out = self.condensed.imbalance(iterate.elastic.force, iterate.point_force)
        return float(np.abs(out).max())

    def is_balanced(self, iterate: PadIterate, residual: float) -> bool:
        """Return whether a residual in N is within the relative tolerance."""
        return residual <= self.tolerances.relative * iterate.force_scale_n

    def point_positions(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (points, 3) positions of the contact points on the faces, mm."""
        return self.condensed.points.interpolate(self.condensed.position(displacement))

    def _linear_step(
        self, iterate: PadIterate, guess: NDArray[np.float64], residual: float
    ) -> tuple[CondensedSolution, PadIterate]:
        """Solve the contact problem of the linearised gel and move the pad accordingly.

        Args:
            iterate: pad and contact forces.
            guess: (n, 3) initial increment of the candidate vertices, mm.
            residual: residual of the iterate, N; infinite if it is not known yet.
        """
        condensed = self.condensed
        tolerance_n = self.tolerances.contact_n
        if condensed.inexactness > 0.0:
            if math.isinf(residual):
                _, residual = self.residual(iterate)
            tolerance_n = max(tolerance_n, condensed.inexactness * residual)
        half, load = condensed.condense(-iterate.elastic.force)
        problem = CondensedProblem(
            gel=condensed.gel,
            residual=-load,
            law=self.law,
            points=condensed.points,
            position=condensed.position(iterate.displacement),
            softness=self.softness,
            tolerance_n=tolerance_n,
        )
        solution = problem.solve(guess, iterate.point_force)
        if not solution.converged:
            raise StepFailureError("the contact of the linearised gel did not converge")
        increment = condensed.expand(half, solution.increment)
        return solution, self._moved(iterate.displacement, increment, solution.force)

    def _moved(
        self,
        displacement: NDArray[np.float64],
        increment: NDArray[np.float64],
        point_force: NDArray[np.float64],
    ) -> PadIterate:
        """Add an increment to the displacement, halved until no element is inverted."""
        length = 1.0
        while length > MIN_LENGTH_FRACTION:
            moved = displacement + length * increment
            elastic = self.pad.force(moved)
            if elastic.smallest_volume_ratio > MIN_VOLUME_RATIO:
                return PadIterate(moved, point_force, elastic)
            length /= 2.0
        raise StepFailureError("an element would invert")
