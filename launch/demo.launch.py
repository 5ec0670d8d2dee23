"""The acquisition graph without hardware; with `acquire:=true` it runs the demo protocol at once.

ros2 launch tacdiff_ros demo.launch.py acquire:=true

It takes all arguments of bringup.launch.py and stays up until Ctrl-C.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

BRINGUP = Path(get_package_share_directory("tacdiff_ros")) / "launch" / "bringup.launch.py"
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
# Another one would not be what the generated frames show.
INDENTER = "cross:size=4.4"
# Ctrl-C cancels the goal; its result comes when the arm has retracted.
TIME_TO_RETRACT_S = "20"


def generate_launch_description() -> LaunchDescription:
    """Bringup on fake hardware, and one goal when asked for."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "acquire",
                default_value="false",
                choices=["true", "false"],
                description="Send one goal with the demo protocol.",
            ),
            # A demonstration must not command a robot on the network, unless the user says so.
            SetEnvironmentVariable(
                DISCOVERY, EnvironmentVariable(DISCOVERY, default_value="LOCALHOST")
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(BRINGUP)),
                launch_arguments={"use_fake_hardware": "true"}.items(),
            ),
            Node(
                package="tacdiff_ros",
                executable="acquire_client",
                namespace=LaunchConfiguration("namespace"),
                arguments=["--protocol", "demo.yaml", "--indenter", INDENTER],
                output="screen",
                sigterm_timeout=TIME_TO_RETRACT_S,
                condition=IfCondition(LaunchConfiguration("acquire")),
            ),
        ]
    )
