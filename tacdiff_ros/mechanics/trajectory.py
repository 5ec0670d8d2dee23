"""Press, four translations and a rotation as data: the paper's protocol for the simulated indenter.

Section IV of the paper: from a random start pose, a press, four translations and a rotation; each
phase goes on from where the last one ended ("forward only"). `returning` brings the indenter back
to the middle after each of them instead, as the protocol on the robot can.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.mechanics.indenter_pose import IndenterPose

PhaseName = Literal["press", "translate", "rotate", "release"]
DIRECTIONS = {"x+": (1.0, 0.0), "x-": (-1.0, 0.0), "y+": (0.0, 1.0), "y-": (0.0, -1.0)}


class Trajectory(BaseModel):
    """What one touch does after contact."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    depth_mm: float = Field(1.0, gt=0, le=3.0, description="of the press")
    translation_mm: float = Field(1.0, ge=0, le=4.0, description="of each translation")
    directions: tuple[Literal["x+", "x-", "y+", "y-"], ...] = Field(
        ("x+", "x-", "y+", "y-"), max_length=16
    )
    rotation_deg: float = Field(6.0, ge=0, le=30, description="to both sides; 0: no rotation")
    returning: bool = Field(False, description="back to the middle after each phase")
    releasing: bool = Field(False, description="lift off at the end")
    step_mm: float = Field(0.125, ge=0.01, le=0.5, description="longest step")
    step_deg: float = Field(1.5, ge=0.1, le=5, description="largest step")


@dataclass(frozen=True)
class TrajectoryStep:
    """One pose on the way.

    Attributes:
        phase: of the touch.
        name: of the motion, such as `translate x+`.
        pose: to be reached.
    """

    phase: PhaseName
    name: str
    pose: IndenterPose


def plan_trajectory(trajectory: Trajectory, start: IndenterPose) -> list[TrajectoryStep]:
    """All poses of a touch that begins at a start pose at depth 0, the start itself left out."""
    steps: list[TrajectoryStep] = []
    here = start
    for phase, name, goal in _motions(trajectory, start):
        distance = math.dist(
            (here.x_mm, here.y_mm, here.depth_mm), (goal.x_mm, goal.y_mm, goal.depth_mm)
        )
        turn = math.degrees(abs(goal.yaw_rad - here.yaw_rad))
        count = math.ceil(max(distance / trajectory.step_mm, turn / trajectory.step_deg) - 1e-9)
        steps += [
            TrajectoryStep(phase, name, here.toward(goal, (i + 1) / count)) for i in range(count)
        ]
        here = goal
    return steps


def _motions(
    trajectory: Trajectory, start: IndenterPose
) -> list[tuple[PhaseName, str, IndenterPose]]:
    """Goals of the phases, one after the other."""
    middle = here = IndenterPose(start.x_mm, start.y_mm, trajectory.depth_mm, start.yaw_rad)
    motions: list[tuple[PhaseName, str, IndenterPose]] = [("press", "press", here)]
    for direction in trajectory.directions if trajectory.translation_mm else ():
        x, y = (trajectory.translation_mm * share for share in DIRECTIONS[direction])
        here = here.moved(x, y)
        motions.append(("translate", f"translate {direction}", here))
        if trajectory.returning:
            here = middle
            motions.append(("translate", f"back from {direction}", here))
    if trajectory.rotation_deg:
        angle = math.radians(trajectory.rotation_deg)
        for name, yaw in (("rotate +", angle), ("rotate -", -angle)):
            here = IndenterPose(here.x_mm, here.y_mm, here.depth_mm, start.yaw_rad + yaw)
            motions.append(("rotate", name, here))
        if trajectory.returning:
            motions.append(("rotate", "rotate back", middle))
            here = middle
    if trajectory.releasing:
        lifted = IndenterPose(here.x_mm, here.y_mm, -0.5, here.yaw_rad)
        motions.append(("release", "release", lifted))
    return [motion for motion, _ in itertools.groupby(motions)]
