"""What a run takes, estimated before the arm moves: time, and space on the disk."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tacdiff_ros.acquisition.motion import PEAK_OVER_MEAN_SPEED
from tacdiff_ros.acquisition.protocol import Protocol, Trial
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.recording.run_recorder import FREE_SPACE_BYTES

IMAGES_PER_S = 25.0  # of a GelSight Mini
STATE_BYTES_PER_S = 2e6  # 1,000 robot states, targets and the index
SPARE_FRACTION = 1.2  # of the estimate, that must be free


@dataclass(frozen=True)
class RunCost:
    """An estimate, for an arm that settles in time.

    Attributes:
        seconds: duration from the first motion to the last.
        bytes: size of the recording.
    """

    seconds: float
    bytes: float


def run_cost(
    protocol: Protocol, trials: list[Trial], image_bytes: int, retract_speed_mm_s: float
) -> RunCost:
    """Time and space of a run whose images have so many bytes; further topics are not counted."""
    seconds = sum(_trial_s(protocol, trial, retract_speed_mm_s) for trial in trials)
    return RunCost(seconds, seconds * (IMAGES_PER_S * image_bytes + STATE_BYTES_PER_S))


def check_space(folder: Path, cost: RunCost) -> None:
    """InputError where a recording does not fit into its folder, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < SPARE_FRACTION * cost.bytes + FREE_SPACE_BYTES:
        raise InputError(
            f"the recording takes about {cost.bytes / 1e9:.1f} GB in {cost.seconds / 60:.0f} min, "
            f"and {free / 1e9:.1f} GB are free in {folder}: make room, or ask for fewer trials"
        )


def _trial_s(protocol: Protocol, trial: Trial, retract_speed_mm_s: float) -> float:
    gap_mm = protocol.start.standoff_mm
    rest_s = protocol.settle_s + protocol.dwell_s
    way_s = PEAK_OVER_MEAN_SPEED * 2.0 * gap_mm / protocol.travel_speed_mm_s
    approach_s = PEAK_OVER_MEAN_SPEED * gap_mm / protocol.approach.speed_mm_s
    retract_s = PEAK_OVER_MEAN_SPEED * (gap_mm + protocol.depth_mm) / retract_speed_mm_s
    poses = [trial.start, *(step.target for step in trial.steps)]
    steps_s = sum(_motion_s(protocol, *pair) + rest_s for pair in pairwise(poses))
    return way_s + rest_s + approach_s + steps_s + retract_s


def _motion_s(protocol: Protocol, start: IndenterPose, goal: IndenterPose) -> float:
    distance_mm = math.dist(
        (start.x_mm, start.y_mm, start.depth_mm), (goal.x_mm, goal.y_mm, goal.depth_mm)
    )
    turn_deg = math.degrees(abs(goal.yaw_rad - start.yaw_rad))
    return PEAK_OVER_MEAN_SPEED * max(
        distance_mm / protocol.speed_mm_s, turn_deg / protocol.rotation_speed_deg_s
    )
