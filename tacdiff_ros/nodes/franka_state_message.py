"""The serialised robot state message of franka_ros2, filled from the virtual arm.

rclpy converts a message of 300 fields from Python in a quarter of a millisecond, too long at
1 kHz. Only its numbers change, so that they are written into the bytes of one message.
"""

from __future__ import annotations

import struct

import numpy as np
from franka_msgs.msg import FrankaRobotState
from numpy.typing import ArrayLike
from rclpy.serialization import serialize_message

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.conversion.cdr_layout import CdrLayout, find_layout
from tacdiff_ros.nodes.conversion.geometry import NANOSECONDS
from tacdiff_ros.virtual.panda import ARM_JOINTS, PandaState

JOINTS = ("measured_joint_state", "desired_joint_state", "measured_joint_motor_state")
EXTERNAL_JOINTS = "tau_ext_hat_filtered"
BASE_PARTS = ("o_t_ee", "o_t_ee_d", "o_t_ee_c", "o_dp_ee_d", "o_f_ext_hat_k")
CONSTANT_BASE_PARTS = ("o_dp_ee_c", "o_ddp_ee_c")
STAMPED = (*JOINTS, EXTERNAL_JOINTS, *BASE_PARTS, "k_f_ext_hat_k")


class FrankaStateMessage:
    """The bytes of one robot state message, in which the numbers are replaced.

    As in franka_ros2, the parts of the message have frames and the message itself has none.
    """

    def __init__(self, arm_id: str) -> None:
        """Start without a message.

        Args:
            arm_id: prefix of joint and link names.
        """
        self._arm_id = arm_id
        self._texts: tuple[str, tuple[str, ...]] | None = None  # frame and errors of the bytes
        self._data = bytearray()
        self._layout: CdrLayout
        self._stamp_offsets: list[int] = []

    def fill(self, arm: PandaState, reported: RobotState) -> bytes:
        """Return the serialised state of one millisecond.

        Args:
            arm: simulated arm.
            reported: state that the robot reports, which differs from the true one by faults and
                noise.
        """
        if self._texts != (reported.frame_id, reported.errors):
            self._start(reported.frame_id, reported.errors)
        stamp = divmod(reported.stamp_ns, NANOSECONDS)
        for offset in self._stamp_offsets:
            struct.pack_into("<iI", self._data, offset, *stamp)
        for name in JOINTS:
            self._put(f"{name}.position[0]", arm.position_rad)
            self._put(f"{name}.velocity[0]", arm.velocity_rad_s)
            self._put(f"{name}.effort[0]", arm.effort_n_m)
        self._put(f"{EXTERNAL_JOINTS}.effort[0]", arm.external_torque_n_m)
        measured = Pose.from_quaternion(reported.position_mm, reported.quaternion_xyzw)
        self._put_pose("o_t_ee", measured)
        self._put_pose("o_t_ee_d", arm.desired)
        self._put_pose("o_t_ee_c", arm.desired)
        self._put("o_dp_ee_d.twist.linear.x", 1e-3 * arm.desired_velocity_mm_s)
        self._put("o_dp_ee_d.twist.angular.x", arm.desired_rotation_rad_s)
        force_n, torque_n_m = reported.force_n, reported.torque_n_m
        to_tool = measured.matrix.T  # the stiffness frame has the axes of the end effector
        self._put("o_f_ext_hat_k.wrench.force.x", force_n)
        self._put("o_f_ext_hat_k.wrench.torque.x", torque_n_m)
        self._put("k_f_ext_hat_k.wrench.force.x", to_tool @ force_n)
        self._put("k_f_ext_hat_k.wrench.torque.x", to_tool @ torque_n_m)
        self._put("time", [arm.uptime_s])
        self._data[self._layout.offsets["robot_mode"]] = reported.mode
        return bytes(self._data)

    def _put(self, field: str, values: ArrayLike) -> None:
        """Write consecutive numbers, the first of which is a field."""
        data = np.asarray(values, "<f8").tobytes()
        begin = self._layout.offsets[field]
        self._data[begin : begin + len(data)] = data

    def _put_pose(self, part: str, pose: Pose) -> None:
        self._put(f"{part}.pose.position.x", 1e-3 * pose.position_mm)
        self._put(f"{part}.pose.orientation.x", pose.quaternion_xyzw)

    def _start(self, base_frame: str, errors: tuple[str, ...]) -> None:
        """Serialise a message with other texts or flags than the last one."""
        state = FrankaRobotState()
        tool = f"{self._arm_id}_hand_tcp"
        names = [f"{self._arm_id}_joint{number}" for number in range(1, ARM_JOINTS + 1)]
        zeros = [0.0] * ARM_JOINTS
        for name in (*JOINTS, EXTERNAL_JOINTS):
            joints = getattr(state, name)
            joints.name, joints.effort = names, zeros
            if name != EXTERNAL_JOINTS:
                joints.position = joints.velocity = zeros
        for name in (*JOINTS, EXTERNAL_JOINTS, *BASE_PARTS, *CONSTANT_BASE_PARTS):
            getattr(state, name).header.frame_id = base_frame
        for part in (state.k_f_ext_hat_k, state.ee_t_k, state.inertia_ee, state.inertia_total):
            part.header.frame_id = tool
        state.f_t_ee.header.frame_id = f"{self._arm_id}_link8"
        state.control_command_success_rate = 1.0
        for part in (state.f_t_ee, state.ee_t_k):
            part.pose.orientation.w = 1.0
        for error in errors:
            setattr(state.current_errors, error, True)
        data = serialize_message(state)
        self._layout = find_layout(FrankaRobotState, data)
        end = max(self._layout.offsets.values()) + 1  # of the last flag; rclpy appends some bytes
        self._data = bytearray(data[:end])
        headers = ("header", *(f"{part}.header" for part in STAMPED))
        self._stamp_offsets = [self._layout.offsets[f"{name}.stamp.sec"] for name in headers]
        self._texts = (base_frame, errors)
