"""Starts a complete system without hardware: virtual arm and sensor, twin and comparison.

ros2 launch tacdiff_ros demo.launch.py acquire:=true rviz:=true

It takes the arguments of bringup.launch.py and runs until Ctrl-C. `use_fake_hardware` is
always true, so that those of a real arm have no effect although --show-args lists them.
"""

import os

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

from tacdiff_ros.launching.arguments import PACKAGE_FOLDER, flag
from tacdiff_ros.launching.nodes import TIME_TO_RETRACT_S

BRINGUP = PACKAGE_FOLDER / "launch" / "bringup.launch.py"
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
DDS_PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"
LOOPBACK_PROFILES = PACKAGE_FOLDER / "config" / "loopback_dds.xml"
INDENTER = "cross:size=4.4"

ARGUMENTS = [
    flag("acquire", "false", "Send one acquisition goal with the demo protocol."),
    flag("rviz", "false", "Show images, comparison and gel in RViz."),
    # Declared before bringup.launch.py is included, so that these defaults take precedence.
    DeclareLaunchArgument(
        "source",
        default_value="virtual",
        description="Source of the images: virtual, generated, or the path of a video or folder.",
    ),
    DeclareLaunchArgument(
        "virtual_sensor_file",
        default_value=str(PACKAGE_FOLDER / "config" / "sensors" / "gelsight_mini.yaml"),
        description="Sensor file of the virtual sensor. Empty: a random sensor.",
    ),
    flag("twin", "true", "Simulate what the sensor should measure, and compare."),
    DeclareLaunchArgument(
        "indenter",
        default_value=INDENTER,
        description="Spec of the indenter; generated images always show the default one.",
    ),
    flag(
        "use_sim_time",
        "true",
        "Use a virtual clock on which all nodes wait for each other, so that a slow machine loses "
        "no images. false: wall clock.",
    ),
]


def generate_launch_description() -> LaunchDescription:
    """Return bringup on virtual hardware and, on request, RViz and one acquisition goal."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            # A demonstration must not command a robot on the network, unless the user allows it.
            SetEnvironmentVariable(
                DISCOVERY, EnvironmentVariable(DISCOVERY, default_value="LOCALHOST")
            ),
            *bind_to_loopback(),
            include_bringup(),
            acquire_client(),
            rviz(),
        ]
    )


def bind_to_loopback() -> list[SetEnvironmentVariable]:
    """Restrict DDS to this machine, unless the user has set a range or profiles of Fast DDS.

    Returns:
        Actions that set environment variables.
    """
    if DISCOVERY in os.environ or DDS_PROFILES in os.environ:
        return []
    return [SetEnvironmentVariable(DDS_PROFILES, str(LOOPBACK_PROFILES))]


def include_bringup() -> IncludeLaunchDescription:
    """Return bringup.launch.py on virtual hardware."""
    passed_on = ("source", "virtual_sensor_file", "twin", "indenter", "use_sim_time")
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(BRINGUP)),
        launch_arguments={
            "use_fake_hardware": "true",
            **{name: LaunchConfiguration(name) for name in passed_on},
        }.items(),
    )


def acquire_client() -> Node:
    """Return the client that sends one goal once all nodes are ready, if `acquire` is true."""
    return Node(
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
    )


def rviz() -> Node:
    """Return RViz with the package's configuration, if `rviz` is true."""
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", str(PACKAGE_FOLDER / "config" / "tacdiff.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
