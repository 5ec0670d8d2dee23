"""The check of the rig on DDS, beside stand-ins of the arm's broadcaster, camera and controller."""

from __future__ import annotations

import copy
import itertools
import json
import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from builtin_interfaces.msg import Time
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from sensor_msgs.msg import Image
from tacdiff_ros.action import Acquire

from tacdiff_ros.acquisition.preflight import CHECKS
from tacdiff_ros.acquisition.rig_file import read_rig
from tacdiff_ros.cli.application import run
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.topics import ROBOT_STATE
from tacdiff_ros.resources import config_path

STATE_PERIOD_S, IMAGE_PERIOD_S = 0.005, 0.04


class Rig:
    """Publishes what a good rig does, and steers the end effector that the states report."""

    def __init__(self, meeting: Any) -> None:
        self.meeting, node = meeting, meeting.node
        self.targets: list[PoseStamped] = []
        self.numbers = itertools.count()
        self.clock = node.get_clock()
        self.state = FrankaRobotState(robot_mode=FrankaRobotState.ROBOT_MODE_IDLE)
        self.state.header.frame_id = self.state.o_t_ee.header.frame_id = "base"
        position, orientation = self.state.o_t_ee.pose.position, self.state.o_t_ee.pose.orientation
        position.x, position.z, orientation.x, orientation.w = 0.45, 0.18, 1.0, 0.0
        self.controlled = copy.deepcopy(self.state.o_t_ee)
        self.state.o_f_ext_hat_k.wrench.force.z = 1.5
        node.declare_parameter("end_effector_frame", "fr3_hand_tcp")
        self.states = node.create_publisher(FrankaRobotState, ROBOT_STATE, 200)
        self.images = node.create_publisher(Image, "image_raw", 10)
        self.poses = node.create_publisher(PoseStamped, "current_pose", 1)
        node.create_subscription(PoseStamped, "target_pose", self.targets.append, 1)
        node.create_timer(STATE_PERIOD_S, self.publish_state)
        node.create_timer(IMAGE_PERIOD_S, self.publish_image)
        self.goals = ActionClient(node, Acquire, "acquire")
        meeting.meet(self.states, self.images)

    def now(self) -> Time:
        return self.clock.now().to_msg()

    def publish_state(self) -> None:
        self.state.header.stamp = self.now()
        self.states.publish(self.state)
        self.poses.publish(self.controlled)

    def publish_image(self) -> None:
        pixels = np.full((48, 64, 3), next(self.numbers) % 251, np.uint8)
        self.images.publish(to_image(pixels, self.now(), "camera"))

    def await_future(self, future: Any) -> Any:
        self.meeting.spin(30.0, future.done)
        return future.result()

    def acquire(self) -> Any:
        goal = Acquire.Goal(protocol="demo.yaml", trials=1, output="run")
        handle = self.await_future(self.goals.send_goal_async(goal))
        return self.await_future(handle.get_result_async()).result

    def doctor(self, capsys: Any) -> tuple[int, dict[str, dict[str, str]]]:
        """Exit code and checks by name of `tacdiff doctor --rig`."""
        codes: list[int] = []
        command = ["doctor", "--rig", "--json"]
        thread = threading.Thread(target=lambda: codes.append(run(command)))
        thread.start()
        self.meeting.spin(60.0, lambda: not thread.is_alive())
        checks = json.loads(capsys.readouterr().out)["checks"]
        return codes[0], {check["name"]: check for check in checks}


@pytest.fixture(scope="module")
def rig(meeting, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rig")
    return Rig(meeting("acquisition", ["-p", f"data_folder:={folder}", "-p", "base_frame:=base"]))


def test_doctor_lists_every_finding_of_a_good_rig_and_nothing_moves(rig, capsys):
    code, checks = rig.doctor(capsys)
    assert code == 0, [check for check in checks.values() if check["state"] == "bad"]
    assert list(checks) == ["rig", *CHECKS]
    shipped = read_rig(config_path("tacdiff.yaml"))
    assert f"checksum {shipped.checksum[:16]}," in checks["rig"]["found"]
    states = {name: check["state"] for name, check in checks.items()}
    assert "bad" not in states.values()
    # What a busy machine changes may be a warning: rates and clocks.
    for name in ("target topic", "end effector", "controlled pose", "robot mode", "robot frame"):
        assert states[name] == "good", checks[name]
    for name in ("arm at rest", "workspace", "wrench bias"):
        assert states[name] == "good", checks[name]
    assert "no controller_manager can be asked" in checks["controller"]["found"]
    assert "/tester steers 'fr3_hand_tcp'" in checks["end effector"]["found"]
    assert not rig.targets


def test_a_goal_is_refused_while_a_second_node_publishes_targets(rig):
    context = rig.meeting.node.context
    teleop = rclpy.create_node("teleop", context=context)
    teleop.create_publisher(PoseStamped, "target_pose", 1)
    result = rig.acquire()
    teleop.destroy_node()
    assert (result.success, result.cause) == (False, "refused")
    assert "/target_pose is also published by /teleop" in result.message
    assert not rig.targets


def test_a_controller_that_steers_another_pose_is_named_before_it_gets_a_target(rig):
    rig.controlled.pose.position.z += 0.1034  # from the hand's TCP to the flange
    result = rig.acquire()
    assert result.cause == "refused"
    assert "current_pose of the controller differs from O_T_EE by 103.4 mm" in result.message
    assert not rig.targets
