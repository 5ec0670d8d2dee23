"""Two sensors at the fingers of one hand: all nodes twice, in the namespaces `left` and `right`.

ros2 launch examples/two_fingers.launch.py left_rig:=left.yaml right_rig:=right.yaml
ros2 launch examples/two_fingers.launch.py use_fake_hardware:=true

Each finger has a rig file (`tacdiff rig write`: its own mount and sensor file), and a parameter
file with its camera (`device: /dev/videoN` of gelsight_driver). On a real arm both read the robot
states of the one driver. Only the left one may command it, because a Cartesian controller ignores
targets of two publishers; goals of the right one are refused.
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import SetRemap

from tacdiff_ros.launching.arguments import PACKAGE_FOLDER, flag, reader

ROBOT_STATE = "franka_robot_state_broadcaster/robot_state"
FINGERS = ("left", "right")
ARGUMENTS = [
    flag("use_fake_hardware", "false", "A virtual arm and generated images for each finger."),
    *[
        DeclareLaunchArgument(
            f"{finger}_{kind}", default_value="", description=f"{kind.title()} file of this finger."
        )
        for finger in FINGERS
        for kind in ("rig", "params")
    ],
]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, and a function that starts both fingers once these have values."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return bringup.launch.py for each finger.

    Args:
        context: launch context with the values of the arguments.
    """
    value = reader(context)
    bringup = str(PACKAGE_FOLDER / "launch" / "bringup.launch.py")
    groups: list[LaunchDescriptionEntity] = []
    for finger in FINGERS:
        arguments = {"namespace": finger, "use_fake_hardware": value("use_fake_hardware")}
        files = {"rig_file": value(f"{finger}_rig"), "params_file": value(f"{finger}_params")}
        arguments |= {name: file for name, file in files.items() if file}
        topics = [] if value("use_fake_hardware") == "true" else [ROBOT_STATE]
        if topics and finger == FINGERS[0]:
            topics.append("target_pose")
        groups.append(
            GroupAction(
                [
                    *[SetRemap(src=topic, dst=f"/{topic}") for topic in topics],
                    IncludeLaunchDescription(
                        PythonLaunchDescriptionSource(bringup),
                        launch_arguments=arguments.items(),
                    ),
                ]
            )
        )
    return groups
