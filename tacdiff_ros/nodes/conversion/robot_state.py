"""From serialised `franka_msgs/FrankaRobotState` to the core's robot state."""

from __future__ import annotations

import struct

import numpy as np
from franka_msgs.msg import Errors, FrankaRobotState

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.nodes.conversion.cdr_layout import CdrLayout, find_layout

ERROR_NAMES = list(Errors.get_fields_and_field_types())


class RobotStateDecoder:
    """Reads what is needed from the bytes of a state, in a few microseconds."""

    def __init__(self) -> None:
        """The layout is found with the first message, and anew when it changes."""
        self._layout: CdrLayout | None = None

    def decode(self, data: bytes) -> RobotState:
        """Robot state from the bytes of a `FrankaRobotState`.

        Raises:
            InputError: the bytes are no such message.
        """
        if self._layout is None or not self._layout.fits(data):
            self._layout = find_layout(FrankaRobotState, data)
        layout = self._layout
        at = layout.offsets
        seconds, nanoseconds = struct.unpack_from("<iI", data, at["header.stamp.sec"])
        pose = np.frombuffer(data, "<f8", 7, at["o_t_ee.pose.position.x"])
        wrench = np.frombuffer(data, "<f8", 6, at["o_f_ext_hat_k.wrench.force.x"])
        return RobotState(
            stamp_ns=seconds * 1_000_000_000 + nanoseconds,
            position_mm=1e3 * pose[:3],
            quaternion_xyzw=pose[3:],
            force_n=wrench[:3],
            torque_n_m=wrench[3:],
            mode=data[at["robot_mode"]],
            errors=_raised_errors(layout, data),
        )


def _raised_errors(layout: CdrLayout, data: bytes) -> tuple[str, ...]:
    first = layout.offsets[f"current_errors.{ERROR_NAMES[0]}"]
    flags = data[first : first + len(ERROR_NAMES)]
    if not any(flags):
        return ()
    return tuple(name for name, flag in zip(ERROR_NAMES, flags, strict=True) if flag)
