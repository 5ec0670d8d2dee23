"""Sensor, dots and acquisition on a Franka arm, or on a virtual one.

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

SHARE = Path(get_package_share_directory("tacdiff_ros"))
# An interrupted run retracts and closes its recording before the node ends.
TIME_TO_RETRACT_S = "20"
# It draws as fast as the machine can, which motion has to wait for.
VIRTUAL_CAMERA = {
    "limits.image_pause_s": 1.0,
    "limits.image_age_s": 5.0,
    "limits.clock_jump_s": 2.0,
}

# Who takes part in the virtual world's time: those that the arm needs, and those that only watch.
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
        "with a run, before it can retract. Empty: it runs already.",
    ),
    DeclareLaunchArgument(
        "robot_type",
        default_value="fr3",
        choices=["fr3", "panda"],
        description="Arm, for franka_bringup and for the names of frames.",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of all nodes and topics."
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(SHARE / "config" / "tacdiff.yaml"),
        description="Parameters of all nodes; copy the shipped file and enter your own rig.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        choices=["true", "false"],
        description="Take the time from /clock. With fake hardware a virtual clock gives it: all "
        "virtual nodes wait for each other, so a slow machine loses nothing.",
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
        description="Images: camera, generated, virtual (a sensor that feels the virtual arm's "
        "indenter), or the path of a video or folder. Empty: as the parameters say, generated "
        "with fake hardware.",
    ),
    DeclareLaunchArgument(
        "sensor_file",
        default_value="",
        description="Calibrated unit, for twin, comparator and inversion. Empty: as the "
        "parameters say.",
    ),
    DeclareLaunchArgument(
        "twin",
        default_value="false",
        choices=["true", "false"],
        description="Simulate what the sensor should see, and compare.",
    ),
    DeclareLaunchArgument(
        "watchdog",
        default_value="false",
        choices=["true", "false"],
        description="Retract the sensor where acquisition is killed in contact, from a process of "
        "its own. Tried on the virtual arm only.",
    ),
    DeclareLaunchArgument(
        "simulator",
        default_value="pix2pix",
        choices=["pix2pix", "renderer"],
        description="What draws the twin's images.",
    ),
    DeclareLaunchArgument(
        "indenter",
        default_value="",
        description="What is touched, as sphere:diameter=5, for twin and virtual sensor. Empty: "
        "as the parameters say.",
    ),
    DeclareLaunchArgument(
        "virtual_sensor_file",
        default_value="",
        description="Unit that a virtual sensor is. Empty: a random one.",
    ),
    DeclareLaunchArgument(
        "data_folder",
        default_value="",
        description="Recordings and sensor files. Empty: as the parameters say.",
    ),
    DeclareLaunchArgument(
        "publish_description",
        default_value="false",
        choices=["true", "false"],
        description="Publish mount and sensor frames below <robot_type>_hand_tcp, with the mount "
        "of params_file; needs robot_state_publisher.",
    ),
]


def generate_launch_description() -> LaunchDescription:
    """Arguments first; the nodes follow when their values are known."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Nodes for the arguments given."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    params_file = Path(value("params_file")).expanduser()
    if not params_file.is_file():
        raise RuntimeError(f"params_file {params_file} does not exist: give an existing file")
    fake = value("use_fake_hardware") == "true"
    files = [str(params_file)]
    if fake:
        files.append(str(SHARE / "config" / "fake_hardware.yaml"))
    use_sim_time = value("use_sim_time") == "true"
    overrides_by_node = node_overrides(fake, value)
    if "arm_watchdog" in overrides_by_node:
        given = overrides_by_node["arm_watchdog"]
        overrides_by_node["arm_watchdog"] = {**watchdog_parameters(params_file), **given}
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
    """Nodes to start, each with the parameters that arguments set over the files."""
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
    if value("watchdog") == "true":
        age_s = {"limits.state_age_s": 2.0} if fake else {}  # a laptop may starve the arm
        frame = {} if robot_type == "fr3" else {"base_frame": f"{robot_type}_link0"}
        overrides["arm_watchdog"] = {**age_s, **frame}
    if source == "virtual":
        require_fake(fake)
        del overrides["gelsight_driver"]
        overrides["virtual_gelsight"] = given(
            indenter=value("indenter"), sensor_file=value("virtual_sensor_file")
        )
        overrides["acquisition"] |= VIRTUAL_CAMERA
    elif source or fake:
        overrides["gelsight_driver"]["source"] = source or "generated"
    if value("twin") == "true":
        shared = given(sensor_file=value("sensor_file"))
        overrides["comparator"] = {**shared, "simulator": value("simulator")}
        overrides["tactile_simulator"] = {
            **shared,
            **given(indenter=value("indenter")),
            "simulator": value("simulator"),
        }
    overrides["mesh_inversion"] |= given(sensor_file=value("sensor_file"))
    overrides["acquisition"] |= given(data_folder=value("data_folder"))
    overrides["calibration"] |= given(data_folder=value("data_folder"))
    if robot_type != "fr3":  # the default must not overrule the base_frame of a file
        overrides["acquisition"]["base_frame"] = f"{robot_type}_link0"
    if fake and value("use_sim_time") == "true":
        add_virtual_clock(overrides)
    return overrides


def watchdog_parameters(params_file: Path) -> dict[str, Any]:
    """Where and how far the arm may move, as the file says for acquisition."""
    try:
        given = yaml.safe_load(params_file.read_text())["/**"]["acquisition"]["ros__parameters"]
        frame = {name: given[name] for name in ("base_frame",) if name in given}
        return {"rig": given["rig"], "limits": given["limits"], **frame}
    except (KeyError, TypeError) as error:
        raise RuntimeError(
            f"watchdog:=true needs rig and limits of acquisition in {params_file}, laid out as in "
            "the shipped tacdiff.yaml"
        ) from error


def add_virtual_clock(overrides: Overrides) -> None:
    """Let the nodes of the virtual world wait for each other on a clock of its own."""
    world = [name for name in WORLD if name in overrides]
    followers = [name for name in FOLLOWERS if name in overrides]
    for name in (*world, *followers):
        overrides[name] |= {"lock_step": True, "lock_step_nodes": [*world, *followers]}
    overrides[CLOCK] = {
        "participants": world,
        "followers": followers or [""],
        "speed_limit": 1.0,
    }


def given(**values: str) -> dict[str, str | float | bool | list[str]]:
    """Those that are not empty."""
    return {name: text for name, text in values.items() if text}


def require_fake(fake: bool) -> None:
    """A virtual sensor feels the virtual arm only."""
    if not fake:
        raise RuntimeError("source:=virtual needs use_fake_hardware:=true, whose arm it follows")


def describe_mount(params_file: Path, robot_type: str) -> str:
    """URDF of the mount where the parameters say it is."""
    import xacro  # needed for this only

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
    path = SHARE / "urdf" / "gelsight_mini.urdf.xacro"
    return str(xacro.process_file(str(path), mappings=mappings).toxml())


def mount_publisher(description: str, namespace: str) -> Node:
    """Frames of the mount, in a node and on a topic beside those of the arm.

    The arm's controller manager takes the hardware from `robot_description`.
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
    """Driver of the arm, from franka_ros2."""
    share = _require(
        "franka_bringup",
        "install franka_ros2, or start the arm yourself and leave robot_ip empty",
    )
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "franka.launch.py")),
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
