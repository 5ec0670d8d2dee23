"""`ros2 launch` starts each launch file, or refuses it in one line, beside any release of the arm.

The packages of the arm are stand-ins with the argument lists of franka_bringup: their executables
write down what they were started with, and wait. Needs ROS's `ros2 launch`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory

pytest.importorskip("ros2launch", reason="`launch` comes with a ROS installation only")

ROOT = Path(__file__).parents[2]
NODES = (ROOT / "tacdiff_ros" / "nodes" / "nodes.txt").read_text().split()
TIME_LIMIT_S = 60
LAUNCH = """
import sys
from ros2launch.api import launch_a_launch_file
path, *arguments = sys.argv[1:]
sys.exit(launch_a_launch_file(  # noninteractive: a signal to the launch reaches its processes
    launch_file_path=path, launch_file_arguments=arguments, noninteractive=True
))
"""

# Arguments of franka.launch.py with their defaults.
COMMON = {
    "arm_prefix": "",
    "namespace": "",
    "robot_ip": "172.16.0.3",
    "load_gripper": "false",
    "use_fake_hardware": "false",
    "fake_sensor_commands": "false",
    "joint_state_rate": "30",
    "controllers_yaml": "controllers.yaml",
}
OLD = COMMON | {"arm_id": "", "urdf_file": "fr3/fr3.urdf.xacro"}
HUMBLE = COMMON | {"robot_type": ""}
JAZZY = HUMBLE | {"load_franka_robot_state_broadcaster": "true"}
RELEASES = {"2.1.0": OLD, "2.5.0": HUMBLE, "3.1.0": OLD, "3.4.0": JAZZY}

DRIVER = """
import json
from pathlib import Path
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = {arguments}

def start(context):
    values = {{name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}}
    Path({record!r}).write_text(json.dumps(values))
    return [Node(package="controller_manager", executable="ros2_control_node")]

def generate_launch_description():
    declared = [DeclareLaunchArgument(n, default_value=d) for n, d in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])
"""
EXECUTABLE = """#!/bin/sh
for word in "$@"; do
  echo "$word" >> {record}.part
  [ -f "$word" ] && cat "$word" >> {record}.files
done
mv {record}.part {record}
exec env --default-signal=INT sleep 100
"""
ENDING = """#!/bin/sh
echo "$@" > {record}
"""


@dataclass
class Installation:
    """A prefix with this package, and stand-ins for the packages of the arm."""

    folder: Path
    release: str = "3.4.0"
    without: tuple[str, ...] = ()
    records: Path = field(init=False)

    def __post_init__(self) -> None:
        self.records = self.folder / "records"
        self.records.mkdir(parents=True)
        share = self.folder / "share"
        package = share / "tacdiff_ros"
        package.mkdir(parents=True)
        for name in ("launch", "config", "urdf"):
            (package / name).symlink_to(ROOT / name)
        (share / "launch").symlink_to(get_package_share_directory("launch"))
        self._install("launch")
        self._install("tacdiff_ros", *[n for n in NODES if n != "wait_until_ready"])
        self._executable("tacdiff_ros", "wait_until_ready", ENDING)
        self._install("robot_state_publisher", "robot_state_publisher")
        self._install("rviz2", "rviz2")
        self._install("controller_manager", "ros2_control_node", "spawner")
        for name in ("crisp_controllers", "franka_bringup", "ros2bag"):
            if name not in self.without:
                self._install(name)
        self._executable("bin", "ros2", EXECUTABLE)
        launch = share / "franka_bringup" / "launch"
        launch.mkdir(parents=True)
        version = f"<package><version>{self.release}</version></package>"
        (launch.parent / "package.xml").write_text(version)
        driver = {"arguments": RELEASES[self.release], "record": str(self.records / "driver")}
        (launch / "franka.launch.py").write_text(DRIVER.format(**driver))

    def _install(self, name: str, *executables: str) -> None:
        index = self.folder / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True, exist_ok=True)
        (index / name).touch()
        (self.folder / "share" / name).mkdir(exist_ok=True)
        for executable in executables:
            self._executable(name, executable, EXECUTABLE)

    def _executable(self, package: str, name: str, text: str) -> None:
        folder = self.folder / "lib" / package
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.format(record=self.records / name))
        (folder / name).chmod(0o755)

    def launch(self, file: str, *arguments: str) -> subprocess.Popen:
        path = f"{self.folder / 'lib' / 'bin'}:{os.environ['PATH']}"
        own = {"AMENT_PREFIX_PATH": str(self.folder), "ROS_LOG_DIR": str(self.folder), "PATH": path}
        command = [sys.executable, "-c", LAUNCH, str(ROOT / "launch" / file), *arguments]
        return subprocess.Popen(
            command,
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(self, expected: set[str], file: str, *arguments: str) -> str:
        """Output of a launch that was interrupted when all expected processes had started."""
        process = self.launch(file, *arguments)
        end = time.monotonic() + TIME_LIMIT_S
        while process.poll() is None and time.monotonic() < end and expected - self.started():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=TIME_LIMIT_S)
        assert self.started() == expected, output
        return output

    def refuse(self, file: str, *arguments: str) -> str:
        """The line that refuses the launch, before anything was started."""
        process = self.launch(file, *arguments)
        output, _ = process.communicate(timeout=TIME_LIMIT_S)
        assert process.returncode == 1, output
        assert not self.started() and "Traceback" not in output
        [line] = [line for line in output.splitlines() if "[ERROR]" in line]
        assert line == output.splitlines()[-1]
        return line

    def started(self) -> set[str]:
        return {path.name for path in self.records.iterdir() if not path.suffix}

    def driver(self) -> dict[str, str]:
        return json.loads((self.records / "driver").read_text())

    def parameters(self, executable: str) -> list[dict]:
        """Parameter files that a process was started with."""
        text = (self.records / f"{executable}.files").read_text()
        return [part for part in yaml.safe_load_all(text.replace("\n/**:", "\n---\n/**:")) if part]


ARM = {"driver", "ros2_control_node", "spawner"}
OWN = {"gelsight_driver", "marker_tracker", "acquisition", "calibration", "mesh_inversion"}


def controller(installation: Installation) -> dict:
    [file] = installation.parameters("spawner")
    return file["/**"]["cartesian_impedance_controller"]["ros__parameters"]


@pytest.mark.parametrize("release", RELEASES)
def test_the_arm_starts_with_each_release_of_franka_bringup(tmp_path, release):
    installation = Installation(tmp_path / "ros", release)
    installation.start(ARM, "arm.launch.py", "robot_ip:=10.0.0.2", "robot_type:=fp3")
    given = installation.driver()
    assert (given["robot_ip"], given["load_gripper"]) == ("10.0.0.2", "true")
    assert given["use_fake_hardware"] == "false"
    if "arm_id" in RELEASES[release]:
        assert (given["arm_id"], given["urdf_file"]) == ("fp3", "fp3/fp3.urdf.xacro")
    else:
        assert given["robot_type"] == "fp3"
    assert given["controllers_yaml"] == "controllers.yaml"  # that of the release


def test_the_controller_moves_the_frame_that_is_measured(tmp_path):
    installation = Installation(tmp_path / "ros")
    installation.start(ARM, "arm.launch.py", "robot_ip:=10.0.0.2", "namespace:=cell")
    parameters = controller(installation)
    assert parameters["type"] == "crisp_controllers/CartesianController"
    assert parameters["end_effector_frame"] == "fr3_hand_tcp"
    assert parameters["base_frame"] == "base"
    assert parameters["joints"] == [f"fr3_joint{number}" for number in range(1, 8)]
    words = (installation.records / "spawner").read_text().split()
    assert words[0] == "cartesian_impedance_controller" and "__ns:=/cell" in words


def test_prefix_and_flange_reach_driver_controller_and_our_nodes(tmp_path):
    installation = Installation(tmp_path / "ros")
    names = ["arm_prefix:=left", "load_gripper:=false", "publish_description:=true"]
    expected = ARM | OWN | {"robot_state_publisher"}
    installation.start(expected, "bringup.launch.py", "robot_ip:=10.0.0.2", *names)
    given = installation.driver()
    assert (given["arm_prefix"], given["load_gripper"]) == ("left", "false")
    assert controller(installation)["end_effector_frame"] == "left_fr3_link8"
    own = yaml.safe_dump(installation.parameters("acquisition"))
    assert "end_effector_frame: left_fr3_link8" in own
    description = (installation.records / "robot_state_publisher.files").read_text()
    assert "left_fr3_link8" in description and "hand_tcp" not in description


def test_further_arguments_of_the_driver_reach_it(tmp_path):
    installation = Installation(tmp_path / "ros")
    arguments = ["robot_ip:=10.0.0.2", "controllers_yaml:=mine.yaml", "joint_state_rate:=50"]
    installation.start(ARM, "arm.launch.py", *arguments)
    given = installation.driver()
    assert (given["controllers_yaml"], given["joint_state_rate"]) == ("mine.yaml", "50")


def test_fake_hardware_of_franka_ros2_starts_and_says_what_it_cannot_do(tmp_path):
    installation = Installation(tmp_path / "ros")
    output = installation.start(ARM, "arm.launch.py", "franka_fake_hardware:=true")
    assert installation.driver()["use_fake_hardware"] == "true"
    assert "publishes no robot state" in output


def test_another_controller_can_take_the_place_of_ours(tmp_path):
    installation = Installation(tmp_path / "ros", without=("crisp_controllers",))
    arguments = ("robot_ip:=10.0.0.2", "controller:=none")
    installation.start(ARM - {"spawner"}, "arm.launch.py", *arguments)


def test_bringup_on_a_running_arm_starts_neither_driver_nor_controller(tmp_path):
    installation = Installation(tmp_path / "ros", without=("franka_bringup", "crisp_controllers"))
    installation.start(OWN | {"arm_watchdog"}, "bringup.launch.py", "watchdog:=true")


def test_the_demonstration_starts_on_virtual_hardware(tmp_path):
    installation = Installation(tmp_path / "ros", without=("franka_bringup", "crisp_controllers"))
    virtual = {"virtual_panda", "virtual_gelsight", "virtual_clock"}
    expected = OWN - {"gelsight_driver"} | virtual | {"tactile_simulator", "comparator"}
    expected |= {"acquire_client", "rviz2"}
    installation.start(expected, "demo.launch.py", "acquire:=true", "rviz:=true")


def test_a_recording_is_played_when_its_nodes_are_ready(tmp_path):
    installation = Installation(tmp_path / "ros")
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "metadata.yaml").touch()
    expected = {"marker_tracker", "wait_until_ready", "ros2"}
    installation.start(expected, "replay.launch.py", f"bag:={bag}")
    assert (installation.records / "wait_until_ready").read_text().split()[0] == "marker_tracker"
    assert (installation.records / "ros2").read_text().split()[:3] == ["bag", "play", str(bag)]


REFUSED = [
    ("bringup.launch.py", ["robot_type:=panda"], "set robot_type:=fer"),
    ("arm.launch.py", ["robot_type:=fr3_duo", "robot_ip:=10.0.0.2"], "type of one of them"),
    ("arm.launch.py", [], "robot_ip:=172.16.0.3"),
    ("arm.launch.py", ["robot_ip:=10.0.0.2", "franka_fake_hardware:=true"], "give either"),
    ("bringup.launch.py", ["use_fake_hardware:=true", "robot_ip:=10.0.0.2"], "leave robot_ip"),
    ("demo.launch.py", ["franka_fake_hardware:=true"], "in place of franka_ros2"),
    ("bringup.launch.py", ["source:=virtual"], "set use_fake_hardware:=true"),
    ("bringup.launch.py", ["params_file:=none.yaml"], "name an existing file"),
    ("arm.launch.py", ["robot_ip:=10.0.0.2", "controller_file:=none.yaml"], "existing file"),
    ("replay.launch.py", ["bag:=none"], "metadata.yaml is missing"),
]


@pytest.mark.parametrize(("file", "arguments", "advice"), REFUSED)
def test_wrong_combinations_are_refused_in_one_line(tmp_path, file, arguments, advice):
    assert advice in Installation(tmp_path / "ros").refuse(file, *arguments)


@pytest.mark.parametrize("release", ["2.1.0", "3.1.0"])
def test_a_prefix_is_refused_where_the_robot_states_ignore_it(tmp_path, release):
    installation = Installation(tmp_path / "ros", release)
    line = installation.refuse("arm.launch.py", "robot_ip:=10.0.0.2", "arm_prefix:=left")
    assert f"states of franka_bringup {release} ignore arm_prefix:=left" in line


@pytest.mark.parametrize("package", ["franka_bringup", "crisp_controllers"])
def test_a_missing_package_is_named_with_what_to_do(tmp_path, package):
    installation = Installation(tmp_path / "ros", without=(package,))
    line = installation.refuse("bringup.launch.py", "robot_ip:=10.0.0.2")
    assert f"{package} is not installed: " in line
