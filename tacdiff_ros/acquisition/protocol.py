"""The press / translate / rotate protocol as data, and the steps of one trial.

Protocol of the paper (section V-A, figure 5): press, translate 2 mm in four directions, rotate by
+-5 degrees, from a random start pose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.settings_file import read_settings

MAXIMUM_FILE_BYTES = 64 * 1024
DIRECTIONS = {"x+": (1.0, 0.0), "x-": (-1.0, 0.0), "y+": (0.0, 1.0), "y-": (0.0, -1.0)}


class Phase(IntEnum):
    """Phases of a trial, with the numbers of `tacdiff_ros/AcquisitionState`."""

    IDLE = 0
    MOVE_TO_START = 1
    REFERENCE = 2
    APPROACH = 3
    INDENT = 4
    TRANSLATE = 5
    ROTATE = 6
    RETRACT = 7
    STOPPED = 8


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StartRange(_Section):
    """Random start poses: uniform in [-value, value] around the indenter's axis."""

    offset_x_mm: Annotated[float, Field(ge=0, le=10)] = 3.0
    offset_y_mm: Annotated[float, Field(ge=0, le=10)] = 2.0
    yaw_deg: Annotated[float, Field(ge=0, le=180)] = 20.0
    standoff_mm: Annotated[float, Field(ge=1, le=50, description="gap before the approach")] = 5.0


class Approach(_Section):
    """How contact is found."""

    contact: Literal["force", "image"] = "force"
    contact_force_n: Annotated[float, Field(gt=0, le=5)] = 0.3
    contact_image_change: Annotated[float, Field(gt=0, le=50, description="grey levels")] = 1.5
    speed_mm_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    maximum_travel_mm: Annotated[float, Field(gt=0, le=60)] = 8.0


class Protocol(_Section):
    """One acquisition protocol; `config/protocols/` has examples.

    `return_to_center` false is the paper's forward-only protocol: each step starts where the last
    ended, so the second translation of an axis brings the indenter back.
    """

    version: Literal[1] = 1
    trials: Annotated[int, Field(ge=1, le=10_000)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    start: StartRange = StartRange()
    approach: Approach = Approach()
    depth_mm: Annotated[float, Field(gt=0, le=2.0)] = 1.0
    translation_mm: Annotated[float, Field(gt=0, le=4.0)] = 2.0
    directions: tuple[Literal["x+", "x-", "y+", "y-"], ...] = ("x+", "x-", "y+", "y-")
    rotation_deg: Annotated[float, Field(ge=0, le=15)] = 5.0
    return_to_center: bool = True
    speed_mm_s: Annotated[float, Field(gt=0, le=50)] = 4.0
    rotation_speed_deg_s: Annotated[float, Field(gt=0, le=45)] = 10.0
    travel_speed_mm_s: Annotated[float, Field(gt=0, le=100)] = 20.0
    settle_s: Annotated[float, Field(ge=0, le=10)] = 0.3
    dwell_s: Annotated[float, Field(ge=0.05, le=60)] = 0.5


@dataclass(frozen=True)
class Step:
    """One motion of a trial that ends in a settling and a dwell time."""

    phase: Phase
    name: str
    target: IndenterPose


@dataclass(frozen=True)
class Trial:
    """Start pose (at depth 0) and the steps after contact."""

    start: IndenterPose
    steps: tuple[Step, ...]


def load_protocol(path: Path) -> Protocol:
    """Read a protocol file.

    Raises:
        InputError: the file is missing, too large, not YAML, or a value in it is unknown, of the
            wrong kind or out of range; the message names the value.
    """
    return read_settings(path, Protocol, "protocol", MAXIMUM_FILE_BYTES)


def plan_trials(protocol: Protocol, trials: int = 0, seed: int | None = None) -> list[Trial]:
    """Random start poses and steps of all trials.

    Args:
        protocol: what to do in each trial.
        trials: how many; 0 for the protocol's number.
        seed: of the start poses; None for the protocol's. Trial i of a seed is always the same.

    Raises:
        InputError: more trials than a protocol may have.
    """
    count = trials or protocol.trials
    if not 1 <= count <= 10_000:
        raise InputError(f"{count} trials asked for; a run takes 1 to 10000")
    root = np.random.SeedSequence(protocol.seed if seed is None else seed)
    return [_plan_trial(protocol, np.random.default_rng(child)) for child in root.spawn(count)]


def _plan_trial(protocol: Protocol, random: np.random.Generator) -> Trial:
    span = protocol.start
    start = IndenterPose(
        x_mm=random.uniform(-span.offset_x_mm, span.offset_x_mm),
        y_mm=random.uniform(-span.offset_y_mm, span.offset_y_mm),
        yaw_rad=math.radians(random.uniform(-span.yaw_deg, span.yaw_deg)),
    )
    pressed = IndenterPose(start.x_mm, start.y_mm, protocol.depth_mm, start.yaw_rad)
    steps = [Step(Phase.INDENT, "indent", pressed)]
    for direction in protocol.directions:
        x, y = (protocol.translation_mm * unit for unit in DIRECTIONS[direction])
        steps += _leg(
            protocol, Phase.TRANSLATE, f"translate_{direction}", steps[-1].target, (x, y, 0.0)
        )
    angle = math.radians(protocol.rotation_deg)
    for sign, name in ((1, "rotate_+"), (-1, "rotate_-")) if angle else ():
        steps += _leg(protocol, Phase.ROTATE, name, steps[-1].target, (0.0, 0.0, sign * angle))
    return Trial(start, tuple(steps))


def _leg(
    protocol: Protocol,
    phase: Phase,
    name: str,
    origin: IndenterPose,
    motion: tuple[float, float, float],
) -> list[Step]:
    """Out, and back when the protocol returns to the centre."""
    out = Step(phase, name, origin.moved(*motion))
    return [out, Step(phase, f"{name}_back", origin)] if protocol.return_to_center else [out]
