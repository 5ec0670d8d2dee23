"""Contact as an energy, for the way over an edge: friction bounds and directions are held fixed.

With the pressure that bounds friction taken from before, contact and friction have a potential, and
an equilibrium is a minimum: it is reached by descent from any start, also where the gel snaps over
an edge and no equilibrium is near (the lagged friction of Li et al., "Incremental Potential
Contact", ACM Trans. Graph. 39, 2020, with springs in the place of barriers).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.condensed_contact import CondensedGel
from tacdiff_ros.mechanics.contact_law import ContactLaw
from tacdiff_ros.mechanics.contact_points import ContactPoints

MAX_STEPS = 40
MIN_STEP = 1.0 / 1024


@dataclass(frozen=True)
class PointEnergy:
    """Energy of points with its derivatives.

    Attributes:
        energy_mj: of all points, N mm.
        force: (points, 3) N on the gel, minus the gradient.
        slope: (points, 3, 3) N/mm, derivative of `force`.
        gap_mm: (points,).
    """

    energy_mj: float
    force: NDArray[np.float64]
    slope: NDArray[np.float64]
    gap_mm: NDArray[np.float64]


@dataclass(frozen=True)
class ContactPotential:
    """Springs of softness e against the indenter, and friction springs that yield at a bound.

    Attributes:
        law: pose, indenter and anchors.
        softness: mm/N, e.
        bound_n: (points,) largest friction force.
        normal: (points, 3), friction acts across it.
    """

    law: ContactLaw
    softness: float
    bound_n: NDArray[np.float64]
    normal: NDArray[np.float64]

    def change_from(self, other: ContactPotential) -> float:
        """Friction that sits elsewhere than in another potential, as a share of all friction."""
        total = float(self.bound_n.sum())
        return float(np.abs(self.bound_n - other.bound_n).sum()) / max(total, 1e-12)

    def toward(self, other: ContactPotential, share: float) -> ContactPotential:
        """Friction a share of the way to another's."""
        normal = (1.0 - share) * self.normal + share * other.normal
        size = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        bound = (1.0 - share) * self.bound_n + share * other.bound_n
        return replace(self, bound_n=bound, normal=normal / size)

    def at(self, place: NDArray[np.float64], curved: bool = True) -> PointEnergy:
        """Energy at places (points, 3); the slope without the indenter's curvature if asked."""
        law = self.law
        local = law.pose.to_indenter(place)
        gap = law.gap(local)
        force, slope = np.zeros((len(place), 3)), np.zeros((len(place), 3, 3))
        energy = 0.0
        inside = np.flatnonzero(gap < 0.0)
        if len(inside):
            field = law.indenter.derivatives(local[inside])
            normal = field.gradient @ law.pose.matrix.T
            pressing = -gap[inside] / self.softness
            energy += 0.5 * self.softness * float(pressing @ pressing)
            force[inside] = pressing[:, None] * normal
            slope[inside] = -normal[:, :, None] * normal[:, None, :] / self.softness
            if curved:
                bend = law.pose.matrix @ field.hessian @ law.pose.matrix.T
                slope[inside] += pressing[:, None, None] * bend
        return self._rub(place, energy, force, slope, gap)

    def _rub(
        self,
        place: NDArray[np.float64],
        energy: float,
        force: NDArray[np.float64],
        slope: NDArray[np.float64],
        gap: NDArray[np.float64],
    ) -> PointEnergy:
        rubs = np.flatnonzero((self.bound_n > 0.0) & self.law.anchors.valid)
        if not len(rubs):
            return PointEnergy(energy, force, slope, gap)
        normal, bound = self.normal[rubs], self.bound_n[rubs]
        slide = place[rubs] - self.law.pose.to_gel(self.law.anchors.place[rubs])
        slide = slide - np.einsum("ni,ni->n", slide, normal)[:, None] * normal
        length = np.maximum(np.linalg.norm(slide, axis=1), 1e-15)
        across = np.eye(3) - normal[:, :, None] * normal[:, None, :]
        slips = length > bound * self.softness
        stiffness = np.where(slips, bound / length, 1.0 / self.softness)
        way = slide / length[:, None]
        energy += float(
            np.where(
                slips, bound * length - 0.5 * self.softness * bound**2, 0.5 * stiffness * length**2
            ).sum()
        )
        force[rubs] -= stiffness[:, None] * slide
        yielding = np.where(slips, stiffness, 0.0)[:, None, None] * (
            way[:, :, None] * way[:, None, :]
        )
        slope[rubs] -= stiffness[:, None, None] * across - yielding
        return PointEnergy(energy, force, slope, gap)


def lagged(law: ContactLaw, softness: float, place: NDArray[np.float64]) -> ContactPotential:
    """The potential whose friction bounds and directions belong to places (points, 3)."""
    local = law.pose.to_indenter(place)
    field = law.indenter.derivatives(local)
    bound = law.friction * np.maximum(-law.gap(local), 0.0) / softness
    return ContactPotential(law, softness, bound, field.gradient @ law.pose.matrix.T)


@dataclass(frozen=True)
class CondensedEnergy:
    """Energy of the linearised gel and of its contact, as a function of the move of n vertices.

    Attributes:
        gel: condensed, S.
        residual: (3 n,) N, r.
        potential: of the contact.
        points: where it acts.
        position: (n, 3) mm at move 0.
    """

    gel: CondensedGel
    residual: NDArray[np.float64]
    potential: ContactPotential
    points: ContactPoints
    position: NDArray[np.float64]

    def at(self, move: NDArray[np.float64]) -> tuple[float, PointEnergy]:
        """R v + v S v / 2 + contact in N mm, and the contact."""
        contact = self.potential.at(self.points.places(self.position + move))
        flat = move.ravel()
        elastic = float(self.residual @ flat + 0.5 * flat @ (self.gel.stiffness @ flat))
        return elastic + contact.energy_mj, contact

    def minimise(
        self, move: NDArray[np.float64], tolerance_n: float
    ) -> tuple[NDArray[np.float64], int] | None:
        """The move (n, 3) of least energy and the linear systems it took.

        Newton steps with backtracking; None where a step leads uphill (S is not definite enough).
        """
        energy, contact = self.at(move)
        for iteration in range(MAX_STEPS):
            pull = self.residual + self.gel.stiffness @ move.ravel()
            gradient = pull - self.points.gather(contact.force).ravel()
            if np.abs(gradient).max() <= tolerance_n:
                return move, iteration
            step = self._step_down(move, contact, gradient)
            if step is None:
                return None
            found = self._backtrack(move, energy, step, float(gradient @ step.ravel()))
            if found is None:
                return move, iteration + 1
            move, energy, contact = found
        return move, MAX_STEPS

    def _step_down(
        self, move: NDArray[np.float64], contact: PointEnergy, gradient: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Newton step (n, 3), without the indenter's curvature where that leads uphill."""
        step = self._newton_step(contact.slope, gradient)
        if gradient @ step >= 0.0:
            places = self.points.places(self.position + move)
            step = self._newton_step(self.potential.at(places, curved=False).slope, gradient)
        return step.reshape(-1, 3) if gradient @ step < 0.0 else None

    def _backtrack(
        self, move: NDArray[np.float64], energy: float, step: NDArray[np.float64], fall: float
    ) -> tuple[NDArray[np.float64], float, PointEnergy] | None:
        share = 1.0
        while share >= MIN_STEP:
            trial = move + share * step
            there, contact = self.at(trial)
            if there <= energy + 1e-4 * share * fall + 1e-14 * abs(energy):
                return trial, there, contact
            share /= 2.0
        return None

    def _newton_step(
        self, slope: NDArray[np.float64], gradient: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(3 n,) solution of (S - N^T slope N) d = -gradient."""
        compliance = self.gel.compliance
        free = -(compliance @ gradient)
        faces = np.unique(np.flatnonzero(slope.any(axis=(1, 2))) // len(self.points.weights))
        if not len(faces):
            return np.asarray(free)
        used, coupling = self.points.gather_slopes(slope, faces)
        index = (3 * used[:, None] + np.arange(3)).ravel()
        system = np.eye(len(index)) - compliance[np.ix_(index, index)] @ coupling
        touched = np.linalg.solve(system, free[index])
        return np.asarray(free + compliance[:, index] @ (coupling @ touched))
