"""Names and launch arguments fit what franka_description and each release of franka_ros2 have."""

from __future__ import annotations

import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.launching.franka import ROBOT_TYPES, Arm, Driver, driver_arguments

COMMON = {"arm_prefix", "namespace", "robot_ip", "load_gripper", "use_fake_hardware"}
COMMON |= {"fake_sensor_commands", "joint_state_rate", "controllers_yaml"}
OLD = frozenset(COMMON | {"arm_id", "urdf_file"})
NEW = frozenset(COMMON | {"robot_type"})
IP, NO_IP = "172.16.0.3", ""


@pytest.mark.parametrize("robot_type", ROBOT_TYPES)
def test_links_are_named_as_franka_description_names_them(robot_type):
    arm = Arm(robot_type)
    assert arm.end_effector_frame == f"{robot_type}_hand_tcp"
    assert (arm.joints[0], arm.joints[-1]) == (f"{robot_type}_joint1", f"{robot_type}_joint7")


def test_without_a_hand_the_end_effector_is_the_flange():
    assert Arm("fr3", gripper=False).end_effector_frame == "fr3_link8"


def test_a_prefix_precedes_the_type():
    arm = Arm("fr3v2", prefix="left")
    assert arm.end_effector_frame == "left_fr3v2_hand_tcp"


@pytest.mark.parametrize(
    ("robot_type", "prefix", "advice"),
    [
        ("panda", "", "set robot_type:=fer"),
        ("fr3_duo", "", "type of one of them"),
        ("ur5", "", "use one of fr3, fr3v2"),
        ("fr3", "left_", "appends the underscore"),
        ("fr3", "left arm", "is not a name"),
    ],
)
def test_unknown_arms_are_refused_in_one_line_with_advice(robot_type, prefix, advice):
    with pytest.raises(InputError, match=advice) as refusal:
        Arm(robot_type, prefix)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("version", ["2.0.2", "2.1.0", "3.1.0"])
def test_before_robot_type_the_type_is_arm_id_and_chooses_the_description(version):
    arguments = driver_arguments(Arm("fp3"), Driver(version, OLD), IP, "", False)
    assert arguments == {
        "robot_ip": IP,
        "load_gripper": "true",
        "use_fake_hardware": "false",
        "arm_id": "fp3",
        "urdf_file": "fp3/fp3.urdf.xacro",
    }


@pytest.mark.parametrize("version", ["2.5.0", "3.2.1", "3.4.0", "3.5.2", "4.0.0"])
def test_type_prefix_and_namespace_reach_the_driver(version):
    arm = Arm("fr3", prefix="left", gripper=False)
    arguments = driver_arguments(arm, Driver(version, NEW), IP, "cell", False)
    assert arguments == {
        "robot_ip": IP,
        "namespace": "cell",
        "arm_prefix": "left",
        "load_gripper": "false",
        "use_fake_hardware": "false",
        "robot_type": "fr3",
    }


@pytest.mark.parametrize("version", ["2.1.0", "2.2.0", "3.1.0", "3.2.0", "of unknown version"])
def test_a_prefix_is_refused_where_the_robot_states_ignore_it(version):
    with pytest.raises(InputError, match=r"v2\.3\.0 \(Humble\) or v3\.2\.1 \(Jazzy\)"):
        driver_arguments(Arm("fr3", prefix="left"), Driver(version, NEW), IP, "", False)


@pytest.mark.parametrize(
    ("missing", "arm", "namespace"),
    [
        ("load_gripper", Arm("fr3"), ""),
        ("arm_prefix", Arm("fr3", prefix="left"), ""),
        ("namespace", Arm("fr3"), "cell"),
        ("robot_type", Arm("fr3"), ""),
    ],
)
def test_an_argument_that_the_release_lacks_is_refused_only_if_it_is_needed(
    missing, arm, namespace
):
    driver = Driver("3.4.0", NEW - {missing})
    with pytest.raises(InputError, match=f"has no argument {missing}"):
        driver_arguments(arm, driver, IP, namespace, False)
    without = Driver("3.4.0", NEW - {"namespace", "arm_prefix"})
    assert "namespace" not in driver_arguments(Arm("fr3"), without, IP, "", False)


def test_fake_hardware_needs_no_address():
    arguments = driver_arguments(Arm("fer"), Driver("3.4.0", NEW), NO_IP, "", True)
    assert arguments["use_fake_hardware"] == "true" and "robot_ip" not in arguments
