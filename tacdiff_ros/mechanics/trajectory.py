"""Press, four translations and a rotation as data: the paper's protocol for the simulated indenter.

Section IV of the paper: from a random start pose, a press, four translations and a rotation; each
phase goes on from where the last one ended ("forward only"). `returning` brings the indenter back
to the middle after each of them instead, as the protocol on the robot can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose

PhaseName = Literal["press", "translate", "rotate", "release"]
DIRECTIONS = {"x+": (1.0, 0.0), "x-": (-1.0, 0.0), "y+": (0.0, 1.0), "y-": (0.0, -1.0)}
LIFT_MM = -0.5
MAX_SHEAR_MM, MAX_TWIST_DEG = 4.0, 30.0  # of a single touch
MAX_STEPS = 10_000  # of one motion


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


@dataclass(frozen=True)
class Motion:
    """A straight motion to a pose."""

    phase: PhaseName
    name: str
    goal: IndenterPose


def plan_trajectory(trajectory: Trajectory, start: IndenterPose) -> list[TrajectoryStep]:
    """All poses of a touch that begins at a start pose at depth 0, the start itself left out."""
    return divide_motions(start, _motions(trajectory, start), trajectory)


def plan_touch(
    start: IndenterPose,
    depth_mm: float,
    shear_mm: tuple[float, float] = (0.0, 0.0),
    twist_rad: float = 0.0,
    trajectory: Trajectory | None = None,
) -> list[TrajectoryStep]:
    """A press, then a slide, then a rotation, in the steps of a trajectory."""
    pressed = IndenterPose(start.x_mm, start.y_mm, depth_mm, start.yaw_rad)
    slid = pressed.moved(*shear_mm)
    motions = [
        Motion("press", "press", pressed),
        Motion("translate", "slide", slid),
        Motion("rotate", "twist", slid.moved(yaw_rad=twist_rad)),
    ]
    return divide_motions(start, motions, trajectory or Trajectory())


def divide_motions(
    start: IndenterPose, motions: list[Motion], trajectory: Trajectory
) -> list[TrajectoryStep]:
    """Motions one after the other, in steps no longer than the trajectory's.

    Raises:
        InputError: a motion takes more than `MAX_STEPS`, or a number is not finite.
    """
    steps: list[TrajectoryStep] = []
    here = start
    for motion in motions:
        goal = motion.goal
        distance = math.dist(
            (here.x_mm, here.y_mm, here.depth_mm), (goal.x_mm, goal.y_mm, goal.depth_mm)
        )
        turn = math.degrees(abs(goal.yaw_rad - here.yaw_rad))
        share = max(distance / trajectory.step_mm, turn / trajectory.step_deg)
        if not share <= MAX_STEPS:
            raise InputError(f"motion '{motion.name}' takes {share:.3g} steps, at most {MAX_STEPS}")
        count = math.ceil(share - 1e-9)
        steps += [
            TrajectoryStep(motion.phase, motion.name, here.toward(goal, (i + 1) / count))
            for i in range(count)
        ]
        here = goal
    return steps


def _motions(trajectory: Trajectory, start: IndenterPose) -> list[Motion]:
    """Goals of the phases, one after the other."""
    middle = here = IndenterPose(start.x_mm, start.y_mm, trajectory.depth_mm, start.yaw_rad)
    motions = [Motion("press", "press", here)]
    for direction in trajectory.directions:
        x, y = (trajectory.translation_mm * share for share in DIRECTIONS[direction])
        here = here.moved(x, y)
        motions.append(Motion("translate", f"translate {direction}", here))
        if trajectory.returning:
            here = middle
            motions.append(Motion("translate", f"back from {direction}", here))
    angle = math.radians(trajectory.rotation_deg)
    for name, yaw in (("rotate +", angle), ("rotate -", -angle)):
        here = IndenterPose(here.x_mm, here.y_mm, here.depth_mm, start.yaw_rad + yaw)
        motions.append(Motion("rotate", name, here))
    if trajectory.returning:
        here = middle
        motions.append(Motion("rotate", "rotate back", here))
    if trajectory.releasing:
        lifted = IndenterPose(here.x_mm, here.y_mm, LIFT_MM, here.yaw_rad)
        motions.append(Motion("release", "release", lifted))
    return motions
