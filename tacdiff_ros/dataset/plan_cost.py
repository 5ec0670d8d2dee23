"""Estimate of the size of a dataset and of the time it takes, before it is generated."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.dataset.plan import SPLITS, DatasetPlan, plan_trial
from tacdiff_ros.mechanics.live.live_gel import FITTED_DEPTH_MM

# docs/dataset.md, Measured.
GEL_CORE_S = {"full": 0.86, "live": 0.02}  # per sample; full: at 33 x 41 vertices
MESH_EXPONENT = 1.5  # of the number of vertices: 0.86 s at 33 x 41, 2.85 s at 49 x 61
IMAGE_CORE_S = 0.04  # per sample: maps and images
SAMPLE_BYTES = 686_000


@dataclass(frozen=True)
class PlanCost:
    """Cost of a dataset.

    Attributes:
        samples: number of samples.
        core_hours: computing time on one core, hours.
        gigabytes: size on the disk, GB.
        missing_splits: splits without a trial; training needs one of each.
    """

    samples: int
    core_hours: float
    gigabytes: float
    missing_splits: tuple[str, ...]

    def describe(self, workers: int | None) -> str:
        """Return the cost in one line.

        Args:
            workers: number of processes; None if it is unknown.
        """
        hours = self.core_hours / (workers or 1)
        time = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
        on = "of one core" if workers is None else f"on {workers} cores"
        return f"{self.samples} samples: about {time} {on}, {self.gigabytes:.1f} GB"


def plan_cost(plan: DatasetPlan) -> PlanCost:
    """Estimate the cost of a plan from the figures of docs/dataset.md.

    Args:
        plan: plan of the dataset.
    """
    samples = plan.trials * plan.states_per_trial
    mesh = 1.0
    if plan.mechanics == "full":
        mesh = (plan.rows * plan.columns / (33 * 41)) ** MESH_EXPONENT
    seconds = samples * (mesh * GEL_CORE_S[plan.mechanics] + IMAGE_CORE_S)
    rounds = range(0, plan.trials, len(plan.indenters))
    splits = {plan_trial(plan, index).split for index in rounds[:10]}
    missing = tuple(split for split in SPLITS if split not in splits)
    return PlanCost(samples, seconds / 3600, 1e-9 * samples * SAMPLE_BYTES, missing)


def plan_warnings(plan: DatasetPlan) -> list[str]:
    """Return what is wrong with a plan that can be generated, one line each.

    Args:
        plan: plan of the dataset.
    """
    lines = []
    missing = plan_cost(plan).missing_splits
    if missing:
        needed = 2 * len(plan.indenters) + 1
        lines.append(
            f"no trial is for {' and '.join(missing)}, which `tacdiff train` and `evaluate` need: "
            f"take --trials {needed} or more ({3 * len(plan.indenters)} for each indenter in all "
            "splits)"
        )
    depth_mm = plan.trajectory.depth_mm
    if plan.mechanics == "live" and depth_mm > FITTED_DEPTH_MM:
        lines.append(
            f"the live gel is fitted to presses of {FITTED_DEPTH_MM:g} mm, this plan goes to "
            f"{depth_mm:g} mm, where its surfaces are not verified: take `mechanics: full`, or a "
            f"`depth_mm` of {FITTED_DEPTH_MM:g}"
        )
    return lines
