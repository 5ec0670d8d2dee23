"""Pad and contact, linearised around an equilibrium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.condensed_pad import CondensedPad
from tacdiff_ros.mechanics.contact_law import Anchors, ContactLaw, Projection
from tacdiff_ros.mechanics.contact_points import ContactPoints, SurfaceFaces
from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.gel_state import GelState
from tacdiff_ros.mechanics.indenters.indenter import Indenter


@dataclass(frozen=True)
class Linearisation:
    """Pad and contact, linearised around an equilibrium.

    Attributes:
        condensed: pad with its factor, condensed to the vertices of the faces in contact.
        force: (points, 3) contact forces on the gel, N.
        position: (points, 3) positions of the contact points, their compliance included, mm.
        contact: contact law and its derivatives at the points.
        softness: compliance of a contact point, mm/N.
    """

    condensed: CondensedPad
    force: NDArray[np.float64]
    position: NDArray[np.float64]
    contact: Projection
    softness: float


def linearise(
    pad: ElasticPad,
    faces: SurfaceFaces,
    indenter: Indenter,
    state: GelState,
    position: NDArray[np.float64],
    augmentation: float,
) -> Linearisation:
    """Return the linearisation around an equilibrium; the caller has to close its `condensed`.

    Args:
        pad: elastic pad.
        faces: faces of the pad's surface.
        indenter: rigid indenter.
        state: equilibrium.
        position: (vertices, 3) positions of all surface vertices in this state, mm.
        augmentation: augmentation parameter of the contact law, N/mm.

    Raises:
        StepFailureError: the stiffness cannot be factorised.
    """
    touching = np.flatnonzero(state.point_force.any(axis=(1, 2)))
    points = faces.select(touching)
    law = _law_of_last_step(indenter, pad.material.friction, state, points)
    force = state.point_force[touching].reshape(-1, 3)
    point_position = points.interpolate(position[points.chosen]) + state.softness * force
    contact = law.project(force, point_position, np.full(len(point_position), augmentation))
    condensed = CondensedPad(pad, points, precise=True)
    try:
        condensed.factorise(state.displacement)
    except BaseException:
        condensed.close()
        raise
    return Linearisation(condensed, force, point_position, contact, state.softness)


def _law_of_last_step(
    indenter: Indenter, friction: float, state: GelState, points: ContactPoints
) -> ContactLaw:
    """Contact law with the friction anchors and allowances of the step that led to a state."""
    index = points.numbers
    return ContactLaw(
        indenter=indenter,
        pose=state.pose,
        anchors=Anchors(state.anchors.position[index], state.anchors.valid[index]),
        friction=friction,
        allowance_mm=state.allowance_mm[points.faces].ravel(),
    )
