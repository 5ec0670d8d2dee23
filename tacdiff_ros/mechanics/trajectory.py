"""Trajectories of the simulated indenter: a press, translations and a rotation, in small steps.

Protocol of section IV of the paper: a press at a random start pose, then four translations and a
rotation, where each phase starts where the previous one ended ("forward only"). With `returning`,
the indenter returns to the centre after each phase instead, as the protocol on the robot can.
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
MAX_STEPS = 10_000  # largest number of steps of one motion


class Trajectory(BaseModel):
    """Motion of the indenter during one press event.

    Attributes:
        depth_mm: indentation depth of the press, mm.
        translation_mm: length of each translation, mm.
        directions: directions of the translations in order: along +x, -x, +y or -y.
        rotation_deg: rotation to each side, deg; 0 for no rotation.
        returning: True to return to the centre after each phase.
        releasing: True to lift off at the end.
        step_mm: largest translation per step, mm.
        step_deg: largest rotation per step, deg.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    depth_mm: float = Field(
        1.0, gt=0, description="indentation depth of the press, mm; at most half of the gel"
    )
    translation_mm: float = Field(1.0, ge=0, le=4.0, description="length of each translation, mm")
    directions: tuple[Literal["x+", "x-", "y+", "y-"], ...] = Field(
        ("x+", "x-", "y+", "y-"), max_length=16, description="directions of the translations"
    )
    rotation_deg: float = Field(6.0, ge=0, le=30, description="rotation to each side, deg; 0: none")
    returning: bool = Field(False, description="return to the centre after each phase")
    releasing: bool = Field(False, description="lift off at the end")
    step_mm: float = Field(0.125, ge=0.01, le=0.5, description="largest translation per step, mm")
    step_deg: float = Field(1.5, ge=0.1, le=5, description="largest rotation per step, deg")


@dataclass(frozen=True)
class TrajectoryStep:
    """One step of a trajectory.

    Attributes:
        phase: phase of the press event.
        name: name of the motion, such as `translate x+`.
        pose: indenter pose at the end of the step.
    """

    phase: PhaseName
    name: str
    pose: IndenterPose


@dataclass(frozen=True)
class Motion:
    """Straight motion to a pose.

    Attributes:
        phase: phase of the press event.
        name: name of the motion, such as `translate x+`.
        goal: indenter pose at the end of the motion.
    """

    phase: PhaseName
    name: str
    goal: IndenterPose


def plan_trajectory(trajectory: Trajectory, start: IndenterPose) -> list[TrajectoryStep]:
    """Return the steps of a press event, without the start pose.

    Args:
        trajectory: phases and step sizes.
        start: indenter pose at the beginning, at depth 0.

    Raises:
        InputError: a motion takes more than `MAX_STEPS`, or a number is not finite.
    """
    return divide_motions(start, _motions(trajectory, start), trajectory)


def plan_touch(
    start: IndenterPose,
    depth_mm: float,
    shear_mm: tuple[float, float] = (0.0, 0.0),
    twist_rad: float = 0.0,
    trajectory: Trajectory | None = None,
) -> list[TrajectoryStep]:
    """Return the steps of a press, a shift and a rotation.

    Args:
        start: indenter pose at the beginning, at depth 0.
        depth_mm: indentation depth of the press, mm.
        shear_mm: (x, y) shift after the press, mm.
        twist_rad: rotation about z after the shift, rad.
        trajectory: trajectory whose step sizes are used; None for the default.

    Raises:
        InputError: a motion takes more than `MAX_STEPS`, or a number is not finite.
    """
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
    """Divide consecutive motions into steps that are no larger than those of the trajectory.

    Args:
        start: indenter pose before the first motion.
        motions: motions in order.
        trajectory: trajectory whose step sizes are used.

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
        rotation = math.degrees(abs(goal.yaw_rad - here.yaw_rad))
        steps_needed = max(distance / trajectory.step_mm, rotation / trajectory.step_deg)
        if not steps_needed <= MAX_STEPS:
            raise InputError(
                f"motion '{motion.name}' takes {steps_needed:.3g} steps, "
                f"expected at most {MAX_STEPS}"
            )
        count = math.ceil(steps_needed - 1e-9)
        steps += [
            TrajectoryStep(motion.phase, motion.name, here.toward(goal, (i + 1) / count))
            for i in range(count)
        ]
        here = goal
    return steps


def _motions(trajectory: Trajectory, start: IndenterPose) -> list[Motion]:
    """Return the motions of all phases in order."""
    centre = here = IndenterPose(start.x_mm, start.y_mm, trajectory.depth_mm, start.yaw_rad)
    motions = [Motion("press", "press", here)]
    for direction in trajectory.directions:
        x, y = (trajectory.translation_mm * component for component in DIRECTIONS[direction])
        here = here.moved(x, y)
        motions.append(Motion("translate", f"translate {direction}", here))
        if trajectory.returning:
            here = centre
            motions.append(Motion("translate", f"back from {direction}", here))
    angle = math.radians(trajectory.rotation_deg)
    for name, yaw in (("rotate +", angle), ("rotate -", -angle)):
        here = IndenterPose(here.x_mm, here.y_mm, here.depth_mm, start.yaw_rad + yaw)
        motions.append(Motion("rotate", name, here))
    if trajectory.returning:
        here = centre
        motions.append(Motion("rotate", "rotate back", here))
    if trajectory.releasing:
        lifted = IndenterPose(here.x_mm, here.y_mm, LIFT_MM, here.yaw_rad)
        motions.append(Motion("release", "release", lifted))
    return motions
