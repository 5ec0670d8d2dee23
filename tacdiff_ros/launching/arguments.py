"""Launch arguments that several launch files take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch.actions import DeclareLaunchArgument
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration

from tacdiff_ros.errors import InputError

PACKAGE_FOLDER = Path(get_package_share_directory("tacdiff_ros"))


def flag(name: str, default: str, description: str) -> DeclareLaunchArgument:
    """Return an argument that is true or false."""
    return DeclareLaunchArgument(
        name, default_value=default, choices=["true", "false"], description=description
    )


NAMESPACE = DeclareLaunchArgument(
    "namespace", default_value="", description="Namespace of all nodes and topics."
)
PARAMS_FILE = DeclareLaunchArgument(
    "params_file",
    default_value=str(PACKAGE_FOLDER / "config" / "tacdiff.yaml"),
    description="Parameters of all nodes; copy the shipped file and enter your own rig.",
)
RIG_FILE = DeclareLaunchArgument(
    "rig_file",
    default_value="",
    description="Rig file, by `tacdiff rig write`; its rig takes precedence over that of "
    "params_file.",
)
LOG_LEVEL = DeclareLaunchArgument(
    "log_level",
    default_value="info",
    choices=["debug", "info", "warn", "error", "fatal"],
    description="Least severe messages that the nodes print.",
)
SENSOR_FILE = DeclareLaunchArgument(
    "sensor_file",
    default_value="",
    description="Sensor file of the calibrated sensor, for twin, comparator and inversion. "
    "Empty: value of params_file.",
)
SIMULATOR = DeclareLaunchArgument(
    "simulator",
    default_value="auto",
    choices=["auto", "pix2pix", "renderer", "differentiable"],
    description="Simulator of the twin's images: network or renderer. auto: the renderer for a "
    "calibrated sensor without a network of its own, otherwise the network.",
)
ARM = (
    DeclareLaunchArgument(
        "robot_ip",
        default_value="",
        description="Address of the arm: starts its driver and controller, which Ctrl-C then ends "
        "together with a run, before it can retract. Empty: they run already.",
    ),
    DeclareLaunchArgument(
        "robot_type",
        default_value="fr3",
        description="Type of the arm in franka_description: fr3, fr3v2, fr3v2_1, fp3 or fer.",
    ),
    DeclareLaunchArgument(
        "arm_prefix",
        default_value="",
        description="Prefix of the arm's links and joints, without the underscore after it.",
    ),
    flag(
        "load_gripper",
        "true",
        "The Franka Hand is mounted: the sensor's parent is its TCP, else the flange.",
    ),
    flag(
        "franka_fake_hardware",
        "false",
        "Start franka_ros2 with its fake hardware, to check frames and controllers: it publishes "
        "no robot state and does not move, so that goals are refused.",
    ),
    DeclareLaunchArgument(
        "controller",
        default_value="crisp",
        choices=["crisp", "none"],
        description="Cartesian controller to start with the arm; none: start your own, which "
        "follows target_pose.",
    ),
    DeclareLaunchArgument(
        "controller_file",
        default_value=str(PACKAGE_FOLDER / "config" / "crisp_controller.yaml"),
        description="Parameters of the Cartesian controller.",
    ),
)


def reader(context: LaunchContext) -> Callable[[str], str]:
    """Return a function that returns the value of an argument by its name."""
    return lambda name: str(LaunchConfiguration(name).perform(context))


def existing_file(name: str, path: str) -> Path:
    """Return the path of a file.

    Args:
        name: name of the argument.
        path: value of the argument; a leading ~ is the home folder.

    Raises:
        InputError: there is no such file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"{name} {file} does not exist: name an existing file")
    return file


def parameter_files(value: Callable[[str], str]) -> list[Path]:
    """Return the parameter file of all nodes, and the rig file after it if one is given.

    Args:
        value: function that returns the value of a launch argument.

    Raises:
        InputError: a file does not exist.
    """
    names = ["params_file", *(["rig_file"] if value("rig_file") else [])]
    return [existing_file(name, value(name)) for name in names]


def package_folder(name: str, advice: str) -> Path:
    """Return the share folder of an installed package.

    Args:
        name: name of the package.
        advice: remedy, for the error message.

    Raises:
        InputError: the package is not installed.
    """
    try:
        return Path(get_package_share_directory(name))
    except PackageNotFoundError as error:
        raise InputError(f"{name} is not installed: {advice}") from error
