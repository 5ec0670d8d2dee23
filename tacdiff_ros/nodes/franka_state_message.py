"""The robot state message of franka_ros2, filled from the virtual arm."""

from __future__ import annotations

from franka_msgs.msg import FrankaRobotState

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.conversion.geometry import to_pose, to_time, to_vector, to_wrench
from tacdiff_ros.virtual.panda import PandaState


class FrankaStateMessage:
    """One robot state message that is reused, because its construction is too slow for 1 kHz.

    As in franka_ros2, the parts of the message have frames and the message itself has none.
    """

    def __init__(self, arm_id: str) -> None:
        """Fill what is the same in all states.

        Args:
            arm_id: prefix of joint and link names.
        """
        self._state = state = FrankaRobotState()
        tool = f"{arm_id}_hand_tcp"
        names = [f"{arm_id}_joint{number}" for number in range(1, 8)]
        self._joint_messages = (
            state.measured_joint_state,
            state.desired_joint_state,
            state.measured_joint_motor_state,
            state.tau_ext_hat_filtered,
        )
        for joint in self._joint_messages:
            joint.name = names
        for part in (state.k_f_ext_hat_k, state.ee_t_k, state.inertia_ee, state.inertia_total):
            part.header.frame_id = tool
        state.f_t_ee.header.frame_id = f"{arm_id}_link8"
        state.control_command_success_rate = 1.0
        for part in (state.f_t_ee, state.ee_t_k):
            part.pose.orientation.w = 1.0

    def fill(self, arm: PandaState, reported: RobotState) -> FrankaRobotState:
        """Fill the message with the state of one millisecond.

        Args:
            arm: simulated arm.
            reported: state that the robot reports, which differs from the true one by faults and
                noise.

        Returns:
            The same message at every call.
        """
        state = self._state
        if state.o_t_ee.header.frame_id != reported.frame_id:
            self._set_base_frame(reported.frame_id)
        state.header.stamp = stamp = to_time(reported.stamp_ns)
        self._fill_joints(arm)
        measured = Pose.from_quaternion(reported.position_mm, reported.quaternion_xyzw)
        desired = to_pose(arm.desired)
        for part, pose in (
            (state.o_t_ee, to_pose(measured)),
            (state.o_t_ee_d, desired),
            (state.o_t_ee_c, desired),
        ):
            part.header.stamp, part.pose = stamp, pose
        state.o_dp_ee_d.header.stamp = stamp
        state.o_dp_ee_d.twist.linear = to_vector(1e-3 * arm.desired_velocity_mm_s)
        state.o_dp_ee_d.twist.angular = to_vector(arm.desired_rotation_rad_s)
        to_tool = measured.matrix.T  # the stiffness frame has the axes of the end effector
        force_n, torque_n_m = reported.force_n, reported.torque_n_m
        for part, wrench in (
            (state.o_f_ext_hat_k, to_wrench(force_n, torque_n_m)),
            (state.k_f_ext_hat_k, to_wrench(to_tool @ force_n, to_tool @ torque_n_m)),
        ):
            part.header.stamp, part.wrench = stamp, wrench
        state.time = arm.uptime_s
        state.robot_mode = reported.mode
        for name in state.current_errors.get_fields_and_field_types():
            if getattr(state.current_errors, name) != (name in reported.errors):
                setattr(state.current_errors, name, name in reported.errors)
        return state

    def _set_base_frame(self, frame_id: str) -> None:
        state = self._state
        parts = (state.o_t_ee, state.o_t_ee_d, state.o_t_ee_c, state.o_f_ext_hat_k)
        twists = (state.o_dp_ee_d, state.o_dp_ee_c, state.o_ddp_ee_c)
        for part in (*self._joint_messages, *parts, *twists):
            part.header.frame_id = frame_id

    def _fill_joints(self, arm: PandaState) -> None:
        q, dq = arm.position_rad.tolist(), arm.velocity_rad_s.tolist()
        tau, external = arm.effort_n_m.tolist(), arm.external_torque_n_m.tolist()
        values: tuple[tuple[list[float], ...], ...] = (
            (q, dq, tau),
            (q, dq, tau),
            (q, dq, tau),
            ([], [], external),
        )
        stamp = self._state.header.stamp
        for joint, (position, velocity, effort) in zip(self._joint_messages, values, strict=True):
            joint.header.stamp = stamp
            joint.position, joint.velocity, joint.effort = position, velocity, effort
