"""Outcome of an acquisition run."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.acquisition.faults import Fault


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run.

    Attributes:
        fault: fault that stopped the run; None if every trial was completed.
        retracted: whether the sensor is clear of the indenter; False means that the sensor was
            left at the position of the stop.
        trials_completed: number of completed trials.
        samples: number of samples.
        images_without_state: number of images without a robot state; they are not samples.
        pose_gap_max_s: maximum distance in time between an image and a robot state, s.
        force_max_n: maximum external force, bias removed, N.
    """

    fault: Fault | None
    retracted: bool
    trials_completed: int
    samples: int
    images_without_state: int
    pose_gap_max_s: float
    force_max_n: float
