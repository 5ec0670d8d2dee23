"""Range of the indenter poses under which a gel can be simulated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.sensor.sensor_model import SensorModel

# Largest depth over the gel's thickness: 2 mm in the 4 mm of a GelSight Mini. It is the deepest
# press that is measured (`benchmarks/mechanics.py --only robustness`: all ten indenters converge).
MAX_DEPTH_FRACTION = 0.5
MAX_YAW_RAD = 4.0 * math.pi  # two turns: a larger yaw is no rotation of an indenter, but an error


@dataclass(frozen=True)
class PoseLimits:
    """Limits of the indenter pose: the tip above the pad, and the depth.

    Attributes:
        width_mm: size of the pad along x, mm.
        height_mm: size of the pad along y, mm.
        max_depth_mm: largest depth, mm.
        depth_reason: reason for the largest depth, for the error message.
    """

    width_mm: float
    height_mm: float
    max_depth_mm: float
    depth_reason: str

    @classmethod
    def of_pad(
        cls,
        width_mm: float,
        height_mm: float,
        thickness_mm: float,
        indenter: Indenter | None = None,
    ) -> PoseLimits:
        """Return the limits of a pad: half of its thickness, and the height of the indenter.

        Args:
            width_mm: size of the pad along x, mm.
            height_mm: size of the pad along y, mm.
            thickness_mm: thickness of the pad, mm.
            indenter: indenter, which must be higher than the press is deep; None if unknown.
        """
        fraction_mm = MAX_DEPTH_FRACTION * thickness_mm
        bounds = [(fraction_mm, f"{MAX_DEPTH_FRACTION:.0%} of the gel's {thickness_mm:g} mm")]
        if indenter is not None:
            indenter_mm = float(np.ptp(indenter.bounds[:, 2]))
            bounds.append((indenter_mm, f"the height of an indenter of {indenter_mm:g} mm"))
        return cls(width_mm, height_mm, *min(bounds))

    @classmethod
    def of_sensor(cls, model: SensorModel, indenter: Indenter | None = None) -> PoseLimits:
        """Return the limits of a sensor's pad.

        Args:
            model: sensor model.
            indenter: indenter; None if unknown.
        """
        gel = model.gel
        return cls.of_pad(gel.width_mm, gel.height_mm, model.gel_thickness_mm, indenter)

    @classmethod
    def of_maps(cls, model: SensorModel, indenter: Indenter | None = None) -> PoseLimits:
        """Return the limits of a sensor's pad where NOCS maps are made, which end at some depth.

        Args:
            model: sensor model.
            indenter: indenter; None if unknown.
        """
        limits, maps_mm = cls.of_sensor(model, indenter), model.gel.full_indentation_mm
        if limits.max_depth_mm <= maps_mm:
            return limits
        reason = "full_indentation_mm of the sensor file, at which its NOCS maps end"
        return replace(limits, max_depth_mm=maps_mm, depth_reason=reason)

    def check(self, pose: IndenterPose) -> None:
        """Check that a pose is finite, above the pad, not too deep and not turned too far.

        Args:
            pose: indenter pose in frame `gel`; a depth of 0 or less means no contact.

        Raises:
            InputError: a number is not finite or outside the limits.
        """
        values = (pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad)
        if not all(math.isfinite(value) for value in values):
            raise InputError(
                f"indenter pose: x, y, depth, yaw are {values}, which is not finite: expected "
                "finite numbers"
            )
        half_x, half_y = self.width_mm / 2, self.height_mm / 2
        if abs(pose.x_mm) > half_x or abs(pose.y_mm) > half_y:
            raise InputError(
                f"indenter pose: ({pose.x_mm:g}, {pose.y_mm:g}) mm is beside the pad, expected a "
                f"position on the pad: within {half_x:g} and {half_y:g} mm of its centre"
            )
        if pose.depth_mm > self.max_depth_mm:
            raise InputError(
                f"indenter pose: depth is {pose.depth_mm:g} mm, expected at most "
                f"{self.max_depth_mm:g} mm ({self.depth_reason})"
            )
        if abs(pose.yaw_rad) > MAX_YAW_RAD:
            raise InputError(
                f"indenter pose: yaw is {pose.yaw_rad:g} rad, expected at most two turns "
                f"({MAX_YAW_RAD:.4g} rad)"
            )
