"""Faults: causes that stop a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cause(str, Enum):
    """Causes that stop a run."""

    FORCE_LIMIT = "force_limit"
    TORQUE_LIMIT = "torque_limit"
    FORCE_BIAS = "force_bias"
    SPEED_LIMIT = "speed_limit"
    ROTATION_SPEED_LIMIT = "rotation_speed_limit"
    OUTSIDE_WORKSPACE = "outside_workspace"
    TARGET_OUTSIDE_WORKSPACE = "target_outside_workspace"
    TARGET_TOO_FAST = "target_too_fast"
    TRACKING_ERROR = "tracking_error"
    STALE_STATE = "stale_state"
    STALE_IMAGES = "stale_images"
    IMAGE_CHANGED_FORMAT = "image_changed_format"
    ROBOT_MODE = "robot_mode"
    ROBOT_ERROR = "robot_error"
    REFLEX = "reflex"
    BASE_FRAME = "base_frame"
    SECOND_PUBLISHER = "second_publisher"
    NOT_FINITE = "not_finite"
    CLOCK_JUMP = "clock_jump"
    UNCOMMANDED_MOTION = "uncommanded_motion"
    NO_CONTACT = "no_contact"
    RECORDING_FAILED = "recording_failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    UNEXPECTED_ERROR = "unexpected_error"


# The robot state cannot be trusted, or the arm does not follow commands: no targets are sent while
# such a cause lasts.
CAUSES_WITHOUT_CONTROL = frozenset(
    {
        Cause.STALE_STATE,
        Cause.ROBOT_MODE,
        Cause.ROBOT_ERROR,
        Cause.REFLEX,
        Cause.BASE_FRAME,
        Cause.SECOND_PUBLISHER,
        Cause.NOT_FINITE,
        Cause.CLOCK_JUMP,
        Cause.OUTSIDE_WORKSPACE,
        Cause.UNCOMMANDED_MOTION,
    }
)

# Whatever target is sent, the arm may move elsewhere: nothing more is sent in the run.
CAUSES_WITHOUT_RETRACTION = frozenset({Cause.UNCOMMANDED_MOTION})

# The external force or torque exceeds its limit.
CONTACT_FORCE_CAUSES = frozenset({Cause.FORCE_LIMIT, Cause.TORQUE_LIMIT})


@dataclass(frozen=True)
class Fault:
    """One fault that stops a run.

    Attributes:
        cause: category of the fault.
        detail: one line with the value, the limit and the advice.
    """

    cause: Cause
    detail: str
