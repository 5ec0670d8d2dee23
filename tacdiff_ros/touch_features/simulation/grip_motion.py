"""Random loads on what a gripper holds: slow ramps until it slips or not, shaking, rest."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from tacdiff_ros.touch_features.simulation.touch_motion import RATE_HZ, TouchMotion

Random = np.random.Generator
Load = Literal["ramp", "stop", "shake", "rest"]

LOADS: tuple[Load, ...] = ("ramp", "stop", "shake", "rest")
LOAD_WEIGHTS = (0.55, 0.2, 0.15, 0.1)
CLOSING_S, WAITING_S = (0.2, 0.4), (0.2, 0.8)
LOG_SPEED = (math.log(0.15), math.log(3.0))  # of a ramp, mm/s
STOP_MM, SHAKE_MM, SHAKE_HZ = (0.02, 0.25), (0.02, 0.15), (0.7, 3.0)
MAX_OFFSET_MM, MAX_TILT = (4.0, 3.0), 0.05
TREMOR_MM = 6e-4  # per frame


def random_grip(random: Random, frames: int) -> tuple[TouchMotion, float]:
    """Return the motion of a gripped object, and when its load begins, s.

    Args:
        random: random generator.
        frames: number of frames, at 25 Hz.
    """
    time = np.arange(frames) / RATE_HZ
    closing = random.uniform(*CLOSING_S)
    begin = closing + random.uniform(*WAITING_S)
    loaded = np.clip(time - begin, 0.0, None)
    load: Load = random.choice(LOADS, p=LOAD_WEIGHTS)
    distance = math.exp(random.uniform(*LOG_SPEED)) * loaded
    if load == "stop":
        distance = np.minimum(distance, random.uniform(*STOP_MM))
    elif load == "shake":
        phase = 2 * np.pi * random.uniform(*SHAKE_HZ) * loaded
        distance = random.uniform(*SHAKE_MM) * np.sin(phase)
    elif load == "rest":
        distance = np.zeros(frames)
    angle = random.uniform(0.0, 2 * np.pi)
    position = random.uniform(-1.0, 1.0, 2) * MAX_OFFSET_MM
    position = position + distance[:, None] * np.array([np.cos(angle), np.sin(angle)])
    position = position + random.normal(0.0, TREMOR_MM, (frames, 2)).cumsum(0)
    motion = TouchMotion(
        kind="grasp",
        step_frames=1,
        position_mm=position,
        yaw_rad=np.full(frames, random.uniform(0.0, 2 * np.pi)),
        tilt=np.zeros((frames, 2)) + random.uniform(-MAX_TILT, MAX_TILT, 2),
        load=np.clip(time / closing, 0.0, 1.0) - 0.02,
    )
    return motion, begin
