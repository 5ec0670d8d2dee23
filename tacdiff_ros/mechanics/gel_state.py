"""Equilibrium state of the gel, and the computational cost of the step that led to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_law import Anchors
from tacdiff_ros.mechanics.elasticity import ElasticForce


class StepFailureError(RuntimeError):
    """A step did not converge; the message gives the reason."""


@dataclass(frozen=True)
class StepReport:
    """Computational cost and residual of one step.

    Attributes:
        substeps: number of converged substeps.
        cuts: number of failed attempts that were repeated with half the step.
        descents: number of substeps that were solved by energy descent.
        iterations: number of residual evaluations of the whole pad.
        contact_iterations: number of linear systems of the condensed contact problem.
        factorisations: number of factorisations of the stiffness.
        residual_n: largest force imbalance at the end, N.
        friction_unsettled: fraction of all friction that acts at other points than the friction
            law requires; 0 if the law itself was solved.
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
        """Return the report of this part of a step and the part that followed it."""
        return StepReport(
            substeps=self.substeps + part.substeps,
            cuts=self.cuts + part.cuts,
            descents=self.descents + part.descents,
            iterations=self.iterations + part.iterations,
            contact_iterations=self.contact_iterations + part.contact_iterations,
            factorisations=self.factorisations + part.factorisations,
            residual_n=part.residual_n,
            friction_unsettled=max(self.friction_unsettled, part.friction_unsettled),
        )


@dataclass(frozen=True)
class GelState:
    """Pad in equilibrium, with F surface faces and p contact points on each.

    Attributes:
        displacement: (unknowns,) displacement of the free nodes, mm.
        pose: indenter pose in frame `gel`.
        point_force: (F, p, 3) contact forces on the gel, N.
        anchors: friction anchors of the last step, for the F p points.
        allowance_mm: (F, p) penetration allowance of the last step, mm; see `ContactLaw`.
        softness: compliance of a contact point in the last step, mm/N.
        force: (vertices, 3) contact forces on the surface vertices, N.
        penetration_mm: depth of the deepest contact point inside the indenter, mm, 0 or more.
        elastic: internal force of the pad.
        report: cost of the step that led to this state.
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
        """(vertices,) bool, vertices of a face with a loaded contact point."""
        return np.asarray(self.force.any(axis=1))
