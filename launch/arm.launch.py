"""Starts the arm alone: driver of franka_ros2 and Cartesian controller of crisp_controllers.

ros2 launch tacdiff_ros arm.launch.py robot_ip:=172.16.0.3

In a terminal of its own it outlives bringup.launch.py, so that Ctrl-C there still retracts the arm.
"""

import re
from pathlib import Path

from launch import LaunchDescription, LaunchDescriptionEntity
from launch.actions import IncludeLaunchDescription, LogInfo, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile

from tacdiff_ros.errors import InputError
from tacdiff_ros.launching.arguments import ARM, NAMESPACE, existing_file, package_folder, reader
from tacdiff_ros.launching.franka import Arm, Driver, driver_arguments

CONTROLLER = "cartesian_impedance_controller"
NO_STATES = (
    "franka_fake_hardware publishes no robot state and does not move: goals will be refused. "
    "For a virtual arm use bringup.launch.py use_fake_hardware:=true."
)
KEPT: list[ParameterFile] = []  # a ParameterFile that is freed deletes its file


def generate_launch_description() -> LaunchDescription:
    """Return the launch arguments, and a function that starts the arm once these have values."""
    return LaunchDescription([*ARM, NAMESPACE, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return driver and controller.

    Args:
        context: launch context with the values of the arguments.

    Raises:
        InputError: the arguments contradict each other, or a file or package is missing.
    """
    value = reader(context)
    arm = Arm(value("robot_type"), value("arm_prefix"), value("load_gripper") == "true")
    fake = value("franka_fake_hardware") == "true"
    if fake == bool(value("robot_ip")):
        raise InputError(
            "give either the address of an arm, robot_ip:=172.16.0.3, or franka_fake_hardware:=true"
        )
    actions = [driver(context, arm, value("robot_ip"), value("namespace"), fake)]
    if value("controller") == "crisp":
        file = existing_file("controller_file", value("controller_file"))
        actions.append(controller(context, arm, file, value("namespace")))
    return [*([LogInfo(msg=NO_STATES)] if fake else []), *actions]


def driver(
    context: LaunchContext, arm: Arm, robot_ip: str, namespace: str, fake: bool
) -> IncludeLaunchDescription:
    """Return franka.launch.py with the arguments of the installed release.

    Args:
        context: launch context, to read what franka.launch.py declares.
        arm: type, prefix and hand of the arm.
        robot_ip: address of the arm; empty with fake hardware.
        namespace: namespace of the driver.
        fake: whether the hardware is simulated by franka_ros2.

    Raises:
        InputError: franka_bringup is not installed, or has no argument that is needed.
    """
    folder = package_folder(
        "franka_bringup",
        "install franka_ros2, or start the arm yourself and leave robot_ip empty",
    )
    source = PythonLaunchDescriptionSource(str(folder / "launch" / "franka.launch.py"))
    declared = source.get_launch_description(context).get_launch_arguments()
    names = frozenset(argument.name for argument in declared)
    installed = Driver(package_version(folder), names)
    arguments = driver_arguments(arm, installed, robot_ip, namespace, fake)
    return IncludeLaunchDescription(source, launch_arguments=arguments.items())


def package_version(folder: Path) -> str:
    """Return the version in the package.xml of a share folder."""
    match = re.search(r"<version>\s*(\S+?)\s*</version>", (folder / "package.xml").read_text())
    return match[1] if match else "of unknown version"


def controller(context: LaunchContext, arm: Arm, file: Path, namespace: str) -> Node:
    """Return the spawner of the Cartesian controller.

    The parameters come with the spawner, so that franka_bringup keeps the controllers and rates of
    its own release.

    Args:
        context: launch context, in which the names of the arm are set.
        arm: type, prefix and hand of the arm.
        file: parameter file with `$(var ...)` for the names of the arm.
        namespace: namespace of the controller manager.

    Raises:
        InputError: crisp_controllers is not installed.
    """
    package_folder(
        "crisp_controllers",
        "build it from source, v2.0.0 or later, or set controller:=none and start your own "
        "controller that follows target_pose",
    )
    names = {
        "arm": arm.name,
        "end_effector_frame": arm.end_effector_frame,
    }
    context.launch_configurations.update(names)
    KEPT.append(ParameterFile(str(file), allow_substs=True))
    parameters = str(KEPT[-1].evaluate(context))
    return Node(
        package="controller_manager",
        executable="spawner",
        namespace=namespace,
        arguments=[CONTROLLER, "--param-file", parameters],
        output="screen",
    )
