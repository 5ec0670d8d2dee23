"""How the surface answers to the indenter's pose and the material: gradients by the adjoint method.

At an equilibrium the derivative of all surface vertices by all parameters is one linear system;
its transpose costs one back-substitution with a factor of the stiffness, whatever the number of
parameters (implicit function theorem).

Without friction the equilibrium knows no history and the gradients are those of the surface as a
function of pose and material. With friction they are those of the last step: where the points met
the indenter before it (their anchors) is held fixed. At states where points are about to touch,
part or begin to slip, the surface has a kink and the gradient is that of one side. How deep faces
may cut into a curved indenter (`ContactLaw.allowance_mm`) is held fixed too: exact on spheres,
about one per cent of the gradient on a torus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.gel_solver import GelSolver, Linearisation
from tacdiff_ros.mechanics.gel_state import GelState


@dataclass(frozen=True)
class TouchGradient:
    """Derivative of a scalar by what the touch depends on.

    Attributes:
        x: per mm of the indenter's place to the right.
        y: per mm of its place down the image.
        depth: per mm of its depth.
        yaw: per radian of its rotation about z.
        poisson_ratio: per unit; on Young's modulus the surface does not depend.
        friction: per unit.
    """

    x: float
    y: float
    depth: float
    yaw: float
    poisson_ratio: float
    friction: float


def touch_gradient(
    solver: GelSolver, state: GelState, surface_gradient: NDArray[np.floating]
) -> TouchGradient:
    """Gradient of a loss by pose and material.

    Args:
        solver: that made the state.
        state: an equilibrium.
        surface_gradient: (vertices, 3), derivative of the loss by the surface's positions.

    Raises:
        InputError: the gradient has another shape or is not finite, or nothing touches.
        StepFailureError: the stiffness cannot be factorised.
    """
    vertices = solver.mesh.rows * solver.mesh.columns
    given = np.asarray(surface_gradient, np.float64)
    if given.shape != (vertices, 3) or not np.isfinite(given).all():
        raise InputError(
            f"surface gradient has shape {given.shape}, expected ({vertices}, 3) finite numbers"
        )
    if not state.point_force.any():
        raise InputError("the indenter does not touch the gel: there is nothing to differentiate")
    load = np.zeros((solver.mesh.node_count, 3))
    load[solver.mesh.surface_nodes] = given
    at = solver.linearise(state)
    try:
        adjoint, pull = _adjoint(at, load.ravel())
    finally:
        at.condensed.close()
    by_parameter = _force_by_parameter(solver, state, at)
    values = {name: float(np.sum(pull * slope)) for name, slope in by_parameter.items()}
    poisson = -float(adjoint @ solver.pad.force_by_poisson_ratio(state.displacement))
    return TouchGradient(poisson_ratio=poisson, **values)


@one_blas_thread
def _adjoint(
    at: Linearisation, load: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Adjoint displacement (unknowns,) and what it weighs forces of the points with (points, 3)."""
    contact, points = at.contact, at.condensed.points
    local = np.linalg.inv(np.eye(3) - contact.by_force - at.softness * contact.by_place)
    used, coupling = points.gather_slopes(local @ contact.by_place, np.arange(len(points.faces)))
    index = (3 * used[:, None] + np.arange(3)).ravel()
    system = at.condensed.gel.stiffness.copy()
    system[np.ix_(index, index)] -= coupling
    half, felt = at.condensed.condense(load)
    weight = np.linalg.solve(system.T, felt)
    adjoint = at.condensed.expand(half, weight)
    at_points = points.places(weight.reshape(-1, 3))
    return adjoint, np.einsum("nij,ni->nj", local, at_points)


def _force_by_parameter(
    solver: GelSolver, state: GelState, at: Linearisation
) -> dict[str, NDArray[np.float64]]:
    """(points, 3) derivatives of the law's forces at fixed places of the gel.

    Contact does not change when gel, forces and indenter move together; so a motion of the
    indenter acts like the opposite motion of the gel and of its forces.
    """
    contact = at.contact
    up = np.array([0.0, 0.0, 1.0])
    turned_force = np.cross(up, contact.force)
    turned_place = np.cross(up, at.place - state.pose.tip_mm)
    yaw = (
        turned_force
        - np.einsum("nij,nj->ni", contact.by_force, np.cross(up, at.force))
        - np.einsum("nij,nj->ni", contact.by_place, turned_place)
    )
    friction = np.zeros_like(contact.force)
    if solver.material.friction > 0.0:
        # A slipping point's friction is mu F along its way.
        rub = contact.force - contact.normal_force_n[:, None] * contact.normal
        friction[contact.slips] = rub[contact.slips] / solver.material.friction
    return {
        "x": -contact.by_place[:, :, 0],
        "y": -contact.by_place[:, :, 1],
        "depth": contact.by_place[:, :, 2],
        "yaw": yaw,
        "friction": friction,
    }
