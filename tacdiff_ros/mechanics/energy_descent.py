"""Descent of the whole pad's energy: the way over an edge, where no equilibrium is near."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.condensed_pad import CondensedPad
from tacdiff_ros.mechanics.contact_energy import CondensedEnergy, ContactPotential, lagged
from tacdiff_ros.mechanics.elasticity import ElasticForce, ElasticPad
from tacdiff_ros.mechanics.gel_state import StepReport

MAX_DESCENTS = 25
DESCENT_TOLERANCE, CONTACT_TOLERANCE_N = 1e-5, 1e-8
MIN_DAMPING, MIN_LENGTH_FRACTION, SLOW = 0.02, 0.01, 0.3
MIN_VOLUME_RATIO = 0.02
MAX_RENEWALS, WHOLE_RENEWALS, SETTLED_FRACTION = 6, 2, 2e-3
RENEWAL_TOLERANCE_N = 1e-5


@dataclass(frozen=True)
class EnergyDescent:
    """Newton's method with backtracking on the energy of pad and contact.

    Attributes:
        pad: elastic.
        condensed: its condensation to the vertices that may touch.
        potential: of the contact, with friction bounds held.
    """

    pad: ElasticPad
    condensed: CondensedPad
    potential: ContactPotential

    def run(
        self,
        displacement: NDArray[np.float64],
        elastic: ElasticForce,
        guess: NDArray[np.float64],
        report: StepReport,
        most: int = MAX_DESCENTS,
    ) -> tuple[NDArray[np.float64], ElasticForce, StepReport]:
        """The displacement of least energy, from a displacement and a first move (n, 3).

        Springs to where the pad is (damping, N/mm) are added while a step leads uphill.
        """
        damping, imbalance = 0.0, np.inf
        for _ in range(most):
            if self.condensed.stale or damping:
                self.condensed.factorise(displacement, damping)
                report = replace(report, factorisations=report.factorisations + 1)
            found = self._downhill(displacement, elastic, guess)
            guess = np.zeros_like(guess)
            report = replace(report, iterations=report.iterations + 1)
            self.condensed.stale = True
            if found is None:
                damping = max(4.0 * damping, MIN_DAMPING)
                continue
            displacement, elastic, count = found
            report = replace(report, contact_iterations=report.contact_iterations + count)
            held = self.potential.at(self._places(displacement)).force
            before = imbalance
            imbalance = float(np.abs(self.condensed.imbalance(elastic.force, held)).max())
            self.condensed.stale = damping > 0.0 or imbalance > SLOW * before
            if imbalance <= DESCENT_TOLERANCE * np.abs(elastic.force).max():
                break
            damping = damping / 4.0 if damping > MIN_DAMPING else 0.0
        return displacement, elastic, report

    def settled(self, displacement: NDArray[np.float64], elastic: ElasticForce) -> ContactPotential:
        """The potential with friction bounds renewed until they hold on the linearised gel.

        Bounds that swing between two values are averaged. What this leaves is for a descent of the
        whole pad to tell; it costs a fraction of one.
        """
        condensed, potential = self.condensed, self.potential
        _, load = condensed.condense(-elastic.force)
        position = condensed.position(displacement)
        move = np.zeros_like(position)
        for renewal in range(MAX_RENEWALS):
            energy = CondensedEnergy(condensed.gel, -load, potential, condensed.points, position)
            found = energy.minimise(move, RENEWAL_TOLERANCE_N)
            if found is None:
                break
            move = found[0]
            places = condensed.points.places(position + move)
            fresh = lagged(potential.law, potential.softness, places)
            change = fresh.change_from(potential)
            share = 1.0 if renewal < WHOLE_RENEWALS else 1.0 / (renewal - WHOLE_RENEWALS + 2)
            potential = potential.toward(fresh, share)
            if change <= SETTLED_FRACTION:
                break
        return potential

    def _downhill(
        self,
        displacement: NDArray[np.float64],
        elastic: ElasticForce,
        guess: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], ElasticForce, int] | None:
        """One step of the descent and its contact iterations; None where it leads uphill."""
        condensed = self.condensed
        half, load = condensed.condense(-elastic.force)
        energy = CondensedEnergy(
            condensed.gel,
            -load,
            self.potential,
            condensed.points,
            condensed.position(displacement),
        )
        found = energy.minimise(guess, CONTACT_TOLERANCE_N)
        if found is None:
            return None
        whole = condensed.expand(half, found[0])
        before = elastic.energy_mj + self.potential.at(self._places(displacement)).energy_mj
        share = 1.0
        while share > MIN_LENGTH_FRACTION:
            moved = displacement + share * whole
            trial = self.pad.force(moved)
            after = trial.energy_mj + self.potential.at(self._places(moved)).energy_mj
            if trial.smallest_volume_ratio > MIN_VOLUME_RATIO and after < before:
                return moved, trial, found[1]
            share /= 2.0
        return None

    def _places(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.condensed.points.places(self.condensed.position(displacement))
