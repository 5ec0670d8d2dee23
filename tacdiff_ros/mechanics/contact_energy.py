"""Contact as a potential energy, for steps over an edge: friction bounds and directions are lagged.

If the normal pressure that bounds friction is taken from the previous iterate, contact and friction
have a potential, and an equilibrium is a minimum of the total energy. A descent method reaches it
from any start, also where the gel snaps over an edge and no equilibrium is near.

Source: lagged friction of Li et al., "Incremental Potential Contact", ACM Trans. Graph. 39, 2020;
here, linear springs replace the barrier functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.contact_law import ContactLaw
from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.linear_gel import LinearGel

MAX_STEPS = 40
MIN_STEP = 1.0 / 1024


@dataclass(frozen=True)
class PointEnergy:
    """Contact energy of all points, and its derivatives.

    Attributes:
        energy_mj: contact energy, summed over all points, N mm.
        force: (points, 3) contact forces on the gel, N: the negative gradient of the energy.
        jacobian: (points, 3, 3) derivative of `force` with respect to the position, N/mm.
        gap_mm: (points,) distance from the indenter, allowance included, mm.
    """

    energy_mj: float
    force: NDArray[np.float64]
    jacobian: NDArray[np.float64]
    gap_mm: NDArray[np.float64]


@dataclass(frozen=True)
class ContactPotential:
    """Potential of contact springs against the indenter, and of friction springs that yield.

    Attributes:
        law: contact law, which holds the pose, the indenter and the anchors.
        softness: compliance e of a contact point, mm/N.
        bound_n: (points,) largest friction force, N.
        normal: (points, 3) unit normals; friction acts in the plane across them.
    """

    law: ContactLaw
    softness: float
    bound_n: NDArray[np.float64]
    normal: NDArray[np.float64]

    def friction_difference(self, other: ContactPotential) -> float:
        """Return the difference of the friction bounds, as a fraction of all friction.

        Args:
            other: potential to compare with, at the same points.
        """
        total = float(self.bound_n.sum())
        return float(np.abs(self.bound_n - other.bound_n).sum()) / max(total, 1e-12)

    def toward(self, other: ContactPotential, fraction: float) -> ContactPotential:
        """Return a potential with friction bounds and normals interpolated toward another one.

        Args:
            other: potential at fraction 1.
            fraction: interpolation weight, 0 to 1.
        """
        normal = (1.0 - fraction) * self.normal + fraction * other.normal
        size = np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        bound = (1.0 - fraction) * self.bound_n + fraction * other.bound_n
        return replace(self, bound_n=bound, normal=normal / size)

    def at(self, position: NDArray[np.float64], curved: bool = True) -> PointEnergy:
        """Return the contact energy and its derivatives.

        Args:
            position: (points, 3) positions of the contact points, mm.
            curved: False to leave the curvature of the indenter out of the Jacobian, which makes
                the contact part positive semi-definite.
        """
        law = self.law
        local = law.pose.to_indenter(position)
        gap = law.gap(local)
        force, jacobian = np.zeros((len(position), 3)), np.zeros((len(position), 3, 3))
        energy = 0.0
        inside = np.flatnonzero(gap < 0.0)
        if len(inside):
            field = law.indenter.derivatives(local[inside])
            normal = field.gradient @ law.pose.matrix.T
            normal_force = -gap[inside] / self.softness
            energy += 0.5 * self.softness * float(normal_force @ normal_force)
            force[inside] = normal_force[:, None] * normal
            jacobian[inside] = -normal[:, :, None] * normal[:, None, :] / self.softness
            if curved:
                hessian = law.pose.matrix @ field.hessian @ law.pose.matrix.T
                jacobian[inside] += normal_force[:, None, None] * hessian
        return self._add_friction(position, energy, force, jacobian, gap)

    def _add_friction(
        self,
        position: NDArray[np.float64],
        energy: float,
        force: NDArray[np.float64],
        jacobian: NDArray[np.float64],
        gap: NDArray[np.float64],
    ) -> PointEnergy:
        """Add the friction springs to the energy, force and Jacobian (the arrays are modified).

        A spring is linear up to the bound, and carries the constant bound beyond it (slip).
        """
        rubbing = np.flatnonzero((self.bound_n > 0.0) & self.law.anchors.valid)
        if not len(rubbing):
            return PointEnergy(energy, force, jacobian, gap)
        normal, bound = self.normal[rubbing], self.bound_n[rubbing]
        slip = position[rubbing] - self.law.pose.to_gel(self.law.anchors.position[rubbing])
        slip = slip - np.einsum("ni,ni->n", slip, normal)[:, None] * normal
        length = np.maximum(np.linalg.norm(slip, axis=1), 1e-15)
        tangent_projection = np.eye(3) - normal[:, :, None] * normal[:, None, :]
        slips = length > bound * self.softness
        stiffness = np.where(slips, bound / length, 1.0 / self.softness)
        direction = slip / length[:, None]
        energy += float(
            np.where(
                slips, bound * length - 0.5 * self.softness * bound**2, 0.5 * stiffness * length**2
            ).sum()
        )
        force[rubbing] -= stiffness[:, None] * slip
        yielding = np.where(slips, stiffness, 0.0)[:, None, None] * (
            direction[:, :, None] * direction[:, None, :]
        )
        jacobian[rubbing] -= stiffness[:, None, None] * tangent_projection - yielding
        return PointEnergy(energy, force, jacobian, gap)


def lagged_potential(
    law: ContactLaw, softness: float, position: NDArray[np.float64]
) -> ContactPotential:
    """Return the potential whose friction bounds and normals belong to given positions.

    Args:
        law: contact law of the step.
        softness: compliance e of a contact point, mm/N.
        position: (points, 3) positions of the contact points, mm.
    """
    local = law.pose.to_indenter(position)
    field = law.indenter.derivatives(local)
    bound = law.friction * np.maximum(-law.gap(local), 0.0) / softness
    return ContactPotential(
        law=law, softness=softness, bound_n=bound, normal=field.gradient @ law.pose.matrix.T
    )


@dataclass(frozen=True)
class CondensedEnergy:
    """Energy of the linearised gel and its contact, as a function of the increment of n vertices.

    Attributes:
        gel: linearised gel, which holds the stiffness S.
        residual: (3 n,) residual r at zero increment, N.
        potential: potential of contact and friction.
        points: contact points on the candidate faces.
        position: (n, 3) vertex positions at zero increment, mm.
    """

    gel: LinearGel
    residual: NDArray[np.float64]
    potential: ContactPotential
    points: ContactPoints
    position: NDArray[np.float64]

    def at(self, increment: NDArray[np.float64]) -> tuple[float, PointEnergy]:
        """Return the energy r v + v S v / 2 + contact.

        Args:
            increment: (n, 3) displacement increment v of the vertices, mm.

        Returns:
            The total energy in N mm, and the contact part with its derivatives.
        """
        contact = self.potential.at(self.points.interpolate(self.position + increment))
        flat = increment.ravel()
        elastic = float(self.residual @ flat + 0.5 * flat @ self.gel.force(flat))
        return elastic + contact.energy_mj, contact

    def minimise(
        self, increment: NDArray[np.float64], tolerance_n: float
    ) -> tuple[NDArray[np.float64], int] | None:
        """Minimise the energy by Newton's method with backtracking.

        Args:
            increment: (n, 3) initial displacement increment, mm.
            tolerance_n: largest gradient component at the minimum, N.

        Returns:
            The (n, 3) increment of minimal energy in mm and the number of linear systems solved;
            None if no descent direction exists (S is not positive definite enough).
        """
        energy, contact = self.at(increment)
        for iteration in range(MAX_STEPS):
            elastic_gradient = self.residual + self.gel.force(increment.ravel())
            gradient = elastic_gradient - self.points.gather(contact.force).ravel()
            if np.abs(gradient).max() <= tolerance_n:
                return increment, iteration
            step = self._descent_step(increment, contact, gradient)
            if step is None:
                return None
            accepted = self._backtrack(increment, energy, step, float(gradient @ step.ravel()))
            if accepted is None:
                return increment, iteration + 1
            increment, energy, contact = accepted
        return increment, MAX_STEPS

    def _descent_step(
        self, increment: NDArray[np.float64], contact: PointEnergy, gradient: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Newton step (n, 3), without the indenter's curvature if that makes it an ascent."""
        step = self.gel.solve(-gradient, self.points, contact.jacobian)
        if gradient @ step >= 0.0:
            position = self.points.interpolate(self.position + increment)
            jacobian = self.potential.at(position, curved=False).jacobian
            step = self.gel.solve(-gradient, self.points, jacobian)
        return step.reshape(-1, 3) if gradient @ step < 0.0 else None

    def _backtrack(
        self,
        increment: NDArray[np.float64],
        energy: float,
        step: NDArray[np.float64],
        directional_derivative: float,
    ) -> tuple[NDArray[np.float64], float, PointEnergy] | None:
        """Halve the step until the energy satisfies the Armijo condition; None if it never does."""
        length = 1.0
        while length >= MIN_STEP:
            trial = increment + length * step
            trial_energy, contact = self.at(trial)
            bound = energy + 1e-4 * length * directional_derivative + 1e-14 * abs(energy)
            if trial_energy <= bound:
                return trial, trial_energy, contact
            length /= 2.0
        return None
