"""Bytes of the virtual arm's robot state: what rclpy and rosbags read in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

from franka_msgs.msg import FrankaRobotState
from rclpy.serialization import deserialize_message

from tacdiff_ros.acquisition.robot_state import RobotState
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.nodes.conversion.robot_state import RobotStateDecoder
from tacdiff_ros.nodes.definitions import read_definitions
from tacdiff_ros.nodes.franka_state_message import FrankaStateMessage
from tacdiff_ros.recording.run_recorder import make_typestore
from tacdiff_ros.virtual.panda import PandaState

RANDOM = np.random.default_rng(0)
TURN = Pose.from_euler([1.0, 2.0, 3.0], [0.1, -0.2, 0.3])
ARM = PandaState(
    *RANDOM.normal(size=(4, 7)),
    end_effector=TURN,
    desired=TURN.shifted([5.0, 0.0, 0.0]),
    desired_velocity_mm_s=np.array([7.0, 8.0, 9.0]),
    desired_rotation_rad_s=np.array([0.4, 0.5, 0.6]),
    uptime_s=12.5,
    force_n=np.zeros(3),
    torque_n_m=np.zeros(3),
)
REPORTED = RobotState(
    stamp_ns=1_700_000_000_123_456_789,
    position_mm=np.array([450.0, -20.0, 100.0]),
    quaternion_xyzw=TURN.quaternion_xyzw,
    force_n=np.array([1.0, -2.0, 3.0]),
    torque_n_m=np.array([0.1, 0.2, -0.3]),
    mode=2,
    frame_id="base",
)


def test_every_number_is_where_rclpy_reads_it():
    message = deserialize_message(FrankaStateMessage("fr3").fill(ARM, REPORTED), FrankaRobotState)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    for joints in (message.measured_joint_state, message.desired_joint_state):
        assert joints.name[6] == "fr3_joint7"
        assert list(joints.position) == ARM.position_rad.tolist()
        assert list(joints.velocity) == ARM.velocity_rad_s.tolist()
        assert list(joints.effort) == ARM.effort_n_m.tolist()
    assert list(message.tau_ext_hat_filtered.effort) == ARM.external_torque_n_m.tolist()
    assert message.o_t_ee.pose.position.y == pytest.approx(-0.020)
    assert message.o_t_ee_d.pose.position.x - message.o_t_ee_c.pose.position.x == 0.0
    desired = message.o_t_ee_d.pose.position
    assert 1e3 * np.array([desired.x, desired.y, desired.z]) == pytest.approx(
        ARM.desired.position_mm
    )
    linear, angular = message.o_dp_ee_d.twist.linear, message.o_dp_ee_d.twist.angular
    assert (linear.x, linear.z, angular.y) == pytest.approx((7e-3, 9e-3, 0.5))
    force = message.k_f_ext_hat_k.wrench.force
    assert [force.x, force.y, force.z] == pytest.approx(TURN.matrix.T @ REPORTED.force_n)
    assert message.o_f_ext_hat_k.wrench.torque.z == pytest.approx(-0.3)
    assert (message.time, message.robot_mode) == (12.5, 2)
    assert (message.o_t_ee.header.frame_id, message.header.frame_id) == ("base", "")


def test_flags_and_frames_change_with_the_reported_state():
    state, decoder = FrankaStateMessage("fr3"), RobotStateDecoder()
    for reported in (
        REPORTED,
        replace(REPORTED, errors=("cartesian_reflex",), mode=4),
        replace(REPORTED, frame_id="world"),
        REPORTED,
    ):
        found = decoder.decode(state.fill(ARM, reported))
        assert (found.errors, found.frame_id) == (reported.errors, reported.frame_id)
        assert (found.mode, found.stamp_ns) == (reported.mode, reported.stamp_ns)
        np.testing.assert_allclose(found.force_n, reported.force_n)


def test_rosbags_reads_the_recorded_bytes():
    store = make_typestore(read_definitions(["franka_msgs"]))
    data = FrankaStateMessage("fr3").fill(ARM, REPORTED)
    message = store.deserialize_cdr(data, "franka_msgs/msg/FrankaRobotState")
    assert message.o_t_ee.pose.position.x == pytest.approx(0.45)
