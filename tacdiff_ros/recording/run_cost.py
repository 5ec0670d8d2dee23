"""Estimate of the duration and the disk space of a run, before the arm moves."""

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

IMAGES_PER_S = 25.0  # frame rate of a GelSight Mini
STATE_BYTES_PER_S = 2e6  # 1,000 robot states per second, targets and the index
SPARE_FRACTION = 1.2  # required free space over the estimate


@dataclass(frozen=True)
class RunCost:
    """Estimated cost of a run whose arm settles within the protocol's settling time.

    Attributes:
        seconds: duration from the first motion to the last, s.
        bytes: size of the recording, bytes.
    """

    seconds: float
    bytes: float


def run_cost(
    protocol: Protocol, trials: list[Trial], image_bytes: int, retract_speed_mm_s: float
) -> RunCost:
    """Estimate the duration and the size of a run; further recorded topics are not counted.

    Args:
        protocol: acquisition protocol.
        trials: planned trials.
        image_bytes: size of one image, bytes.
        retract_speed_mm_s: peak speed of the retraction, mm/s.

    Returns:
        The estimate.
    """
    seconds = sum(_trial_s(protocol, trial, retract_speed_mm_s) for trial in trials)
    return RunCost(seconds, seconds * (IMAGES_PER_S * image_bytes + STATE_BYTES_PER_S))


def check_space(folder: Path, cost: RunCost) -> None:
    """Check that a recording fits onto the disk.

    Args:
        folder: folder of the recording; it need not exist yet.
        cost: estimated cost of the run.

    Raises:
        InputError: the disk has too little free space.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < SPARE_FRACTION * cost.bytes + FREE_SPACE_BYTES:
        raise InputError(
            f"the recording takes about {cost.bytes / 1e9:.1f} GB in {cost.seconds / 60:.0f} min, "
            f"but {free / 1e9:.1f} GB are free in {folder}: free space, or request fewer trials"
        )


def _trial_s(protocol: Protocol, trial: Trial, retract_speed_mm_s: float) -> float:
    gap_mm = protocol.start.standoff_mm
    standstill_s = protocol.settle_s + protocol.dwell_s
    travel_s = PEAK_OVER_MEAN_SPEED * 2.0 * gap_mm / protocol.travel_speed_mm_s
    approach_s = PEAK_OVER_MEAN_SPEED * gap_mm / protocol.approach.speed_mm_s
    retract_s = PEAK_OVER_MEAN_SPEED * (gap_mm + protocol.depth_mm) / retract_speed_mm_s
    poses = [trial.start, *(step.target for step in trial.steps)]
    steps_s = sum(_motion_s(protocol, *pair) + standstill_s for pair in pairwise(poses))
    return travel_s + standstill_s + approach_s + steps_s + retract_s


def _motion_s(protocol: Protocol, start: IndenterPose, goal: IndenterPose) -> float:
    distance_mm = math.dist(
        (start.x_mm, start.y_mm, start.depth_mm), (goal.x_mm, goal.y_mm, goal.depth_mm)
    )
    rotation_deg = math.degrees(abs(goal.yaw_rad - start.yaw_rad))
    return PEAK_OVER_MEAN_SPEED * max(
        distance_mm / protocol.speed_mm_s, rotation_deg / protocol.rotation_speed_deg_s
    )
