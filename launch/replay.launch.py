"""Plays a recorded run with marker tracking and, on request, its twin, on the recorded clock.

ros2 launch tacdiff_ros replay.launch.py bag:=~/tacdiff_data/RUN
ros2 launch tacdiff_ros replay.launch.py bag:=~/tacdiff_data/RUN twin:=true sensor_file:=mini.yaml

The recorded targets are published as `recorded/target_pose`, because a real arm must not follow
them. Recorded outputs of a twin are published below `recorded/` as well.
"""

from collections.abc import Callable
from pathlib import Path

import yaml
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
from launch_ros.actions import Node

from tacdiff_ros.errors import InputError
from tacdiff_ros.launching.arguments import (
    LOG_LEVEL,
    NAMESPACE,
    PARAMS_FILE,
    SENSOR_FILE,
    SIMULATOR,
    existing_file,
    flag,
    package_folder,
    reader,
)
from tacdiff_ros.launching.nodes import tacdiff_node
from tacdiff_ros.launching.parameter_file import chosen_simulator, node_parameters

# Time for discovery after the last node is ready: the tracker must receive the first image, which
# becomes its reference.
START_DELAY_S = "1.0"
REMAPPED = (  # topics that are published below recorded/
    "target_pose",
    "simulated/image_raw",
    "simulated/nocs",
    "simulated/depth",
    "simulated/gel_points",
    "comparison",
    "comparison/image",
)

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Folder of a run or of a rosbag2."),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed factor of the replay."),
    flag("loop", "false", "Repeat the recording from its beginning."),
    NAMESPACE,
    PARAMS_FILE,
    LOG_LEVEL,
    flag("twin", "false", "Simulate the recorded presses, and compare."),
    SENSOR_FILE,
    SIMULATOR,
    DeclareLaunchArgument(
        "indenter",
        default_value="",
        description="Spec of the indenter, such as sphere:diameter=5. Empty: that of the run.",
    ),
]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, and a function that starts the processes once these have values."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the player, and the nodes that use its clock.

    Args:
        context: launch context with the values of the arguments.

    Raises:
        InputError: a file, the recording, the name of its indenter or ros2bag is missing.
    """
    value = reader(context)
    require_player()
    params_file = existing_file("params_file", value("params_file"))
    bag = find_bag(Path(value("bag")).expanduser())
    shutdown = Shutdown(reason="the player has ended")
    player = ExecuteProcess(cmd=player_command(bag, value), output="screen", on_exit=shutdown)
    nodes = own_nodes(value, params_file, bag)
    wait_until_ready = Node(
        package="tacdiff_ros",
        executable="wait_until_ready",
        namespace=value("namespace"),
        arguments=[node.node_executable for node in nodes],
        output="screen",
    )

    def play(event: ProcessExited, _context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """Start the player once all nodes are ready; shut down if a node cannot become ready."""
        return [Shutdown(reason="a node is not ready")] if event.returncode else [player]

    return [
        *nodes,
        wait_until_ready,
        RegisterEventHandler(OnProcessExit(target_action=wait_until_ready, on_exit=play)),
    ]


def own_nodes(value: Callable[[str], str], params_file: Path, bag: Path) -> list[Node]:
    """Return the nodes that use the recorded clock.

    Args:
        value: function that returns the value of a launch argument.
        params_file: parameter file of all nodes.
        bag: folder of the rosbag2.

    Raises:
        InputError: a twin is to be simulated, and nothing names the indenter.
    """
    return [
        tacdiff_node(
            name,
            value("namespace"),
            value("log_level"),
            parameters=[str(params_file), {"use_sim_time": True}, own],
            on_exit=Shutdown(reason=f"{name} has ended"),
        )
        for name, own in nodes_to_start(value, params_file, bag).items()
    ]


def nodes_to_start(
    value: Callable[[str], str], params_file: Path, bag: Path
) -> dict[str, dict[str, str]]:
    """Return the nodes to start with their parameters.

    Args:
        value: function that returns the value of a launch argument.
        params_file: parameter file of all nodes.
        bag: folder of the rosbag2.

    Raises:
        InputError: a twin is to be simulated, and nothing names the indenter.
    """
    parameters: dict[str, dict[str, str]] = {"marker_tracker": {}}
    if value("twin") == "true":
        given = node_parameters([params_file], "tactile_simulator")
        sensor_file = value("sensor_file") or given.get("sensor_file", "")
        simulator = chosen_simulator(value("simulator"), sensor_file, given.get("model", ""))
        shared = {"simulator": simulator}
        if value("sensor_file"):
            shared["sensor_file"] = value("sensor_file")
        indenter = value("indenter") or recorded_indenter(bag.parent)
        parameters["tactile_simulator"] = {**shared, "indenter": indenter}
        parameters["comparator"] = shared
    return parameters


def player_command(bag: Path, value: Callable[[str], str]) -> list[str]:
    """Return the command line that plays a rosbag2.

    Args:
        bag: folder of the rosbag2.
        value: function that returns the value of a launch argument.
    """
    namespace = value("namespace").strip("/")
    root = f"/{namespace}" if namespace else ""
    command = ["ros2", "bag", "play", str(bag), "--clock", "--rate", value("rate")]
    command += ["--delay", START_DELAY_S]
    command += ["--remap", *[f"{root}/{name}:={root}/recorded/{name}" for name in REMAPPED]]
    return command + (["--loop"] if value("loop") == "true" else [])


def recorded_indenter(folder: Path) -> str:
    """Read the indenter spec of a run.

    Args:
        folder: folder of the run, which contains run.yaml.

    Returns:
        Spec of the mounted indenter.

    Raises:
        InputError: run.yaml is missing or does not name the indenter.
    """
    path = folder / "run.yaml"
    content = yaml.safe_load(path.read_text()) if path.is_file() else None
    indenter = content.get("indenter") if isinstance(content, dict) else None
    if not isinstance(indenter, str) or not indenter:
        raise InputError(f"{folder} does not name its indenter: give indenter:=SPEC")
    return indenter


def require_player() -> None:
    """Check that `ros2 bag` is installed; without it, `ros2` would only print its usage.

    Raises:
        InputError: ros2bag is not installed.
    """
    package_folder("ros2bag", "install ros-jazzy-ros2bag and ros-jazzy-rosbag2-storage-mcap")


def find_bag(folder: Path) -> Path:
    """Find the rosbag2 of a recording.

    Args:
        folder: folder of a run or of a rosbag2.

    Returns:
        Folder of the rosbag2.

    Raises:
        InputError: there is no rosbag2.
    """
    for bag in (folder / "bag", folder):
        if (bag / "metadata.yaml").is_file():
            return bag
    raise InputError(f"{folder} is not a recorded run or a rosbag2: metadata.yaml is missing")
