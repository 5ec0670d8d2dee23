"""Play a recorded run and track its dots, on the recording's own clock.

ros2 launch tacdiff_ros replay.launch.py bag:=~/tacdiff_data/RUN
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = Path(get_package_share_directory("tacdiff_ros")) / "config" / "tacdiff.yaml"


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
                "namespace", default_value="", description="Namespace of the tracker."
            ),
            DeclareLaunchArgument(
                "params_file", default_value=str(CONFIG), description="Parameters of the nodes."
            ),
            DeclareLaunchArgument(
                "log_level", default_value="info", description="debug, info, warn, error or fatal."
            ),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, and nodes on its clock."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    folder = Path(value("bag")).expanduser()
    bag = folder / "bag" if (folder / "bag").is_dir() else folder
    if not (bag / "metadata.yaml").is_file():
        raise RuntimeError(f"{folder} is no recorded run and no rosbag2: metadata.yaml is missing")
    loop = ["--loop"] if value("loop") == "true" else []
    command = ["ros2", "bag", "play", str(bag), "--clock", "--rate", value("rate"), *loop]
    tracker = Node(
        package="tacdiff_ros",
        executable="marker_tracker",
        name="marker_tracker",
        namespace=value("namespace"),
        parameters=[str(Path(value("params_file")).expanduser()), {"use_sim_time": True}],
        ros_arguments=["--log-level", value("log_level")],
        output="screen",
    )
    return [tracker, ExecuteProcess(cmd=command, output="screen")]
