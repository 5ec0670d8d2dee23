"""Result of the full solver for one indenter pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tacdiff_ros.mechanics.gel_result import GelResult
from tacdiff_ros.mechanics.gel_state import StepReport
from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class SolverStatus:
    """Accuracy and cost of a step.

    Attributes:
        report: substeps, cuts, descents, iterations and remaining imbalance of the step.
        smallest_volume_ratio: minimum of det F in the pad, above 0.
        imbalance: difference of the contact force and the reaction at the glass, over the contact
            force.
        seconds: wall time of the step, s.
    """

    report: StepReport
    smallest_volume_ratio: float
    imbalance: float
    seconds: float


@dataclass(frozen=True)
class SolverResult(GelResult):
    """Gel in equilibrium under the indenter; `converged` is True, as other states are no result.

    `error_mm` is the depth of the deepest surface point inside the indenter, 0 or more.

    Attributes:
        status: accuracy and cost of the step.
    """

    status: SolverStatus

    @cached_property
    def surface(self) -> GelSurface:
        """Deformed surface of the gel; it may overhang beside a steep wall of the indenter."""
        return GelSurface(
            rest=self.rest.astype(np.float32),
            position=(self.rest + self.displacement).astype(np.float32),
            rows=self.rows,
            columns=self.columns,
            may_overhang=True,
        )
