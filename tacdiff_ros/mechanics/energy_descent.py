"""Descent of the energy of the whole pad, for steps over an edge with no equilibrium nearby."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.contact_energy import (
    CondensedEnergy,
    ContactPotential,
    lagged_potential,
)
from tacdiff_ros.mechanics.elasticity import ElasticForce, ElasticPad
from tacdiff_ros.mechanics.gel_state import StepReport
from tacdiff_ros.mechanics.surface_stiffness import SurfaceStiffness

MAX_DESCENTS = 25
DESCENT_TOLERANCE, CONTACT_TOLERANCE_N = 1e-5, 1e-8  # imbalance over the largest force; gradient
MIN_DAMPING, MIN_LENGTH_FRACTION = 0.02, 0.01  # N/mm; shortest backtracking step over a full step
SLOW = 0.3  # ratio of successive imbalances above which the stiffness is factorised again
MIN_VOLUME_RATIO = 0.02
# Renewals of the friction bounds: their largest number, the number of those that are not averaged,
# and the change (fraction of all friction) at which the bounds count as settled.
MAX_RENEWALS, WHOLE_RENEWALS, SETTLED_FRACTION = 6, 2, 2e-3
RENEWAL_TOLERANCE_N = 1e-5


@dataclass(frozen=True)
class EnergyDescent:
    """Newton's method with backtracking on the energy of the pad and its contact.

    Attributes:
        pad: elastic pad.
        condensed: stiffness of the pad for the candidate vertices, or for all nodes.
        potential: contact potential with fixed friction bounds.
    """

    pad: ElasticPad
    condensed: SurfaceStiffness
    potential: ContactPotential

    def run(
        self,
        displacement: NDArray[np.float64],
        elastic: ElasticForce,
        guess: NDArray[np.float64],
        report: StepReport,
        max_iterations: int = MAX_DESCENTS,
    ) -> tuple[NDArray[np.float64], ElasticForce, StepReport]:
        """Minimise the energy of pad and contact.

        While a Newton step is no descent direction, springs toward the current displacement
        (damping, N/mm) are added.

        Args:
            displacement: (unknowns,) initial displacement, mm.
            elastic: internal force of the pad at this displacement.
            guess: (n, 3) initial increment of the candidate vertices, mm.
            report: counters of the step so far.
            max_iterations: largest number of Newton iterations.

        Returns:
            The (unknowns,) displacement of minimal energy in mm, the internal force there, and the
            report with this descent added.
        """
        damping, imbalance = 0.0, np.inf
        for _ in range(max_iterations):
            if self.condensed.stale or damping:
                self.condensed.factorise(displacement, damping)
                report = replace(report, factorisations=report.factorisations + 1)
            accepted = self._descent_step(displacement, elastic, guess)
            guess = np.zeros_like(guess)
            report = replace(report, iterations=report.iterations + 1)
            self.condensed.stale = True
            if accepted is None:
                if self._imbalance(displacement, elastic) <= self._tolerance_n(elastic):
                    break  # at the minimum: rounding errors let no step lower the energy
                damping = max(4.0 * damping, MIN_DAMPING)
                continue
            displacement, elastic, count = accepted
            report = replace(report, contact_iterations=report.contact_iterations + count)
            before, imbalance = imbalance, self._imbalance(displacement, elastic)
            self.condensed.stale = damping > 0.0 or imbalance > SLOW * before
            if imbalance <= self._tolerance_n(elastic):
                break
            damping = damping / 4.0 if damping > MIN_DAMPING else 0.0
        return displacement, elastic, report

    def settle_friction(
        self, displacement: NDArray[np.float64], elastic: ElasticForce
    ) -> ContactPotential:
        """Return the potential whose friction bounds are consistent with the linearised gel.

        The bounds are renewed until they change by less than `SETTLED_FRACTION` of all friction, or
        `MAX_RENEWALS` times; bounds that oscillate are averaged. A descent of the whole pad has to
        follow; this fixed-point iteration costs a fraction of one.

        Args:
            displacement: (unknowns,) displacement of the pad, mm.
            elastic: internal force of the pad at this displacement.
        """
        condensed, potential = self.condensed, self.potential
        _, load = condensed.condense(-elastic.force)
        position = condensed.position(displacement)
        increment = np.zeros_like(position)
        for renewal in range(MAX_RENEWALS):
            energy = CondensedEnergy(condensed.gel, -load, potential, condensed.points, position)
            minimum = energy.minimise(increment, RENEWAL_TOLERANCE_N)
            if minimum is None:
                break
            increment = minimum[0]
            point_position = condensed.points.interpolate(position + increment)
            renewed = lagged_potential(potential.law, potential.softness, point_position)
            change = renewed.friction_difference(potential)
            weight = 1.0 if renewal < WHOLE_RENEWALS else 1.0 / (renewal - WHOLE_RENEWALS + 2)
            potential = potential.toward(renewed, weight)
            if change <= SETTLED_FRACTION:
                break
        return potential

    def _descent_step(
        self,
        displacement: NDArray[np.float64],
        elastic: ElasticForce,
        guess: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], ElasticForce, int] | None:
        """Make one backtracking step of the whole pad.

        Returns:
            The new displacement, the internal force there and the number of contact iterations;
            None if the step does not lower the energy.
        """
        condensed = self.condensed
        half, load = condensed.condense(-elastic.force)
        energy = CondensedEnergy(
            gel=condensed.gel,
            residual=-load,
            potential=self.potential,
            points=condensed.points,
            position=condensed.position(displacement),
        )
        minimum = energy.minimise(guess, CONTACT_TOLERANCE_N)
        if minimum is None:
            return None
        increment, contact_iterations = minimum
        step = condensed.expand(half, increment)
        before = self._total_energy(displacement, elastic)
        length = 1.0
        while length > MIN_LENGTH_FRACTION:
            trial = displacement + length * step
            trial_elastic = self.pad.force(trial)
            after = self._total_energy(trial, trial_elastic)
            if trial_elastic.smallest_volume_ratio > MIN_VOLUME_RATIO and after < before:
                return trial, trial_elastic, contact_iterations
            length /= 2.0
        return None

    def _imbalance(self, displacement: NDArray[np.float64], elastic: ElasticForce) -> float:
        """Largest force that pad and contact do not balance at any node, N."""
        contact_force = self.potential.at(self._point_positions(displacement)).force
        return float(np.abs(self.condensed.imbalance(elastic.force, contact_force)).max())

    def _tolerance_n(self, elastic: ElasticForce) -> float:
        """Largest imbalance of a minimum, N."""
        return DESCENT_TOLERANCE * float(np.abs(elastic.force).max())

    def _total_energy(self, displacement: NDArray[np.float64], elastic: ElasticForce) -> float:
        """Energy of pad and contact at a displacement, N mm."""
        return elastic.energy_mj + self.potential.at(self._point_positions(displacement)).energy_mj

    def _point_positions(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """(points, 3) positions of the contact points at a displacement of the pad, mm."""
        return self.condensed.points.interpolate(self.condensed.position(displacement))
