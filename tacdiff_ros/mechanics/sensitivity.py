"""Gradients of the gel's surface by indenter pose and material, computed by the adjoint method.

At an equilibrium, the derivatives of all surface vertices by all parameters follow from one linear
system (implicit function theorem). Its transpose costs one back substitution with a factor of the
stiffness, whatever the number of parameters.

Limits: without friction, the equilibrium does not depend on the history, and the gradients are
those of the surface as a function of pose and material. With friction, they are gradients of the
last step only: the anchors of the points, from which slip is measured, are held fixed. At states in
which points are about to make contact, separate or begin to slip, the surface is not
differentiable, and the gradient is one-sided. The penetration allowance of faces on a curved
indenter (`ContactLaw.allowance_mm`) is also held fixed: exact on spheres, an error of about one per
cent of the gradient on a torus.
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
    """Derivative of a scalar loss by indenter pose and material.

    The surface does not depend on Young's modulus.

    Attributes:
        x: derivative by the indenter's x position (to the right in the image), 1/mm.
        y: derivative by the indenter's y position (down in the image), 1/mm.
        depth: derivative by the indentation depth, 1/mm.
        yaw: derivative by the indenter's rotation about z, 1/rad.
        poisson_ratio: derivative by Poisson's ratio.
        friction: derivative by the friction coefficient.
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
    """Return the gradient of a loss by pose and material.

    Args:
        solver: solver that computed the state.
        state: equilibrium state with contact.
        surface_gradient: (vertices, 3) derivative of the loss by the surface positions, 1/mm.

    Raises:
        InputError: the surface gradient has another shape or is not finite, or the state has no
            contact.
        StepFailureError: the stiffness cannot be factorised.
    """
    vertices = solver.mesh.rows * solver.mesh.columns
    gradient = np.asarray(surface_gradient, np.float64)
    if gradient.shape != (vertices, 3) or not np.isfinite(gradient).all():
        raise InputError(
            f"surface gradient has shape {gradient.shape}, expected ({vertices}, 3) finite numbers"
        )
    if not state.point_force.any():
        raise InputError("the indenter does not touch the gel: there is nothing to differentiate")
    load = np.zeros((solver.mesh.node_count, 3))
    load[solver.mesh.surface_nodes] = gradient
    at = solver.linearise(state)
    try:
        adjoint, force_weight = _adjoint(at, load.ravel())
    finally:
        at.condensed.close()
    by_parameter = _force_by_parameter(solver, state, at)
    values = {
        name: float(np.sum(force_weight * derivative)) for name, derivative in by_parameter.items()
    }
    poisson = -float(adjoint @ solver.pad.force_by_poisson_ratio(state.displacement))
    return TouchGradient(poisson_ratio=poisson, **values)


@one_blas_thread
def _adjoint(
    at: Linearisation, load: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve the adjoint system.

    Args:
        at: linearisation around the equilibrium.
        load: (unknowns,) derivative of the loss by the displacement, 1/mm.

    Returns:
        The (unknowns,) adjoint displacement, and the (points, 3) weights with which derivatives of
        the contact law's forces enter the gradient.
    """
    contact, points = at.contact, at.condensed.points
    local = np.linalg.inv(np.eye(3) - contact.by_force - at.softness * contact.by_position)
    used, coupling = points.assemble_jacobian(
        local @ contact.by_position, np.arange(len(points.faces))
    )
    index = (3 * used[:, None] + np.arange(3)).ravel()
    system = at.condensed.gel.stiffness.copy()
    system[np.ix_(index, index)] -= coupling
    half, condensed_load = at.condensed.condense(load)
    weight = np.linalg.solve(system.T, condensed_load)
    adjoint = at.condensed.expand(half, weight)
    at_points = points.interpolate(weight.reshape(-1, 3))
    return adjoint, np.einsum("nij,ni->nj", local, at_points)


def _force_by_parameter(
    solver: GelSolver, state: GelState, at: Linearisation
) -> dict[str, NDArray[np.float64]]:
    """Return the (points, 3) derivatives of the law's forces at fixed gel positions, by parameter.

    The contact forces are invariant under a common motion of gel, forces and indenter; a motion of
    the indenter is therefore equivalent to the opposite motion of the gel and of its forces.
    """
    contact = at.contact
    up = np.array([0.0, 0.0, 1.0])
    rotated_force = np.cross(up, contact.force)
    rotated_position = np.cross(up, at.position - state.pose.tip_mm)
    yaw = (
        rotated_force
        - np.einsum("nij,nj->ni", contact.by_force, np.cross(up, at.force))
        - np.einsum("nij,nj->ni", contact.by_position, rotated_position)
    )
    friction = np.zeros_like(contact.force)
    if solver.material.friction > 0.0:
        # The friction force of a slipping point is mu F in the direction of slip.
        tangential = contact.force - contact.normal_force_n[:, None] * contact.normal
        friction[contact.slips] = tangential[contact.slips] / solver.material.friction
    return {
        "x": -contact.by_position[:, :, 0],
        "y": -contact.by_position[:, :, 1],
        "depth": contact.by_position[:, :, 2],
        "yaw": yaw,
        "friction": friction,
    }
