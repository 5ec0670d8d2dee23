"""Equilibrium of a substep in which the gel snaps over an edge and Newton's method fails.

The energy of pad and contact is minimised with fixed friction bounds (a descent), the bounds are
renewed from the result, and so on. From a result with nearly settled friction, Newton's method
mostly reaches the equilibrium of the friction law itself.

Limits: the result is a state that the energy leads to, not a record of the snap. Where points at an
edge flip between its two sides, no friction bounds settle. Then an equilibrium is accepted in which
a fraction of all friction does not follow the law; `StepReport.friction_unsettled` states it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.contact_energy import ContactPotential, lagged_potential
from tacdiff_ros.mechanics.descent_strategies import (
    CAUTIOUS_WEIGHT,
    SETTLED_FRICTION,
    DescentStrategy,
    next_weight,
)
from tacdiff_ros.mechanics.energy_descent import EnergyDescent
from tacdiff_ros.mechanics.gel_state import StepFailureError, StepReport
from tacdiff_ros.mechanics.newton_step import Equilibrium, NewtonStep, PadIterate

MAX_NEWTON_ITERATIONS = 8  # Newton iterations from the result of a descent


@dataclass(frozen=True)
class _BalancedResult:
    """Result of a descent whose forces are in balance.

    Attributes:
        iterate: pad and contact forces.
        report: cost of the substep so far, with the residual and the unsettled friction.
    """

    iterate: PadIterate
    report: StepReport


@dataclass(frozen=True)
class EdgeCrossing:
    """Sequence of descents with renewed friction bounds.

    Attributes:
        newton: Newton iteration of the substep.
        strategy: strategy of the descents.
        max_unsettled: largest fraction of all friction that may violate the friction law in the
            result.
    """

    newton: NewtonStep
    strategy: DescentStrategy
    max_unsettled: float

    def solve(
        self, iterate: PadIterate, guess: NDArray[np.float64], report: StepReport
    ) -> Equilibrium:
        """Descend until Newton's method converges or the friction bounds settle.

        Args:
            iterate: equilibrium before the substep.
            guess: (n, 3) initial increment of the candidate vertices, mm.
            report: counters of the substep so far.

        Raises:
            StepFailureError: friction did not settle within the descents of the strategy.
        """
        report = replace(report, descents=report.descents + 1)
        potential = self._initial_potential(iterate)
        best: _BalancedResult | None = None
        weight, unsettled_before = CAUTIOUS_WEIGHT, math.inf
        for descent in range(self.strategy.max_descents):
            iterate, potential, report = self._descend(descent, iterate, potential, guess, report)
            guess = np.zeros_like(guess)
            fresh = self._lagged_potential(iterate)
            unsettled = fresh.friction_difference(potential)
            if self.strategy.tries_newton(descent, unsettled):
                equilibrium = self._newton_result(iterate, report)
                if equilibrium is not None:
                    return equilibrium
            weight = next_weight(weight, unsettled, unsettled_before)
            unsettled_before = unsettled
            potential = self.strategy.renewed(descent, potential, fresh, weight)
            imbalance = self.newton.imbalance(iterate)
            if not self.newton.is_balanced(iterate, imbalance):
                continue
            if best is None or unsettled < best.report.friction_unsettled:
                best = _BalancedResult(
                    iterate, replace(report, residual_n=imbalance, friction_unsettled=unsettled)
                )
            if unsettled <= SETTLED_FRICTION:
                break
        return self._accepted(best)

    def _initial_potential(self, start: PadIterate) -> ContactPotential:
        """Potential of the first descent, with the friction bounds of the state before the step."""
        bound = self.newton.law.friction * np.linalg.norm(start.point_force, axis=1)
        return replace(
            self._lagged_potential(start), bound_n=self.strategy.initial_friction * bound
        )

    def _lagged_potential(self, iterate: PadIterate) -> ContactPotential:
        """Potential whose friction bounds and normals belong to the positions of an iterate."""
        position = self.newton.point_positions(iterate.displacement)
        return lagged_potential(self.newton.law, self.newton.softness, position)

    def _descend(
        self,
        descent: int,
        iterate: PadIterate,
        potential: ContactPotential,
        guess: NDArray[np.float64],
        report: StepReport,
    ) -> tuple[PadIterate, ContactPotential, StepReport]:
        """Minimise the energy once; return the result, the potential it has used and the report."""
        newton = self.newton
        displacement, elastic = iterate.displacement, iterate.elastic
        minimisation = EnergyDescent(newton.pad, newton.condensed, potential)
        if self.strategy.settles_first(descent):
            potential = minimisation.settle_friction(displacement, elastic)
            minimisation = EnergyDescent(newton.pad, newton.condensed, potential)
        displacement, elastic, report = minimisation.run(
            displacement, elastic, guess, report, self.strategy.max_iterations(descent)
        )
        force = potential.at(newton.point_positions(displacement)).force
        return PadIterate(displacement, force, elastic), potential, report

    def _newton_result(self, iterate: PadIterate, report: StepReport) -> Equilibrium | None:
        """Solve the friction law itself from the result of a descent; None if that fails."""
        guess = np.zeros((len(self.newton.condensed.nodes), 3))
        try:
            return self.newton.solve(iterate, guess, report, MAX_NEWTON_ITERATIONS)
        except StepFailureError:
            self.newton.condensed.stale = True
            return None

    def _accepted(self, best: _BalancedResult | None) -> Equilibrium:
        """Return the result with the least unsettled friction, if that is small enough."""
        if best is None or best.report.friction_unsettled > self.max_unsettled:
            raise StepFailureError(
                f"friction did not settle in {self.strategy.max_descents} descents"
            )
        contact, _ = self.newton.residual(best.iterate)
        return Equilibrium(best.iterate, contact, best.report)
