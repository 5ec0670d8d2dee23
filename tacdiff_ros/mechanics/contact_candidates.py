"""Selection of the surface faces that may come into contact, and of the points on them.

The contact problem is solved for these candidate faces. A new selection needs a new analysis and
factor of the stiffness, so the selection is wider than one step needs, and is kept as long as it
holds all faces that the indenter may reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_points import ContactPoints, SurfaceFaces
from tacdiff_ros.mechanics.gel_state import GelState
from tacdiff_ros.mechanics.indenters.indenter import Indenter

MAX_REQUIRED_GAP_MM = 0.25  # gap up to which a face may come into contact in one step, mm
MAX_SELECTED_GAP_MM = 0.6  # gap up to which faces are selected, to serve several steps, mm
MAX_DENSE_VERTICES = 800  # beyond it, a sparse matrix of the whole pad is faster than a dense one


@dataclass(frozen=True)
class CandidateFaces:
    """Faces near the indenter in one step.

    Attributes:
        required: (k,) row-major numbers of the faces that may be in contact in this step.
        nearby: (m,) row-major numbers of the required faces and of those around them.
    """

    required: NDArray[np.int64]
    nearby: NDArray[np.int64]

    def are_covered_by(self, points: ContactPoints) -> bool:
        """Return whether there are required faces and a selection holds all of them.

        Args:
            points: contact points of an earlier selection.
        """
        return len(self.required) > 0 and bool(np.isin(self.required, points.faces).all())


def find_candidates(
    faces: SurfaceFaces,
    indenter: Indenter,
    state: GelState,
    goal: IndenterPose,
    position: NDArray[np.float64],
) -> CandidateFaces:
    """Return the faces near the indenter at the beginning or at the end of a step.

    Args:
        faces: faces of the pad's surface.
        indenter: rigid indenter.
        state: equilibrium before the step.
        goal: indenter pose at the end of the step.
        position: (vertices, 3) positions of all surface vertices before the step, mm.
    """
    centres = faces.centres(position)
    gap = np.minimum(
        indenter.distance(goal.to_indenter(centres)),
        indenter.distance(state.pose.to_indenter(centres)),
    )
    gap -= faces.half_diagonals(position)
    touches = state.point_force.any(axis=(1, 2))
    return CandidateFaces(
        required=np.flatnonzero((gap < MAX_REQUIRED_GAP_MM) | touches),
        nearby=np.flatnonzero((gap < MAX_SELECTED_GAP_MM) | touches),
    )


def select_points(faces: SurfaceFaces, candidates: CandidateFaces) -> ContactPoints:
    """Return the contact points on the nearby faces, or on the required ones if those are too many.

    Args:
        faces: faces of the pad's surface.
        candidates: faces near the indenter.
    """
    points = faces.select(candidates.nearby)
    if is_dense(points):
        return points
    required = faces.select(candidates.required)
    return required if is_dense(required) else points


def is_dense(points: ContactPoints) -> bool:
    """Return whether the vertices of contact points are few enough for a dense matrix."""
    return len(points.chosen) <= MAX_DENSE_VERTICES
