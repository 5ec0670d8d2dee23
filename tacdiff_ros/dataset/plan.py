"""What a dataset holds: trials that follow from a seed, and which of them are for what.

The paper's set (section IV-B) is the default: ten indenters, 50 trials each from random start
poses, a press of 2 mm, four translations of 2 mm and a rotation to both sides, forward only:
112 states a trial, 56,000 in all.
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
# Of ten rounds through the indenters. By round, so that no split depends on how many follow.
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
    """Everything that decides the touches of a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**32, description="of start poses and friction")
    trials: int = Field(500, ge=1, le=1_000_000, description="indenters take turns")
    indenters: tuple[str, ...] = Field(INDENTERS, min_length=1, max_length=256)
    trajectory: Trajectory = Trajectory(depth_mm=2.0, translation_mm=2.0, step_mm=0.1)
    start_mm: tuple[float, float] = Field(
        (5.0, 3.5), description="largest distance of a start pose from the middle, along x and y"
    )
    friction: tuple[float, float] = Field((0.4, 0.6), description="range")
    young_modulus_mpa: float = Field(0.2, ge=0.001, le=100)
    mechanics: Literal["full", "live"] = Field(
        "full", description="finite elements, or the live gel: quicker, for up to 1 mm"
    )
    rows: int = Field(33, ge=9, le=257, description="surface vertices of the solver along y")
    columns: int = Field(41, ge=9, le=257, description="surface vertices of the solver along x")

    @field_validator("indenters")
    @classmethod
    def _can_be_read(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        for spec in specs:
            try:
                parse_indenter(spec)
            except InputError as error:
                raise ValueError(str(error)) from error
        return specs

    @field_validator("start_mm", "friction")
    @classmethod
    def _is_not_negative(cls, pair: tuple[float, float]) -> tuple[float, float]:
        if min(pair) < 0:
            raise ValueError("expected two numbers of 0 or more")
        return pair

    @property
    def states_per_trial(self) -> int:
        """Samples of each trial."""
        return len(plan_trajectory(self.trajectory, IndenterPose()))


@dataclass(frozen=True)
class Trial:
    """One trajectory.

    Attributes:
        index: from 0.
        indenter: spec.
        start: where the indenter meets the gel.
        friction: Coulomb coefficient.
        split: what its samples are for.
    """

    index: int
    indenter: str
    start: IndenterPose
    friction: float
    split: Split


def plan_trial(plan: DatasetPlan, index: int) -> Trial:
    """A trial of a plan; it depends on the seed and its index only.

    Raises:
        InputError: there is no such trial.
    """
    if not 0 <= index < plan.trials:
        raise InputError(f"trial {index} is not among the {plan.trials} of the plan")
    random = np.random.default_rng([plan.seed, 0xDA7A, index])
    x, y = (float(random.uniform(-side, side)) for side in plan.start_mm)
    yaw = float(random.uniform(-math.pi, math.pi))
    friction = float(random.uniform(min(plan.friction), max(plan.friction)))
    lap, turn = divmod(index, len(plan.indenters))
    split = SPLIT_OF_ROUND[lap % len(SPLIT_OF_ROUND)]
    return Trial(index, plan.indenters[turn], IndenterPose(x, y, 0.0, yaw), friction, split)


def read_plan(path: Path) -> DatasetPlan:
    """Read a plan's YAML file.

    Raises:
        InputError: missing, not YAML, or a value is unknown or out of range.
    """
    return read_settings(path, DatasetPlan, "dataset plan", MAX_PLAN_BYTES)
