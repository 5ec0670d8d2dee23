"""Request for one touch: a press, a shift and a rotation of one indenter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenter_spec import IndenterSpec, parse_indenter
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.mechanics.trajectory import TrajectoryStep, plan_touch

NO_INDENTER = "none"
MAX_SHEAR_MM, MAX_TWIST_DEG = 4.0, 30.0  # limits of one touch, as of the phases of a trajectory


@dataclass(frozen=True)
class TouchRequest:
    """A press with its indenter, position and subsequent motion.

    Attributes:
        indenter: indenter spec, as text or parsed; `none` for the untouched sensor.
        start: indenter pose at the first contact; its depth is not used.
        depth_mm: indentation depth, mm.
        shear_mm: in-plane motion after the press, x and y, mm.
        twist_rad: rotation about the indenter's axis after the press, rad.

    Raises:
        InputError: the spec is invalid, or a number is not finite or out of range.
    """

    indenter: str | IndenterSpec
    start: IndenterPose
    depth_mm: float
    shear_mm: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0

    def __post_init__(self) -> None:
        start = (self.start.x_mm, self.start.y_mm, self.start.yaw_rad)
        motion = (self.depth_mm, *self.shear_mm, self.twist_rad)
        if not all(math.isfinite(number) for number in (*start, *motion)):
            raise InputError(
                "touch: a position, depth, shear, twist or yaw is not finite, expected finite "
                "numbers"
            )
        if self.has_indenter:
            self._check_motion()
            return
        self.spec.sizes()
        if any(motion):
            raise InputError(
                "indenter 'none' leaves the sensor untouched: give no depth, shear or twist"
            )

    def _check_motion(self) -> None:
        """Check the numbers that do not depend on the sensor; see `PoseLimits` for the others."""
        if self.depth_mm <= 0.0:
            raise InputError(f"touch: depth is {self.depth_mm:g} mm, expected above 0")
        if math.hypot(*self.shear_mm) > MAX_SHEAR_MM:
            raise InputError(
                f"touch: shear is {self.shear_mm} mm, expected up to {MAX_SHEAR_MM:g} mm"
            )
        twist_deg = math.degrees(self.twist_rad)
        if abs(twist_deg) > MAX_TWIST_DEG:
            raise InputError(
                f"touch: twist is {twist_deg:g} deg, expected up to {MAX_TWIST_DEG:g} deg"
            )

    @cached_property
    def spec(self) -> IndenterSpec:
        """Parsed indenter spec."""
        return parse_indenter(self.indenter) if isinstance(self.indenter, str) else self.indenter

    @property
    def has_indenter(self) -> bool:
        """Whether there is an indenter; if not, the gel is undeformed."""
        return self.spec.name != NO_INDENTER

    def steps(self, limits: PoseLimits) -> list[TrajectoryStep]:
        """Return the steps of the indenter.

        Args:
            limits: limits of the sensor under this indenter.

        Raises:
            InputError: a pose is outside the limits.
        """
        pressed = replace(self.start, depth_mm=self.depth_mm)
        for pose in (pressed, pressed.moved(*self.shear_mm, self.twist_rad)):
            limits.check(pose)  # the motions between them are straight
        return plan_touch(self.start, self.depth_mm, self.shear_mm, self.twist_rad)
