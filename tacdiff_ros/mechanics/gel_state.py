"""The gel in equilibrium, and what it cost to get there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_law import Anchors
from tacdiff_ros.mechanics.elasticity import ElasticForce


class StepFailureError(RuntimeError):
    """A step did not converge; the message says how."""


@dataclass(frozen=True)
class StepReport:
    """What a step cost.

    Attributes:
        substeps: converged parts of it.
        cuts: attempts that were given up and repeated in halves.
        descents: parts that were solved as a descent of the energy.
        iterations: residual evaluations of the whole pad.
        contact_iterations: linear systems of the condensed contact problem.
        factorisations: of the stiffness.
        residual_n: largest imbalance of a force at the end.
        friction_unsettled: share of all friction that sat at other points than the law puts it;
            0 where the law itself was solved.
    """

    substeps: int = 0
    cuts: int = 0
    descents: int = 0
    iterations: int = 0
    contact_iterations: int = 0
    factorisations: int = 0
    residual_n: float = 0.0
    friction_unsettled: float = 0.0

    def plus(self, part: StepReport) -> StepReport:
        """Of this and a part that followed."""
        return StepReport(
            self.substeps + part.substeps,
            self.cuts + part.cuts,
            self.descents + part.descents,
            self.iterations + part.iterations,
            self.contact_iterations + part.contact_iterations,
            self.factorisations + part.factorisations,
            part.residual_n,
            max(self.friction_unsettled, part.friction_unsettled),
        )


@dataclass(frozen=True)
class GelState:
    """The pad in equilibrium, F faces with p contact points each.

    Attributes:
        displacement: (unknowns,) mm.
        pose: of the indenter.
        point_force: (F, p, 3) N on the gel.
        anchors: of the last step, F p points.
        allowance_mm: (F, p), of the last step, see `ContactLaw`.
        softness: of the contact points in the last step, mm/N.
        force: (vertices, 3) N on the gel.
        penetration_mm: how deep the deepest contact point is inside the indenter, 0 or more.
        elastic: internal forces.
        report: what the step to here cost.
    """

    displacement: NDArray[np.float64]
    pose: IndenterPose
    point_force: NDArray[np.float64]
    anchors: Anchors
    allowance_mm: NDArray[np.float64]
    softness: float
    force: NDArray[np.float64]
    penetration_mm: float
    elastic: ElasticForce
    report: StepReport

    @property
    def touches(self) -> NDArray[np.bool_]:
        """(vertices,) bool, with a loaded contact point on a face beside them."""
        return np.asarray(self.force.any(axis=1))
