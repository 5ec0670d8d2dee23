"""Plan of a dataset: trials that are derived from a seed, and their assignment to splits.

The default is the dataset of the paper (section IV-B): ten indenters with 50 trials each from
random start poses. A trial is a press of 2 mm, four translations of 2 mm and a rotation to both
sides, without the ways back: 112 states per trial, 56,000 in total.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenter_spec import parse_indenter
from tacdiff_ros.mechanics.trajectory import Trajectory, plan_trajectory
from tacdiff_ros.settings_file import read_settings

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
# Splits of ten consecutive rounds through the indenters. Splits are assigned by round, so that the
# split of a trial does not depend on the number of trials.
SPLIT_OF_ROUND: tuple[Split, ...] = (
    *("train", "test", "validation", "train", "train"),
    *("train", "test", "train", "train", "train"),
)
INDENTERS = (
    *("sphere", "cylinder", "cube", "cross", "cone"),
    *("torus", "edge", "hexagon", "pyramid", "text"),
)
MAX_PLAN_BYTES = 65_536


class DatasetPlan(BaseModel):
    """Parameters that determine all touches of a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**32, description="seed of start poses and friction")
    trials: int = Field(
        500, ge=1, le=1_000_000, description="number of trials; the indenters alternate"
    )
    indenters: tuple[str, ...] = Field(
        INDENTERS, min_length=1, max_length=256, description="specifications of the indenters"
    )
    trajectory: Trajectory = Trajectory(depth_mm=2.0, translation_mm=2.0, step_mm=0.1)
    start_mm: tuple[float, float] = Field(
        (5.0, 3.5), description="maximum distance of start poses from the pad's centre, x and y, mm"
    )
    friction: tuple[float, float] = Field(
        (0.4, 0.6), description="range of the Coulomb friction coefficient"
    )
    young_modulus_mpa: float = Field(
        0.2, ge=0.001, le=100, description="Young's modulus of the gel, MPa"
    )
    mechanics: Literal["full", "live"] = Field(
        "full",
        description="full: finite elements; live: the live gel, faster, for indentations up to "
        "1 mm",
    )
    rows: int = Field(33, ge=9, le=257, description="surface vertices of the solver along y")
    columns: int = Field(41, ge=9, le=257, description="surface vertices of the solver along x")

    @field_validator("indenters")
    @classmethod
    def _check_indenters(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        for spec in specs:
            try:
                parse_indenter(spec)
            except InputError as error:
                raise ValueError(str(error)) from error
        return specs

    @field_validator("start_mm", "friction")
    @classmethod
    def _check_not_negative(cls, pair: tuple[float, float]) -> tuple[float, float]:
        if min(pair) < 0:
            raise ValueError("expected two numbers of 0 or more")
        return pair

    @property
    def states_per_trial(self) -> int:
        """Number of samples of each trial."""
        return len(plan_trajectory(self.trajectory, IndenterPose()))


@dataclass(frozen=True)
class Trial:
    """One trajectory of an indenter.

    Attributes:
        index: index of the trial in the plan, starting at 0.
        indenter: specification of the indenter.
        start: indenter pose at the first contact with the gel.
        friction: Coulomb friction coefficient.
        split: split that the trial's samples belong to.
    """

    index: int
    indenter: str
    start: IndenterPose
    friction: float
    split: Split


def plan_trial(plan: DatasetPlan, index: int) -> Trial:
    """Return a trial of a plan; it does not depend on the number of trials.

    Args:
        plan: plan of the dataset.
        index: index of the trial.

    Returns:
        Trial with random start pose and friction, derived from the plan's seed and the index.

    Raises:
        InputError: the plan has no trial of this index.
    """
    if not 0 <= index < plan.trials:
        raise InputError(
            f"trial {index} is not among the {plan.trials} of the plan, expected 0 to "
            f"{plan.trials - 1}"
        )
    random = np.random.default_rng([plan.seed, 0xDA7A, index])
    x, y = (float(random.uniform(-side, side)) for side in plan.start_mm)
    yaw = float(random.uniform(-math.pi, math.pi))
    friction = float(random.uniform(min(plan.friction), max(plan.friction)))
    round_number, indenter_number = divmod(index, len(plan.indenters))
    return Trial(
        index=index,
        indenter=plan.indenters[indenter_number],
        start=IndenterPose(x, y, 0.0, yaw),
        friction=friction,
        split=SPLIT_OF_ROUND[round_number % len(SPLIT_OF_ROUND)],
    )


def read_plan(path: Path) -> DatasetPlan:
    """Read a dataset plan from a YAML file.

    Args:
        path: YAML file.

    Returns:
        Validated plan.

    Raises:
        InputError: the file is missing or no YAML, or a value is unknown or out of range.
    """
    return read_settings(path, DatasetPlan, "dataset plan", MAX_PLAN_BYTES)
