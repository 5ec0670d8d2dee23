"""Starts sensor, marker tracker and acquisition on a Franka arm or on a virtual arm.

ros2 launch tacdiff_ros bringup.launch.py params_file:=my_rig.yaml
ros2 launch tacdiff_ros bringup.launch.py use_fake_hardware:=true
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE_FOLDER = Path(get_package_share_directory("tacdiff_ros"))
# Before the node ends, an interrupted run retracts the arm and closes its recording.
TIME_TO_RETRACT_S = "20"
# Limits of acquisition for a virtual sensor, whose frame rate depends on the machine.
VIRTUAL_CAMERA_LIMITS = {
    "limits.image_pause_s": 1.0,
    "limits.image_age_s": 5.0,
    "limits.clock_jump_s": 2.0,
}

# Nodes that run in lock step with the virtual clock: the clock waits for WORLD at every step, and
# FOLLOWERS may lag behind.
WORLD = ("virtual_panda", "virtual_gelsight", "gelsight_driver", "acquisition")
FOLLOWERS = ("tactile_simulator", "comparator")
CLOCK = "virtual_clock"
Overrides = dict[str, dict[str, str | float | bool | list[str]]]

ARGUMENTS = [
    DeclareLaunchArgument(
        "use_fake_hardware",
        default_value="false",
        choices=["true", "false"],
        description="Start a virtual Panda and generated images instead of arm and camera.",
    ),
    DeclareLaunchArgument(
        "robot_ip",
        default_value="",
        description="Address of the arm: starts franka_bringup, which Ctrl-C then ends together "
        "with a run, before it can retract. Empty: the arm's driver runs already.",
    ),
    DeclareLaunchArgument(
        "robot_type",
        default_value="fr3",
        choices=["fr3", "panda"],
        description="Type of the arm, for franka_bringup and for the names of frames.",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of all nodes and topics."
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(PACKAGE_FOLDER / "config" / "tacdiff.yaml"),
        description="Parameters of all nodes; copy the shipped file and enter your own rig.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=["true", "false"],
        description="Take the time from /clock. With fake hardware a virtual clock publishes it, "
        "and all virtual nodes wait for each other, so that a slow machine loses no images.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severe messages that the nodes print.",
    ),
    DeclareLaunchArgument(
        "source",
        default_value="",
        description="Source of the images: camera, generated, virtual (a sensor pressed on the "
        "virtual arm's indenter), or the path of a video or folder. Empty: value of params_file, "
        "or generated with fake hardware.",
    ),
    DeclareLaunchArgument(
        "sensor_file",
        default_value="",
        description="Sensor file of the calibrated sensor, for twin, comparator and inversion. "
        "Empty: value of params_file.",
    ),
    DeclareLaunchArgument(
        "twin",
        default_value="false",
        choices=["true", "false"],
        description="Simulate what the sensor should measure, and compare.",
    ),
    DeclareLaunchArgument(
        "watchdog",
        default_value="false",
        choices=["true", "false"],
        description="Start a separate process that retracts the sensor if acquisition is killed in "
        "contact. Tested on the virtual arm only.",
    ),
    DeclareLaunchArgument(
        "simulator",
        default_value="pix2pix",
        choices=["pix2pix", "renderer"],
        description="Renderer of the twin's images.",
    ),
    DeclareLaunchArgument(
        "indenter",
        default_value="",
        description="Spec of the indenter, such as sphere:diameter=5, for twin and virtual sensor. "
        "Empty: value of params_file.",
    ),
    DeclareLaunchArgument(
        "virtual_sensor_file",
        default_value="",
        description="Sensor file of the virtual sensor. Empty: a random sensor.",
    ),
    DeclareLaunchArgument(
        "data_folder",
        default_value="",
        description="Folder of recordings and sensor files. Empty: value of params_file.",
    ),
    DeclareLaunchArgument(
        "publish_description",
        default_value="false",
        choices=["true", "false"],
        description="Publish the frames of mount and sensor below <robot_type>_hand_tcp, with the "
        "mount pose of params_file; needs robot_state_publisher.",
    ),
]


def generate_launch_description() -> LaunchDescription:
    """Return the launch arguments, and a function that starts the nodes once these have values."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the nodes to start.

    Args:
        context: launch context with the values of the arguments.

    Raises:
        RuntimeError: the arguments contradict each other, or a file or package is missing.
    """

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    params_file = Path(value("params_file")).expanduser()
    if not params_file.is_file():
        raise RuntimeError(f"params_file {params_file} does not exist: name an existing file")
    fake = value("use_fake_hardware") == "true"
    files = [str(params_file)]
    if fake:
        files.append(str(PACKAGE_FOLDER / "config" / "fake_hardware.yaml"))
    use_sim_time = value("use_sim_time") == "true"
    overrides_by_node = node_overrides(fake, value)
    if "arm_watchdog" in overrides_by_node:
        own = overrides_by_node["arm_watchdog"]
        overrides_by_node["arm_watchdog"] = {**watchdog_parameters(params_file), **own}
    nodes: list[LaunchDescriptionEntity] = [
        Node(
            package="tacdiff_ros",
            executable=name,
            name=name,
            namespace=value("namespace"),
            parameters=[*files, {"use_sim_time": use_sim_time and name != CLOCK}, overrides],
            ros_arguments=["--log-level", value("log_level")],
            output="screen",
            sigterm_timeout=TIME_TO_RETRACT_S,
        )
        for name, overrides in overrides_by_node.items()
    ]
    if value("publish_description") == "true":
        description = describe_mount(params_file, value("robot_type"))
        nodes.append(mount_publisher(description, value("namespace")))
    if value("robot_ip") and not fake:
        nodes.append(arm(value("robot_ip"), value("robot_type"), value("namespace")))
    return nodes


def node_overrides(fake: bool, value: Callable[[str], str]) -> Overrides:
    """Return the nodes to start with their parameter overrides.

    Args:
        fake: whether the hardware is virtual.
        value: function that returns the value of a launch argument.

    Returns:
        Parameters by node name, which take precedence over the parameter files.
    """
    overrides: Overrides = {
        "gelsight_driver": {},
        "marker_tracker": {},
        "acquisition": {},
        "calibration": {},
        "mesh_inversion": {},
    }
    robot_type, source = value("robot_type"), value("source")
    if fake:
        overrides["virtual_panda"] = {"arm_id": robot_type}
    if robot_type != "fr3":  # the default must not override the value of a file
        overrides["acquisition"]["end_effector_frame"] = f"{robot_type}_hand_tcp"
    if value("watchdog") == "true":
        # A slow machine may delay the states of the virtual arm.
        overrides["arm_watchdog"] = {"limits.state_age_s": 2.0} if fake else {}
    if source == "virtual":
        require_fake(fake)
        del overrides["gelsight_driver"]
        overrides["virtual_gelsight"] = non_empty(
            indenter=value("indenter"), sensor_file=value("virtual_sensor_file")
        )
        overrides["acquisition"] |= VIRTUAL_CAMERA_LIMITS
    elif source or fake:
        overrides["gelsight_driver"]["source"] = source or "generated"
    if value("twin") == "true":
        shared = non_empty(sensor_file=value("sensor_file"))
        overrides["comparator"] = {**shared, "simulator": value("simulator")}
        overrides["tactile_simulator"] = {
            **shared,
            **non_empty(indenter=value("indenter")),
            "simulator": value("simulator"),
        }
    overrides["mesh_inversion"] |= non_empty(sensor_file=value("sensor_file"))
    overrides["acquisition"] |= non_empty(data_folder=value("data_folder"))
    overrides["calibration"] |= non_empty(data_folder=value("data_folder"))
    if fake and value("use_sim_time") == "true":
        add_virtual_clock(overrides)
    return overrides


def watchdog_parameters(params_file: Path) -> dict[str, Any]:
    """Read rig, limits and base frame of acquisition from a parameter file.

    Args:
        params_file: parameter file in the layout of the shipped tacdiff.yaml.

    Returns:
        Parameters of `arm_watchdog`.

    Raises:
        RuntimeError: the file lacks these parameters.
    """
    try:
        content = yaml.safe_load(params_file.read_text())
        acquisition = content["/**"]["acquisition"]["ros__parameters"]
        frame = {name: acquisition[name] for name in ("base_frame",) if name in acquisition}
        return {"rig": acquisition["rig"], "limits": acquisition["limits"], **frame}
    except (KeyError, TypeError) as error:
        raise RuntimeError(
            f"watchdog:=true needs rig and limits of acquisition in {params_file}, laid out as in "
            "the shipped tacdiff.yaml"
        ) from error


def add_virtual_clock(overrides: Overrides) -> None:
    """Add the virtual clock, and let the nodes of the virtual world run in lock step with it.

    Args:
        overrides: parameters by node name, changed in place.
    """
    world = [name for name in WORLD if name in overrides]
    followers = [name for name in FOLLOWERS if name in overrides]
    for name in (*world, *followers):
        overrides[name] |= {"lock_step": True, "lock_step_nodes": [*world, *followers]}
    overrides[CLOCK] = {
        "participants": world,
        "followers": followers or [""],
        "speed_limit": 1.0,
    }


def non_empty(**values: str) -> dict[str, str | float | bool | list[str]]:
    """Return the values that are not empty, by name."""
    return {name: text for name, text in values.items() if text}


def require_fake(fake: bool) -> None:
    """Check that the hardware is virtual, because a virtual sensor needs the virtual arm.

    Raises:
        RuntimeError: the hardware is real.
    """
    if not fake:
        raise RuntimeError("source:=virtual needs the virtual arm: set use_fake_hardware:=true")


def describe_mount(params_file: Path, robot_type: str) -> str:
    """Create the URDF of the mount with the pose of a parameter file.

    Args:
        params_file: parameter file in the layout of the shipped tacdiff.yaml.
        robot_type: prefix of the arm's link names.

    Returns:
        URDF as XML text.

    Raises:
        RuntimeError: the file lacks the mount pose.
    """
    import xacro  # imported here, because only this function needs it

    content = yaml.safe_load(params_file.read_text())
    try:
        rig = content["/**"]["acquisition"]["ros__parameters"]["rig"]
        position_mm, rpy_rad = rig["mount_position_mm"], rig["mount_rpy_rad"]
    except (KeyError, TypeError) as error:
        raise RuntimeError(
            f"publish_description needs rig.mount_position_mm and rig.mount_rpy_rad of acquisition "
            f"in {params_file}, laid out as in the shipped tacdiff.yaml"
        ) from error
    mappings = {
        "parent": f"{robot_type}_hand_tcp",
        "gel_xyz": " ".join(str(1e-3 * part) for part in position_mm),
        "gel_rpy": " ".join(str(part) for part in rpy_rad),
    }
    path = PACKAGE_FOLDER / "urdf" / "gelsight_mini.urdf.xacro"
    return str(xacro.process_file(str(path), mappings=mappings).toxml())


def mount_publisher(description: str, namespace: str) -> Node:
    """Return a node that publishes the frames of the mount.

    Its description is on a topic of its own, because the arm's controller manager reads the
    hardware from `robot_description`.

    Args:
        description: URDF of the mount.
        namespace: namespace of the node.

    Raises:
        RuntimeError: robot_state_publisher is not installed.
    """
    _require("robot_state_publisher", "install it, or leave publish_description false")
    return Node(
        package="robot_state_publisher",
        executable="robot_state_publisher",
        name="gelsight_state_publisher",
        namespace=namespace,
        parameters=[{"robot_description": description}],
        remappings=[("robot_description", "gelsight_description")],
        output="screen",
    )


def arm(robot_ip: str, robot_type: str, namespace: str) -> IncludeLaunchDescription:
    """Return the launch file of the arm's driver, which is part of franka_ros2.

    Args:
        robot_ip: address of the arm.
        robot_type: type of the arm.
        namespace: namespace of the driver.

    Raises:
        RuntimeError: franka_bringup is not installed.
    """
    package_folder = _require(
        "franka_bringup",
        "install franka_ros2, or start the arm yourself and leave robot_ip empty",
    )
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(package_folder / "launch" / "franka.launch.py")),
        launch_arguments={
            "robot_ip": robot_ip,
            "robot_type": robot_type,
            "namespace": namespace,
        }.items(),
    )


def _require(package: str, advice: str) -> Path:
    try:
        return Path(get_package_share_directory(package))
    except PackageNotFoundError as error:
        raise RuntimeError(f"{package} is not installed: {advice}") from error
