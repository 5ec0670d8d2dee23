"""Everything without hardware: virtual arm and sensor, the twin beside them, and the comparison.

ros2 launch tacdiff_ros demo.launch.py acquire:=true rviz:=true

It takes all arguments of bringup.launch.py and stays up until Ctrl-C.
"""

import os
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

SHARE = Path(get_package_share_directory("tacdiff_ros"))
BRINGUP = SHARE / "launch" / "bringup.launch.py"
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
DDS_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"
LOOPBACK_PROFILES = SHARE / "config" / "loopback_dds.xml"
INDENTER = "cross:size=4.4"
# Ctrl-C cancels the goal; its result comes when the arm has retracted.
TIME_TO_RETRACT_S = "20"


def bind_to_loopback() -> list[SetEnvironmentVariable]:
    """No port beyond this machine, unless the user has chosen a range or profiles of Fast DDS."""
    if DISCOVERY in os.environ or DDS_PROFILES in os.environ:
        return []
    return [SetEnvironmentVariable(DDS_PROFILES, str(LOOPBACK_PROFILES))]


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
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=["true", "false"],
                description="Show images, comparison and gel in RViz.",
            ),
            # Set before bringup.launch.py is read, whose defaults they take the place of.
            DeclareLaunchArgument(
                "source",
                default_value="virtual",
                description="Images: virtual, generated, or the path of a video or folder.",
            ),
            DeclareLaunchArgument(
                "virtual_sensor_file",
                default_value=str(SHARE / "config" / "sensors" / "gelsight_mini.yaml"),
                description="Unit that the virtual sensor is. Empty: a random one.",
            ),
            DeclareLaunchArgument(
                "twin",
                default_value="true",
                choices=["true", "false"],
                description="Simulate what the sensor should see, and compare.",
            ),
            DeclareLaunchArgument(
                "indenter",
                default_value=INDENTER,
                description="What is touched; generated frames show the default only.",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="true",
                choices=["true", "false"],
                description="Virtual clock: all wait for each other, a slow machine loses nothing. "
                "false: wall clock.",
            ),
            # A demonstration must not command a robot on the network, unless the user says so.
            SetEnvironmentVariable(
                DISCOVERY, EnvironmentVariable(DISCOVERY, default_value="LOCALHOST")
            ),
            *bind_to_loopback(),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(BRINGUP)),
                launch_arguments={
                    "use_fake_hardware": "true",
                    **{
                        name: LaunchConfiguration(name)
                        for name in (
                            *("source", "virtual_sensor_file", "twin", "indenter"),
                            "use_sim_time",
                        )
                    },
                }.items(),
            ),
            Node(
                package="tacdiff_ros",
                executable="acquire_client",
                namespace=LaunchConfiguration("namespace"),
                arguments=[
                    *["--protocol", "demo.yaml", "--indenter", LaunchConfiguration("indenter")],
                    *["--await-topic", "image_raw", "--await-ready", "acquisition"],
                    *["--await-ready-if-there", "virtual_gelsight"],
                    *["--await-ready-if-there", "tactile_simulator"],
                    *["--await-ready-if-there", "comparator", "--server-timeout", "600"],
                ],
                output="screen",
                sigterm_timeout=TIME_TO_RETRACT_S,
                condition=IfCondition(LaunchConfiguration("acquire")),
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                namespace=LaunchConfiguration("namespace"),
                arguments=["-d", str(SHARE / "config" / "tacdiff.rviz")],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
