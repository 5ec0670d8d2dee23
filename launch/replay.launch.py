"""Play a recorded run with its dots tracked and its twin beside it, on the recording's own clock.

ros2 launch tacdiff_ros replay.launch.py bag:=~/tacdiff_data/RUN
ros2 launch tacdiff_ros replay.launch.py bag:=~/tacdiff_data/RUN twin:=true sensor_file:=unit.yaml

The recorded targets come as `recorded/target_pose`: a real arm must not follow them. What a twin
published when it was recorded comes below `recorded/` as well.
"""

from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

CONFIG = Path(get_package_share_directory("tacdiff_ros")) / "config" / "tacdiff.yaml"
# Discovery after the last node is ready; the tracker takes the first image for its reference.
START_DELAY_S = "1.0"
SILENCED = (
    "target_pose",
    "simulated/image_raw",
    "simulated/nocs",
    "simulated/depth",
    "simulated/gel_points",
    "comparison",
    "comparison/image",
)


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
            DeclareLaunchArgument(
                "twin",
                default_value="false",
                choices=["true", "false"],
                description="Simulate the recorded touches, and compare.",
            ),
            DeclareLaunchArgument(
                "sensor_file",
                default_value="",
                description="Calibrated unit, for the twin. Empty: as the parameters say.",
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
                description="What was touched, as sphere:diameter=5. Empty: as the run says.",
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
    bag = find_bag(Path(value("bag")).expanduser())
    namespace = value("namespace").strip("/")
    root = f"/{namespace}" if namespace else ""
    command = ["ros2", "bag", "play", str(bag), "--clock", "--rate", value("rate")]
    command += ["--delay", START_DELAY_S]
    command += ["--remap", *[f"{root}/{name}:={root}/recorded/{name}" for name in SILENCED]]
    command += ["--loop"] if value("loop") == "true" else []
    end = Shutdown(reason="the player has ended")
    player = ExecuteProcess(cmd=command, output="screen", on_exit=end)
    parameters: dict[str, dict[str, str]] = {"marker_tracker": {}}
    if value("twin") == "true":
        unit = {"sensor_file": value("sensor_file")} if value("sensor_file") else {}
        indenter = value("indenter") or recorded_indenter(bag.parent)
        drawn = {"simulator": value("simulator")}
        parameters["tactile_simulator"] = {**unit, **drawn, "indenter": indenter}
        parameters["comparator"] = {**unit, **drawn}
    nodes = [
        Node(
            package="tacdiff_ros",
            executable=name,
            name=name,
            namespace=value("namespace"),
            parameters=[str(params_file), {"use_sim_time": True}, own],
            ros_arguments=["--log-level", value("log_level")],
            output="screen",
            on_exit=Shutdown(reason=f"{name} has ended"),
        )
        for name, own in parameters.items()
    ]
    waiting = Node(
        package="tacdiff_ros",
        executable="wait_until_ready",
        namespace=value("namespace"),
        arguments=list(parameters),
        output="screen",
    )

    def play(event: ProcessExited, _context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """The recording, once the nodes have compiled what they need."""
        return [Shutdown(reason="a node is not ready")] if event.returncode else [player]

    return [
        *nodes,
        waiting,
        RegisterEventHandler(OnProcessExit(target_action=waiting, on_exit=play)),
    ]


def recorded_indenter(folder: Path) -> str:
    """What a run says of its indenter."""
    path = folder / "run.yaml"
    said = yaml.safe_load(path.read_text()) if path.is_file() else None
    indenter = said.get("indenter") if isinstance(said, dict) else None
    if not isinstance(indenter, str) or not indenter:
        raise RuntimeError(f"{folder} does not name its indenter: give indenter:=SPEC")
    return indenter


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
