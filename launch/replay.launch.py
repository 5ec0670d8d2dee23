"""Play a recorded run and track its dots, on the recording's own clock.

ros2 launch tacdiff_ros replay.launch.py bag:=~/tacdiff_data/RUN

The recorded targets come as `recorded/target_pose`: a real arm must not follow them.
"""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = Path(get_package_share_directory("tacdiff_ros")) / "config" / "tacdiff.yaml"
# The tracker takes the first image for its reference: it must be up before the recording begins.
START_DELAY_S = "3.0"


def generate_launch_description() -> LaunchDescription:
    """Arguments first; the processes follow when their values are known."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Folder of a run, or of a rosbag2."),
            DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the replay."),
            DeclareLaunchArgument(
                "loop",
                default_value="false",
                choices=["true", "false"],
                description="Begin again at the end.",
            ),
            DeclareLaunchArgument(
                "namespace", default_value="", description="Namespace that the run was recorded in."
            ),
            DeclareLaunchArgument(
                "params_file", default_value=str(CONFIG), description="Parameters of the tracker."
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                choices=["debug", "info", "warn", "error", "fatal"],
                description="Least severe messages that the tracker prints.",
            ),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, and the tracker on its clock."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    require_player()
    params_file = Path(value("params_file")).expanduser()
    if not params_file.is_file():
        raise RuntimeError(f"params_file {params_file} does not exist: give an existing file")
    tracker = Node(
        package="tacdiff_ros",
        executable="marker_tracker",
        name="marker_tracker",
        namespace=value("namespace"),
        parameters=[str(params_file), {"use_sim_time": True}],
        ros_arguments=["--log-level", value("log_level")],
        output="screen",
    )
    bag = find_bag(Path(value("bag")).expanduser())
    namespace = value("namespace").strip("/")
    root = f"/{namespace}" if namespace else ""
    command = ["ros2", "bag", "play", str(bag), "--clock", "--rate", value("rate")]
    command += ["--delay", START_DELAY_S]
    command += ["--remap", f"{root}/target_pose:={root}/recorded/target_pose"]
    command += ["--loop"] if value("loop") == "true" else []
    end = Shutdown(reason="the player has ended")
    return [tracker, ExecuteProcess(cmd=command, output="screen", on_exit=end)]


def require_player() -> None:
    """Say what is missing before `ros2` answers with its usage."""
    try:
        get_package_share_directory("ros2bag")
    except PackageNotFoundError as error:
        raise RuntimeError(
            "ros2bag is not installed: install ros-jazzy-ros2bag and ros-jazzy-rosbag2-storage-mcap"
        ) from error


def find_bag(folder: Path) -> Path:
    """The rosbag2 of a run folder, or the folder itself if it is one."""
    for bag in (folder / "bag", folder):
        if (bag / "metadata.yaml").is_file():
            return bag
    raise RuntimeError(f"{folder} is no recorded run and no rosbag2: metadata.yaml is missing")
