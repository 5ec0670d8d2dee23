"""Error of the configured height of the indenter, from presses whose depth the images show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.recording.bag_reading import RecordedRun
from tacdiff_ros.replay.frame_states import configured_indenter, states_of_rig

MAX_SPREAD_MM = 0.1  # difference between presses above which the error is not one of height


@dataclass(frozen=True)
class RigDepths:
    """Depths of presses according to the arm and the configured rig.

    Attributes:
        depths_mm: depth of each press, mm; it does not depend on the detected contact.
        indenter: configured pose of the indenter in the robot base.
    """

    depths_mm: tuple[float, ...]
    indenter: Pose


@dataclass(frozen=True)
class RigHeight:
    """Comparison of the rig's depths with those in the images.

    Attributes:
        error_mm: mean of depth by arm and rig minus depth in the images, mm.
        spread_mm: largest minus smallest difference of the presses, mm.
        indenter_position_mm: value of `rig.indenter_position_mm` without this error.
    """

    error_mm: float
    spread_mm: float
    indenter_position_mm: tuple[float, float, float]

    @property
    def line(self) -> str:
        """What was found and what to change, in one line."""
        more = "deeper" if self.error_mm > 0 else "less deep"
        text = (
            f"height of the rig: by arm and rig the presses are {abs(self.error_mm):.2f} mm {more} "
            f"than in the images (differences within {self.spread_mm:.2f} mm)"
        )
        if self.spread_mm > MAX_SPREAD_MM:
            return (
                f"{text}: not the same in all presses, so that the height alone does not correct "
                "it: find the tilt of the sensor with `tacdiff rig mount RUN`, or is it loose?"
            )
        position = ", ".join(f"{value:.2f}" for value in self.indenter_position_mm)
        return f"{text}; without this error rig.indenter_position_mm is [{position}]"


def rig_depths(run: RecordedRun, stamps_ns: Sequence[int]) -> RigDepths | None:
    """Return the depths of presses of a run by arm and rig.

    Args:
        run: recorded run.
        stamps_ns: stamp of the image of each press, ns.

    Returns:
        The depths; None if run.yaml has no pose of the indenter.

    Raises:
        InputError: the pose of the indenter or of the gel is not valid.
    """
    if run.run.get("base_to_indenter") is None:
        return None
    states = states_of_rig(run)
    depths = tuple(states[stamp].pose.depth_mm for stamp in stamps_ns)
    return RigDepths(depths, configured_indenter(run))


def rig_height(rig: RigDepths, calibration: Calibration) -> RigHeight:
    """Compare the depths of the rig with those that the calibration found in the images.

    Args:
        rig: depths of the presses by arm and rig, in the order of the calibration.
        calibration: calibration from these presses.
    """
    measured_mm = [press.fit.gel.press.depth_mm for press in calibration.presses]
    differences_mm = np.subtract(rig.depths_mm, measured_mm)
    error_mm = float(differences_mm.mean())
    x, y, z = rig.indenter.shifted([0.0, 0.0, error_mm]).position_mm.tolist()
    return RigHeight(error_mm, float(np.ptp(differences_mm)), (x, y, z))
