"""The service `recover` on real DDS, with the virtual arm's driver."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
pytest.importorskip("controller_manager_msgs", reason="ros2_control's messages are not installed")

from controller_manager_msgs.srv import ListControllers, ListHardwareComponents
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from std_srvs.srv import Trigger
from tacdiff_ros.srv import InjectFault

STATE = "franka_robot_state_broadcaster/robot_state"


class Arm:
    """Client of the virtual arm and of the acquisition node."""

    def __init__(self, meeting: Any, folder: Any) -> None:
        self.met = meeting("virtual_panda", [])
        meeting("acquisition", ["-p", f"data_folder:={folder}"])
        self.node = self.met.node
        self.states: list[FrankaRobotState] = []
        self.node.create_subscription(FrankaRobotState, STATE, self.states.append, 10)
        self.met.spin(20.0, lambda: bool(self.states))  # a slow discovery is not a silent arm

    def call(self, kind: Any, name: str, **content: Any) -> Any:
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(10.0)
        future = client.call_async(kind.Request(**content))
        self.met.spin(40.0, future.done)
        self.node.destroy_client(client)
        return future.result()

    def inject(self, fault: str) -> None:
        response = self.call(InjectFault, "virtual_panda/inject_fault", fault=fault, duration=0.0)
        assert response.success, response.message

    def newest(self) -> FrankaRobotState | None:
        """State that arrives from now on; None while the states are silent."""
        self.met.spin(0.3)
        self.states.clear()
        self.met.spin(1.0, lambda: bool(self.states))
        return self.states[-1] if self.states else None

    def listing(self) -> tuple[set[str], set[str]]:
        controllers = self.call(ListControllers, "controller_manager/list_controllers")
        hardware = self.call(ListHardwareComponents, "controller_manager/list_hardware_components")
        return (
            {each.state for each in controllers.controller},
            {each.state.label for each in hardware.component},
        )


@pytest.fixture(scope="module")
def arm(meeting, tmp_path_factory) -> Arm:
    return Arm(meeting, tmp_path_factory.mktemp("data"))


def test_recover_brings_a_silent_arm_back_where_it_stands_whatever_target_was_stored(arm):
    before = arm.newest()
    assert before is not None and before.o_t_ee.header.frame_id == "base"
    arm.inject("silent_reflex")
    assert arm.newest() is None
    assert arm.listing() == ({"inactive"}, {"unconfigured"})
    assert arm.node.count_publishers(STATE) == 1  # franka_ros2 keeps the publisher
    response = arm.call(Trigger, "recover")
    assert response.success, response.message
    after = arm.newest()
    assert arm.listing() == ({"active"}, {"active"})
    assert after is not None and after.robot_mode == FrankaRobotState.ROBOT_MODE_MOVE
    assert after.o_t_ee.pose.position.z == pytest.approx(before.o_t_ee.pose.position.z, abs=1e-4)


def test_recover_of_an_arm_that_is_fit_changes_nothing(arm):
    response = arm.call(Trigger, "recover")
    assert response.success, response.message
    assert arm.newest() is not None


def test_recover_ends_a_user_stop_that_left_an_idle_arm(arm):
    arm.inject("released_user_stop")
    stopped = arm.newest()
    assert stopped is not None and stopped.robot_mode == FrankaRobotState.ROBOT_MODE_IDLE
    flags = stopped.current_errors
    assert not any(getattr(flags, name) for name in flags.get_fields_and_field_types())
    assert arm.call(Trigger, "recover").success
    assert arm.newest().robot_mode == FrankaRobotState.ROBOT_MODE_MOVE


def test_a_second_publisher_of_targets_keeps_the_arm_where_it_is(arm):
    start = arm.newest()
    height_m = start.o_t_ee.pose.position.z
    other = arm.node.create_publisher(PoseStamped, "target_pose", 1)
    arm.met.meet(other)
    assert arm.node.count_publishers("target_pose") == 2
    target = PoseStamped(pose=start.o_t_ee.pose)
    target.pose.position.z = height_m + 0.02
    for _ in range(20):
        other.publish(target)
        arm.met.spin(0.02)
    end = arm.newest()
    arm.node.destroy_publisher(other)
    assert end.o_t_ee.pose.position.z == pytest.approx(height_m, abs=1e-3)
