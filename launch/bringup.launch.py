"""Starts sensor, marker tracker and acquisition on a Franka arm or on a virtual arm.

ros2 launch tacdiff_ros bringup.launch.py params_file:=my_rig.yaml
ros2 launch tacdiff_ros bringup.launch.py use_fake_hardware:=true
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch import LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
)
from launch.launch_context import LaunchContext
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from tacdiff_ros.errors import InputError
from tacdiff_ros.launching.arguments import (
    ARM,
    LOG_LEVEL,
    NAMESPACE,
    PACKAGE_FOLDER,
    PARAMS_FILE,
    RIG_FILE,
    SENSOR_FILE,
    SIMULATOR,
    flag,
    package_folder,
    parameter_files,
    reader,
)
from tacdiff_ros.launching.franka import Arm
from tacdiff_ros.launching.nodes import TIME_TO_RETRACT_S, tacdiff_node
from tacdiff_ros.launching.parameter_file import (
    check_one_rig,
    chosen_simulator,
    node_parameters,
)

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
DEFAULT_END_EFFECTOR = "fr3_hand_tcp"  # of the shipped parameters
Overrides = dict[str, dict[str, Any]]
Reader = Callable[[str], str]

ARGUMENTS = [
    flag(
        "use_fake_hardware",
        "false",
        "Start a virtual Panda and generated images instead of arm and camera.",
    ),
    *ARM,
    NAMESPACE,
    PARAMS_FILE,
    RIG_FILE,
    flag(
        "use_sim_time",
        "false",
        "Take the time from /clock. With fake hardware a virtual clock publishes it, "
        "and all virtual nodes wait for each other, so that a slow machine loses no images.",
    ),
    LOG_LEVEL,
    DeclareLaunchArgument(
        "source",
        default_value="",
        description="Source of the images: camera, generated, virtual (a sensor pressed on the "
        "virtual arm's indenter), or the path of a video or folder. Empty: value of params_file, "
        "or generated with fake hardware.",
    ),
    SENSOR_FILE,
    flag("twin", "false", "Simulate what the sensor should measure, and compare."),
    flag("touch", "false", "Start touch_encoder: slip, properties and remembered touches."),
    flag(
        "watchdog",
        "false",
        "Start a separate process that retracts the sensor if acquisition is killed in contact. "
        "Tested on the virtual arm only.",
    ),
    SIMULATOR,
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
    flag(
        "publish_description",
        "false",
        "Publish the frames of mount and sensor below the arm's end effector, with the mount pose "
        "of params_file; needs robot_state_publisher.",
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
        InputError: the arguments contradict each other, or a file or package is missing.
    """
    value = reader(context)
    arm = Arm(value("robot_type"), value("arm_prefix"), value("load_gripper") == "true")
    check_combination(value)
    files = parameter_files(value)
    actions: list[LaunchDescriptionEntity] = []
    if value("robot_ip") or value("franka_fake_hardware") == "true":
        actions.append(include_arm(value))  # first: it may still refuse
    actions += own_nodes(value, arm, files)
    if value("twin") == "true":
        actions.append(LogInfo(msg=describe_twin(value, files)))
    if value("publish_description") == "true":
        description = describe_mount(files, arm.end_effector_frame)
        actions.append(mount_publisher(description, value("namespace")))
    return actions


def check_combination(value: Reader) -> None:
    """Check that the arguments name one arm, and that a virtual sensor has a virtual arm.

    Args:
        value: function that returns the value of a launch argument.

    Raises:
        InputError: the arguments contradict each other.
    """
    fake = value("use_fake_hardware") == "true"
    if fake and (value("robot_ip") or value("franka_fake_hardware") == "true"):
        raise InputError(
            "use_fake_hardware:=true starts a virtual arm in place of franka_ros2: leave robot_ip "
            "and franka_fake_hardware out"
        )
    if value("source") == "virtual" and not fake:
        raise InputError("source:=virtual needs the virtual arm: set use_fake_hardware:=true")


def own_nodes(value: Reader, arm: Arm, given: list[Path]) -> list[LaunchDescriptionEntity]:
    """Return the package's nodes.

    Args:
        value: function that returns the value of a launch argument.
        arm: names of the arm's links.
        given: parameter files of all nodes.

    Raises:
        InputError: the watchdog lacks parameters.
    """
    fake = value("use_fake_hardware") == "true"
    files = [str(file) for file in given]
    if fake:
        files.append(str(PACKAGE_FOLDER / "config" / "fake_hardware.yaml"))
    overrides_by_node = node_overrides(fake, arm, value, given)
    if "arm_watchdog" in overrides_by_node:
        own = overrides_by_node["arm_watchdog"]
        overrides_by_node["arm_watchdog"] = {**watchdog_parameters(given), **own}
    use_sim_time = value("use_sim_time") == "true"
    return [
        tacdiff_node(
            name,
            value("namespace"),
            value("log_level"),
            parameters=[*files, {"use_sim_time": use_sim_time and name != CLOCK}, overrides],
            sigterm_timeout=TIME_TO_RETRACT_S,
        )
        for name, overrides in overrides_by_node.items()
    ]


def node_overrides(fake: bool, arm: Arm, value: Reader, files: list[Path]) -> Overrides:
    """Return the nodes to start with their parameter overrides.

    Args:
        fake: whether the hardware is virtual.
        arm: names of the arm's links.
        value: function that returns the value of a launch argument.
        files: parameter files of all nodes.

    Returns:
        Parameters by node name, which take precedence over the parameter files.
    """
    # The default must not override the frame of a file.
    link = arm.end_effector_frame
    frame = {} if link == DEFAULT_END_EFFECTOR else {"end_effector_frame": link}
    overrides: Overrides = {
        "gelsight_driver": {},
        "marker_tracker": {},
        "acquisition": {**non_empty(data_folder=value("data_folder")), **frame},
        "calibration": non_empty(data_folder=value("data_folder")),
        "mesh_inversion": non_empty(sensor_file=value("sensor_file")),
    }
    if fake:
        overrides["virtual_panda"] = {"arm_id": arm.name}
    if value("touch") == "true":
        overrides["touch_encoder"] = non_empty(data_folder=value("data_folder"))
    if value("watchdog") == "true":
        # A slow machine may delay the states of the virtual arm.
        age_s = {"limits.state_age_s": 2.0} if fake else {}
        overrides["arm_watchdog"] = age_s
    choose_source(overrides, fake, value)
    if value("twin") == "true":
        overrides |= twin_overrides(value, files)
    if fake and value("use_sim_time") == "true":
        add_virtual_clock(overrides)
    return overrides


def choose_source(overrides: Overrides, fake: bool, value: Reader) -> None:
    """Enter the source of the images, or the virtual sensor in place of the driver.

    Args:
        overrides: parameters by node name, changed in place.
        fake: whether the hardware is virtual.
        value: function that returns the value of a launch argument.
    """
    source = value("source")
    if source == "virtual":
        del overrides["gelsight_driver"]
        overrides["virtual_gelsight"] = non_empty(
            indenter=value("indenter"), sensor_file=value("virtual_sensor_file")
        )
        overrides["acquisition"] |= VIRTUAL_CAMERA_LIMITS
    elif source or fake:
        overrides["gelsight_driver"]["source"] = source or "generated"


def twin_overrides(value: Reader, files: list[Path]) -> Overrides:
    """Return the nodes of the twin with their parameter overrides.

    Args:
        value: function that returns the value of a launch argument.
        files: parameter files of all nodes.

    Raises:
        InputError: nothing names the indenter, or the file has two rigs.
    """
    given = node_parameters(files, "tactile_simulator")
    streaming = node_parameters(files, "mesh_inversion").get("streaming")
    if not (value("indenter") or given.get("indenter") or streaming):
        raise InputError(
            "twin:=true needs the indenter that the robot presses on: give indenter:=SPEC, such as "
            "sphere:diameter=5 (or set streaming of mesh_inversion to render its surfaces)"
        )
    check_one_rig(files)
    sensor_file = value("sensor_file") or given.get("sensor_file", "")
    simulator = chosen_simulator(value("simulator"), sensor_file, given.get("model", ""))
    shared = {**non_empty(sensor_file=value("sensor_file")), "simulator": simulator}
    return {
        "comparator": shared,
        "tactile_simulator": {**shared, **non_empty(indenter=value("indenter"))},
    }


def describe_twin(value: Reader, files: list[Path]) -> str:
    """Return what the twin simulates and who draws its images, in one line.

    Args:
        value: function that returns the value of a launch argument.
        files: parameter files of all nodes.
    """
    given = node_parameters(files, "tactile_simulator")
    sensor_file = value("sensor_file") or given.get("sensor_file", "")
    simulator = chosen_simulator(value("simulator"), sensor_file, given.get("model", ""))
    reason = ""
    if value("simulator") == "auto" and simulator == "renderer":
        reason = " (no network of this sensor is named)"
    indenter = value("indenter") or given.get("indenter") or "none, it draws surfaces of inversion"
    return (
        f"twin: sensor file {sensor_file or 'of the package'}, images by {simulator}{reason}, "
        f"indenter {indenter}"
    )


def watchdog_parameters(files: list[Path]) -> dict[str, Any]:
    """Read rig, limits and base frame of acquisition from a parameter file.

    Args:
        files: parameter files in the layout of the shipped tacdiff.yaml.

    Returns:
        Parameters of `arm_watchdog`.

    Raises:
        InputError: the file lacks these parameters.
    """
    given = node_parameters(files, "acquisition")
    if not {"rig", "limits"} <= set(given):
        raise InputError(
            f"watchdog:=true needs rig and limits of acquisition in {files[0]}, laid out as in "
            "the shipped tacdiff.yaml"
        )
    return {name: given[name] for name in ("rig", "limits", "base_frame") if name in given}


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


def non_empty(**values: str) -> dict[str, Any]:
    """Return the values that are not empty, by name."""
    return {name: text for name, text in values.items() if text}


def describe_mount(files: list[Path], parent: str) -> str:
    """Create the URDF of the mount with the pose of a parameter file.

    Args:
        files: parameter files in the layout of the shipped tacdiff.yaml.
        parent: link that carries the mount.

    Returns:
        URDF as XML text.

    Raises:
        InputError: the file lacks the mount pose.
    """
    import xacro  # imported here, because only this function needs it

    rig = node_parameters(files, "acquisition").get("rig", {})
    if not {"mount_position_mm", "mount_rpy_rad"} <= set(rig):
        raise InputError(
            f"publish_description needs rig.mount_position_mm and rig.mount_rpy_rad in "
            f"{files[0]}, laid out as in the shipped tacdiff.yaml"
        )
    mappings = {
        "parent": parent,
        "gel_xyz": " ".join(str(1e-3 * part) for part in rig["mount_position_mm"]),
        "gel_rpy": " ".join(str(part) for part in rig["mount_rpy_rad"]),
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
        InputError: robot_state_publisher is not installed.
    """
    package_folder("robot_state_publisher", "install it, or leave publish_description false")
    return Node(
        package="robot_state_publisher",
        executable="robot_state_publisher",
        name="gelsight_state_publisher",
        namespace=namespace,
        parameters=[{"robot_description": description}],
        remappings=[("robot_description", "gelsight_description")],
        output="screen",
    )


def include_arm(value: Reader) -> IncludeLaunchDescription:
    """Return arm.launch.py with the same arguments.

    Args:
        value: function that returns the value of a launch argument.
    """
    names = [argument.name for argument in (*ARM, NAMESPACE)]
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(PACKAGE_FOLDER / "launch" / "arm.launch.py")),
        launch_arguments=[(name, value(name)) for name in names],
    )
