"""The acquisition protocol (press, translate, rotate) as data, and the steps of each trial.

Protocol of the paper (section V-A, figure 5): from a random start pose, press, translate by 2 mm
in four directions and rotate by +-5 degrees.
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

MAX_FILE_BYTES = 64 * 1024
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
    """Range of the random start poses.

    Offsets and yaw are drawn uniformly from [-value, value] around the indenter's axis.
    """

    offset_x_mm: Annotated[float, Field(ge=0, le=10)] = 3.0
    offset_y_mm: Annotated[float, Field(ge=0, le=10)] = 2.0
    yaw_deg: Annotated[float, Field(ge=0, le=180)] = 20.0
    standoff_mm: Annotated[float, Field(ge=1, le=50, description="gap before the approach")] = 5.0


class Approach(_Section):
    """How the sensor approaches the indenter, and how contact is detected."""

    contact: Literal["force", "image"] = "force"
    contact_force_n: Annotated[float, Field(gt=0, le=5)] = 0.3
    contact_image_change: Annotated[float, Field(gt=0, le=50, description="grey levels")] = 1.5
    speed_mm_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    maximum_travel_mm: Annotated[float, Field(gt=0, le=60)] = 8.0


class Protocol(_Section):
    """One acquisition protocol; `config/protocols/` has examples.

    `return_to_center: false` is the paper's forward-only protocol: each step starts at the end of
    the last one, so that the second translation along an axis brings the indenter back.
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
    """One motion of a trial, followed by settling and dwelling.

    Attributes:
        phase: phase of the protocol.
        name: name of the step, such as "translate_x+".
        target: indenter pose in the frame `gel` at the end of the step.
    """

    phase: Phase
    name: str
    target: IndenterPose


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        start: indenter pose in the frame `gel` at contact (depth 0).
        steps: steps after contact, in their order.
    """

    start: IndenterPose
    steps: tuple[Step, ...]


def load_protocol(path: Path) -> Protocol:
    """Read a protocol file.

    Args:
        path: YAML file.

    Returns:
        The validated protocol.

    Raises:
        InputError: the file is missing, too large or not YAML, or a value in it is unknown, of the
            wrong type or out of range; the message names the value.
    """
    return read_settings(path, Protocol, "protocol", MAX_FILE_BYTES)


def plan_trials(protocol: Protocol, trials: int = 0, seed: int | None = None) -> list[Trial]:
    """Plan the random start poses and the steps of all trials.

    Args:
        protocol: acquisition protocol.
        trials: number of trials; 0 for the protocol's number.
        seed: seed of the start poses; None for the protocol's seed. Trial i of a seed is always
            the same.

    Returns:
        The planned trials, in their order.

    Raises:
        InputError: the number of trials is out of range.
    """
    count = trials or protocol.trials
    if not 1 <= count <= 10_000:
        raise InputError(f"{count} trials requested, expected 1 to 10000")
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
        x, y = (protocol.translation_mm * component for component in DIRECTIONS[direction])
        steps += _motion_steps(
            protocol, Phase.TRANSLATE, f"translate_{direction}", steps[-1].target, (x, y, 0.0)
        )
    angle = math.radians(protocol.rotation_deg)
    for sign, name in ((1, "rotate_+"), (-1, "rotate_-")) if angle else ():
        motion = (0.0, 0.0, sign * angle)
        steps += _motion_steps(protocol, Phase.ROTATE, name, steps[-1].target, motion)
    return Trial(start, tuple(steps))


def _motion_steps(
    protocol: Protocol,
    phase: Phase,
    name: str,
    origin: IndenterPose,
    motion: tuple[float, float, float],
) -> list[Step]:
    """Return the step away from the origin, and the step back if the protocol returns."""
    steps = [Step(phase, name, origin.moved(*motion))]
    if protocol.return_to_center:
        steps.append(Step(phase, f"{name}_back", origin))
    return steps
