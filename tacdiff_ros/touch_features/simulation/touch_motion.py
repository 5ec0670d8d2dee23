"""Random motions of an object on the gel: presses by hand, and grasps that are shaken.

Times are multiples of the frame period. Speeds are those of a hand that explores a surface, and of
an arm that shakes what its gripper holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator
Kind = Literal["hand", "grasp"]

RATE_HZ = 25.0
MAX_OFFSET_MM = (6.0, 4.5)  # of the contact from the centre of the image
MAX_TILT = 0.08  # slope of the object's reference plane, mm/mm
LOG_SLIP_SPEED = (math.log(0.5), math.log(12.0))  # of what a gripper loses, mm/s
ACTIONS = ("hold", "deepen", "rock", "rotate", "slide")
ACTION_WEIGHTS = (0.15, 0.15, 0.25, 0.2, 0.25)


@dataclass(frozen=True)
class TouchMotion:
    """Motion of an object relative to the gel, at T steps.

    Attributes:
        kind: press by hand, or grasp.
        step_frames: number of frames between steps.
        position_mm: (T, 2) position of the object's origin, mm.
        yaw_rad: (T,) yaw of the object, rad.
        tilt: (T, 2) slopes of the object's plane along x and y.
        load: (T,) depth over the depth at full load; 0 or less: no contact.
    """

    kind: Kind
    step_frames: int
    position_mm: NDArray[np.float64]
    yaw_rad: NDArray[np.float64]
    tilt: NDArray[np.float64]
    load: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.load)

    @property
    def step_s(self) -> float:
        """Time between steps, s."""
        return self.step_frames / RATE_HZ


def random_motion(random: Random, kind: Kind, steps: int, step_frames: int) -> TouchMotion:
    """Return a random motion that begins without contact.

    Args:
        random: random generator.
        kind: press by hand, or grasp.
        steps: number of steps T.
        step_frames: number of frames between steps.
    """
    step_s = step_frames / RATE_HZ
    if kind == "hand":
        velocity, spin, rocking, load = _hand(random, steps, step_s)
    else:
        velocity, spin, rocking, load = _grasp(random, steps, step_s)
    start = random.uniform(-1.0, 1.0, 2) * MAX_OFFSET_MM * random.uniform(0.0, 1.0)
    yaw = random.uniform(0.0, 2 * np.pi) + np.cumsum(spin) * step_s
    tilt = random.uniform(-MAX_TILT, MAX_TILT, 2) * random.uniform(0.0, 1.0) + rocking
    return TouchMotion(
        kind, step_frames, start + np.cumsum(velocity, axis=0) * step_s, yaw, tilt, load
    )


def other_finger(motion: TouchMotion, random: Random) -> TouchMotion:
    """Return a grasp's motion as the opposite finger feels it.

    The finger faces the other way, so that x and the yaw are mirrored. It touches the object at
    another position with another tilt.

    Args:
        motion: motion at the first finger.
        random: random generator.
    """
    mirrored = motion.position_mm * (-1.0, 1.0)
    shift = random.uniform(-1.0, 1.0, 2) * MAX_OFFSET_MM * random.uniform(0.0, 1.0)
    tilt = random.uniform(-MAX_TILT, MAX_TILT, 2) * random.uniform(0.0, 1.0)
    return replace(
        motion,
        position_mm=mirrored - mirrored[0] + shift,
        yaw_rad=random.uniform(0.0, 2 * np.pi) - motion.yaw_rad,
        tilt=motion.tilt + tilt,
    )


def _hand(random: Random, steps: int, step_s: float) -> tuple[NDArray[np.float64], ...]:
    """Return velocity, spin, tilt and load of approach, random actions and lift."""
    velocity, tilt = np.zeros((steps, 2)), np.zeros((steps, 2))
    spin, load = np.zeros(steps), np.zeros(steps)
    down = max(2, round(random.uniform(0.15, 0.3) * steps))
    up = max(2, round(random.uniform(0.1, 0.2) * steps))
    load[:down] = np.linspace(-0.1, 1.0, down)
    load[steps - up :] = np.linspace(0.9, -0.1, up)
    load[down : steps - up] = random.uniform(0.7, 1.0)
    first, last = down, steps - up
    while first < last:
        length = min(last - first, max(2, round(random.uniform(0.3, 1.2) / step_s)))
        part = slice(first, first + length)
        envelope = np.sin(np.pi * (np.arange(length) + 0.5) / length)
        action = random.choice(ACTIONS, p=ACTION_WEIGHTS)
        if action == "deepen":
            load[part] *= 1.0 + random.uniform(-0.5, 0.3) * envelope
        elif action == "rock":
            tilt[part] += envelope[:, None] * random.uniform(-MAX_TILT, MAX_TILT, 2)
        elif action == "rotate":
            spin[part] = envelope * random.uniform(-0.6, 0.6)
        elif action == "slide":
            velocity[part] = envelope[:, None] * _direction(random) * random.uniform(0.3, 8.0)
        first += length
    velocity += random.normal(0.0, 0.15, (steps, 2)) * (load > 0)[:, None]
    return velocity, spin, tilt, load


def _grasp(random: Random, steps: int, step_s: float) -> tuple[NDArray[np.float64], ...]:
    """Return velocity, spin, tilt and load of closing, shaking and sometimes a slip."""
    time = np.arange(steps) * step_s
    close = random.uniform(0.1, 0.25) * time[-1]
    load = np.clip(time / close, 0.0, 1.0) - 0.05
    shakes = np.clip((time - close) / (0.3 * time[-1]), 0.0, 1.0)
    frequency, amplitude = random.uniform(0.7, 4.0), random.uniform(0.0, 0.35)
    phase = 2 * np.pi * frequency * (time - close)
    speed = amplitude * 2 * np.pi * frequency * np.cos(phase) * shakes
    spin = random.uniform(-0.03, 0.03) * 2 * np.pi * frequency * np.cos(phase) * shakes
    velocity = speed[:, None] * _direction(random)
    if random.uniform() < 0.6:
        begin = random.uniform(0.35, 0.8) * time[-1]
        ramp = np.clip((time - begin) / random.uniform(0.1, 0.8), 0.0, 1.0)
        velocity += ramp[:, None] * _direction(random) * np.exp(random.uniform(*LOG_SLIP_SPEED))
        spin += ramp * random.normal(0.0, 0.3)
        load *= 1.0 - ramp * random.uniform(0.0, 0.3)
    return velocity, spin, np.zeros((steps, 2)), load


def _direction(random: Random) -> NDArray[np.float64]:
    angle = random.uniform(0.0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])
