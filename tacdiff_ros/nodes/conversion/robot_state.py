"""Converts serialised `franka_msgs/FrankaRobotState` messages into the core's robot state."""

from __future__ import annotations

import struct

import numpy as np
from franka_msgs.msg import Errors, FrankaRobotState

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.nodes.conversion.cdr_layout import CdrLayout, find_layout

ERROR_NAMES = list(Errors.get_fields_and_field_types())


class RobotStateDecoder:
    """Decodes the required fields of a robot state from its bytes within a few microseconds."""

    def __init__(self) -> None:
        """Start without a layout; it is computed from the first message and after any change."""
        self._layout: CdrLayout | None = None
        self._last_frame = (b"", "")

    def decode(self, data: bytes) -> RobotState:
        """Decode a serialised robot state.

        Args:
            data: serialised `FrankaRobotState`, including the CDR header.

        Returns:
            Robot state with positions in mm.

        Raises:
            InputError: the bytes are not a `FrankaRobotState`.
        """
        if self._layout is None or not self._layout.matches(data):
            self._layout = find_layout(FrankaRobotState, data)
        layout = self._layout
        offsets = layout.offsets
        seconds, nanoseconds = struct.unpack_from("<iI", data, offsets["header.stamp.sec"])
        pose = np.frombuffer(data, "<f8", 7, offsets["o_t_ee.pose.position.x"])
        wrench = np.frombuffer(data, "<f8", 6, offsets["o_f_ext_hat_k.wrench.force.x"])
        return RobotState(
            stamp_ns=seconds * 1_000_000_000 + nanoseconds,
            position_mm=1e3 * pose[:3],
            quaternion_xyzw=pose[3:],
            force_n=wrench[:3],
            torque_n_m=wrench[3:],
            mode=data[offsets["robot_mode"]],
            errors=_active_errors(layout, data),
            frame_id=self._frame_id(layout, data),
        )

    def _frame_id(self, layout: CdrLayout, data: bytes) -> str:
        """Return the frame of the end effector's pose; the message's own header has none."""
        begin, length = layout.strings["o_t_ee.header.frame_id"]
        raw = data[begin : begin + length - 1]
        if raw != self._last_frame[0]:
            self._last_frame = (raw, raw.decode(errors="replace"))
        return self._last_frame[1]


def _active_errors(layout: CdrLayout, data: bytes) -> tuple[str, ...]:
    first = layout.offsets[f"current_errors.{ERROR_NAMES[0]}"]
    flags = data[first : first + len(ERROR_NAMES)]
    if not any(flags):
        return ()
    return tuple(name for name, flag in zip(ERROR_NAMES, flags, strict=True) if flag)
