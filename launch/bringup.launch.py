"""Sensor, dots and acquisition on a Franka arm, or on a virtual one.

ros2 launch tacdiff_ros bringup.launch.py params_file:=my_rig.yaml
ros2 launch tacdiff_ros bringup.launch.py use_fake_hardware:=true
"""

from pathlib import Path

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
        description="Address of the arm: starts franka_bringup. Empty: it runs already.",
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
        description="Take the time from /clock.",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", description="debug, info, warn, error or fatal."
    ),
    DeclareLaunchArgument(
        "source",
        default_value="",
        description="Images: camera, generated, or the path of a video or folder. "
        "Empty: as the parameters say, generated with fake hardware.",
    ),
    DeclareLaunchArgument(
        "data_folder", default_value="", description="Recordings. Empty: as the parameters say."
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
    source = value("source") or ("generated" if fake else "")
    base_frame = {"base_frame": f"{value('robot_type')}_link0"}
    data = {"data_folder": value("data_folder")} if value("data_folder") else {}
    files = [str(params_file)]
    if fake:
        files.append(str(SHARE / "config" / "fake_hardware.yaml"))
    own_parameters = {
        "gelsight_driver": {"source": source} if source else {},
        "marker_tracker": {},
        "acquisition": {**base_frame, **data},
    }
    if fake:
        own_parameters["virtual_panda"] = {"arm_id": value("robot_type")}
    nodes: list[LaunchDescriptionEntity] = [
        Node(
            package="tacdiff_ros",
            executable=name,
            name=name,
            namespace=value("namespace"),
            parameters=[
                *files,
                {"use_sim_time": value("use_sim_time") == "true"},
                parameters,
            ],
            ros_arguments=["--log-level", value("log_level")],
            output="screen",
            sigterm_timeout=TIME_TO_RETRACT_S,
        )
        for name, parameters in own_parameters.items()
    ]
    if value("robot_ip") and not fake:
        nodes.append(_franka(value("robot_ip"), value("robot_type"), value("namespace")))
    return nodes


def _franka(robot_ip: str, robot_type: str, namespace: str) -> IncludeLaunchDescription:
    try:
        share = Path(get_package_share_directory("franka_bringup"))
    except PackageNotFoundError as error:
        raise RuntimeError(
            "robot_ip is given, but franka_bringup is not installed: install franka_ros2, "
            "or start the arm yourself and leave robot_ip empty"
        ) from error
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "franka.launch.py")),
        launch_arguments={
            "robot_ip": robot_ip,
            "robot_type": robot_type,
            "namespace": namespace,
        }.items(),
    )
