"""Contact law of one substep: friction anchors, and an allowance for faces on a curved indenter.

A face is flat between its vertices. If no point of a face could be inside a sphere, the gel would
touch a larger sphere; with an allowance, contact forces on a sphere follow the layer theory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_law import ContactLaw, step_anchors
from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.indenters.indenter import Indenter

MAX_ALLOWANCE_MM = 0.012  # depth of a point below the curved surface, mm
MAX_SMOOTH_CURVATURE_PER_MM = 1.5  # 1/mm; a sharper edge is no smooth surface: no allowance there
# Part of the mean depth of a face that is subtracted from the depths of its points: with 0 the
# vertices of a face lie on the curved indenter, with 1 the face does on average.
MEAN_DEPTH_FRACTION = 0.75


def substep_law(
    indenter: Indenter,
    friction: float,
    start: IndenterPose,
    goal: IndenterPose,
    points: ContactPoints,
    position: NDArray[np.float64],
    touches: NDArray[np.bool_],
) -> ContactLaw:
    """Return the contact law of a substep at the candidate points.

    Args:
        indenter: rigid indenter.
        friction: Coulomb coefficient.
        start: indenter pose before the substep.
        goal: indenter pose at the end of the substep.
        points: contact points on the candidate faces.
        position: (n, 3) positions of the candidate vertices before the substep, mm.
        touches: (points,) bool, points that are in contact before the substep.
    """
    return ContactLaw(
        indenter=indenter,
        pose=goal,
        anchors=step_anchors(indenter, start, goal, points.interpolate(position), touches),
        friction=friction,
        allowance_mm=penetration_allowance(indenter, goal, points, position),
    )


def penetration_allowance(
    indenter: Indenter,
    goal: IndenterPose,
    points: ContactPoints,
    position: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the penetration up to which each point does not count as touching in a substep.

    Args:
        indenter: rigid indenter.
        goal: indenter pose at the end of the substep.
        points: contact points on the candidate faces.
        position: (n, 3) positions of the candidate vertices before the substep, mm.

    Returns:
        (points,) allowance, mm; negative at points that are kept outside the indenter.
    """
    local = goal.to_indenter(points.interpolate(position))
    hessian = goal.matrix @ indenter.derivatives(local).hessian @ goal.matrix.T
    is_smooth = np.linalg.norm(hessian, axis=(1, 2)) < MAX_SMOOTH_CURVATURE_PER_MM
    depth = np.minimum(points.sagitta(position, hessian), MAX_ALLOWANCE_MM) * is_smooth
    of_face = depth.reshape(len(points.faces), -1)
    mean = of_face.mean(axis=1, keepdims=True)
    return np.asarray((of_face - MEAN_DEPTH_FRACTION * mean).ravel())
