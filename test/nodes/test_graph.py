"""The whole graph on DDS: separate processes, the topics of franka_ros2, a recorded run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from franka_msgs.msg import FrankaRobotState
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, Image
from tacdiff_ros.action import Acquire
from tacdiff_ros.msg import MarkerField

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.cli.virtual_graph import in_lock_step
from tacdiff_ros.nodes.acquire_client import acquire
from tacdiff_ros.recording.bag_reading import messages, open_run
from tacdiff_ros.resources import config_path

pytestmark = pytest.mark.slow  # runs in real time
PROTOCOL = {
    "version": 1,
    "trials": 1,
    "start": {"offset_x_mm": 1.0, "offset_y_mm": 1.0, "yaw_deg": 5.0, "standoff_mm": 3.0},
    "approach": {"speed_mm_s": 6.0},
    "depth_mm": 0.8,
    "translation_mm": 1.0,
    "directions": ["x+", "y-"],
    "rotation_deg": 3.0,
    "return_to_center": False,
    "speed_mm_s": 8.0,
    "rotation_speed_deg_s": 20.0,
    "travel_speed_mm_s": 40.0,
    "settle_s": 0.1,
    "dwell_s": 0.2,
}
BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
BROADCASTER = "/franka_robot_state_broadcaster"


class Graph:
    """Driver, arm, tracker and acquisition on a domain of their own, and a node to look at them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.environment = isolated_environment()
        (folder / "protocols").mkdir()
        (folder / "protocols" / "short.yaml").write_text(yaml.safe_dump(PROTOCOL))
        extra = {
            "virtual_panda": ["-p", "start_gap_mm:=12.0"],
            "gelsight_driver": ["-p", "source:=generated"],
            "marker_tracker": [],
            "acquisition": [
                *["-p", f"data_folder:={folder}", "-p", f"protocol_folder:={folder}/protocols"],
                *["-p", "protocol:=short.yaml"],
                *["-p", "also_record:=[markers, camera_info]"],
            ],
        }
        nodes = in_lock_step(extra)
        nodes["virtual_clock"] += ["-p", "speed_limit:=1.0"]  # the tracker is to keep up
        self.processes = {
            name: stack.enter_context(
                running_node(name, options, folder / f"{name}.log", self.environment)
            )
            for name, options in nodes.items()
        }

        waiter = [sys.executable, "-m", "tacdiff_ros.nodes.wait_until_ready", *nodes]
        subprocess.run(waiter, env=self.environment, check=True, timeout=240)
        stack.callback(self.interrupt)  # all at once: nobody waits for another one
        self.node = stack.enter_context(own_node(self.environment))

    def interrupt(self) -> None:
        """Ask every node to end."""
        for process in self.processes.values():
            process.send_signal(signal.SIGINT)

    def client(self, *arguments: str) -> subprocess.Popen[str]:
        """A process that sends one goal."""
        command = [sys.executable, "-m", "tacdiff_ros.nodes.acquire_client", *arguments]
        return subprocess.Popen(
            command,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def acquire(self, *arguments: str) -> dict:
        """Result of one goal."""
        answer, errors = self.client(*arguments).communicate(timeout=120)
        assert answer, errors
        return json.loads(answer)

    def request(self, **content: Any) -> dict:
        """Result of one goal that is sent from this process, which takes no time to start."""
        return acquire(self.node, Acquire.Goal(**content), 20.0, [])


@contextmanager
def own_node(environment: dict[str, str]) -> Iterator[Any]:
    """A node of this process on the graph's domain."""
    before = dict(os.environ)
    os.environ.update(environment)
    rclpy.init()
    node = rclpy.create_node("observer")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()
    os.environ.clear()
    os.environ.update(before)


def wait_for_contact(client: subprocess.Popen[str]) -> None:
    """Read feedback until the indenter is pressed in."""
    for line in client.stderr:
        if line.startswith("{") and json.loads(line)["phase"] == "translate":
            return
    pytest.fail(f"the run ended before it touched: {client.communicate()[0]}")


def states_of(bag: Path, seconds: float = 1e9, every: int = 1) -> list[Any]:
    """Robot states of the last seconds of a bag; all of a run take seconds to deserialise."""
    with AnyReader([bag]) as reader:
        kind = "franka_msgs/msg/FrankaRobotState"
        (connection,) = [c for c in reader.connections if c.msgtype == kind]
        start = max(reader.start_time, reader.end_time - int(1e9 * seconds))
        data = [raw for _, _, raw in reader.messages([connection], start=start)]
        return [reader.deserialize(raw, kind) for raw in data[::every]]


def final_clearance_mm(run) -> float:
    """How far above the depth at which the gel met the indenter the arm came to rest.

    From the robot's states, which come reliably: a busy test machine may lose the last images.
    """
    last_gel_z_mm = 1e3 * states_of(run.bag, seconds=1.0)[-1].o_t_ee.pose.position.z - 40.0
    touch_z_mm = run.columns["gel_z_mm"] + run.columns["measured_depth_mm"]
    return float(last_gel_z_mm - np.median(touch_z_mm))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    with ExitStack() as stack:
        yield Graph(tmp_path_factory.mktemp("graph"), stack)


def spin(node: Any, seconds: float) -> None:
    """Take in what comes within some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)


@pytest.fixture(scope="module")
def recorded(graph):
    result = graph.acquire("--output", "recorded", "--indenter", "cross:size=4.4")
    assert result["success"], result["message"]
    return result, open_run(graph.folder / "recorded")


def test_run_records_every_step_of_the_protocol_in_order(recorded):
    result, run = recorded
    steps = list(dict.fromkeys(run.columns["step"]))
    assert steps[-8:] == [
        *["reference", "approach", "indent", "translate_x+", "translate_y-"],
        *["rotate_+", "rotate_-", "retract"],
    ]
    assert result["trials_completed"] == 1
    assert result["samples"] == run.sample_count


def test_measured_depth_reaches_the_commanded_one_while_dwelling(recorded):
    columns = recorded[1].columns
    dwelling = (columns["motion"] == "dwelling") & (columns["in_contact"] > 0)
    error = columns["measured_depth_mm"][dwelling] - columns["commanded_depth_mm"][dwelling]
    assert dwelling.sum() >= 15
    assert np.abs(error).max() < 0.15


def test_sample_poses_agree_with_the_robot_states_in_the_bag(recorded):
    """Interpolated by numpy from the raw states, independent of the code under test."""
    run = recorded[1]
    states = states_of(run.bag, every=3)
    stamps = np.array([s.header.stamp.sec * 1e9 + s.header.stamp.nanosec for s in states])
    heights = np.array([state.o_t_ee.pose.position.z for state in states])
    inside = run.columns["stamp_ns"] < stamps[-1]
    expected = 1e3 * np.interp(run.columns["stamp_ns"][inside].astype(float), stamps, heights)
    # The sensor points straight down, 40 mm below the end effector.
    assert run.columns["gel_z_mm"][inside] == pytest.approx(expected - 40.0, abs=0.02)


def test_states_used_are_near_the_images(recorded):
    """Within 5 ms but for moments in which a busy test machine starves the virtual arm."""
    result, run = recorded
    gaps_ms = run.columns["pose_gap_ms"]
    assert np.median(gaps_ms) <= 5.0
    assert 1e3 * result["pose_gap_max"] == pytest.approx(gaps_ms.max(), rel=1e-4)


def test_every_image_of_the_run_is_in_the_bag_once(recorded):
    run = recorded[1]
    stamps = [stamp for stamp, _ in messages(run.bag, "sensor_msgs/msg/Image")]
    assert len(set(stamps)) == len(stamps)
    assert set(run.columns["stamp_ns"]) <= set(stamps)
    first, last = run.columns["stamp_ns"][[0, -1]]
    between = [stamp for stamp in stamps if first <= stamp <= last]
    assert len(between) - run.sample_count <= recorded[0]["images_lost"]


def test_bag_carries_every_topic_with_its_definition(recorded):
    with AnyReader([recorded[1].bag]) as reader:
        counts = {connection.msgtype: connection.msgcount for connection in reader.connections}
    assert counts["franka_msgs/msg/FrankaRobotState"] > 20 * counts["sensor_msgs/msg/Image"]
    assert counts["tacdiff_ros/msg/AcquisitionState"] == recorded[0]["samples"]
    assert counts["geometry_msgs/msg/PoseStamped"] > 2 * counts["sensor_msgs/msg/Image"]


def test_bag_carries_the_further_topics_that_were_asked_for(recorded):
    run = recorded[1]
    fields = [m for _, m in messages(run.bag, "tacdiff_ros/msg/MarkerField")]
    infos = list(messages(run.bag, "sensor_msgs/msg/CameraInfo"))
    assert len(fields) > 0.2 * run.sample_count
    assert len(infos) > 0.5 * run.sample_count
    assert {field.header.frame_id for field in fields} == {"gelsight_optical_frame"}


def test_a_further_topic_that_nobody_publishes_is_refused(graph, tmp_path):
    elsewhere = ["-r", "__ns:=/other"]
    extra = [*elsewhere, "-p", "also_record:=[nothing]", "-p", f"data_folder:={tmp_path}"]
    with running_node("acquisition", extra, tmp_path / "log", graph.environment):
        ready = ["--await-ready", "acquisition"]
        result = graph.acquire("--output", "none", *ready, "--ros-args", *elsewhere)
    assert not result["success"]
    assert "nobody publishes nothing" in result["message"]
    assert not (tmp_path / "none").exists()


def test_recording_is_never_overwritten(graph, recorded):
    result = graph.request(output="recorded")
    assert not result["success"]
    assert "exists already" in result["message"]
    assert recorded[1].bag.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("output", "../outside"), ("output", "a/b"), ("protocol", "../../etc/passwd")],
)
def test_goal_cannot_leave_the_configured_folders(graph, option, value):
    result = graph.request(**{option: value})
    assert not result["success"]
    assert "\n" not in result["message"]
    assert not (graph.folder.parent / "outside").exists()


def test_goal_with_a_missing_protocol_says_so(graph):
    result = graph.request(protocol="missing.yaml")
    assert not result["success"]
    assert "missing.yaml" in result["message"]


def test_second_goal_is_refused_and_the_first_retracts_when_cancelled(graph):
    client = graph.client("--output", "cancelled", "--trials", "20")
    wait_for_contact(client)
    second = graph.request(output="second")
    assert second["cause"] == "refused"
    assert "active" in second["message"]
    client.send_signal(signal.SIGINT)
    first = json.loads(client.communicate(timeout=120)[0])
    assert first["cause"] == "cancelled"
    run = open_run(graph.folder / "cancelled")
    assert not run.repaired
    assert final_clearance_mm(run) > 2.5
    assert first["samples"] == run.sample_count > 0


@pytest.fixture(scope="module")
def heard(graph):
    """Everything that comes within four seconds while no run is active."""
    heard = {name: [] for name in ("image_raw", "camera_info", "diagnostics", "markers", "states")}

    def stamped(message: FrankaRobotState) -> None:
        heard["states"].append(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)

    reliable = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
    for kind, topic, take, qos in (
        (Image, "image_raw", None, BEST_EFFORT),
        (CameraInfo, "camera_info", None, BEST_EFFORT),
        (DiagnosticArray, "diagnostics", None, 10),
        (MarkerField, "markers", None, 10),
        (FrankaRobotState, f"{BROADCASTER}/robot_state", stamped, reliable),
    ):
        graph.node.create_subscription(kind, topic, take or heard[topic].append, qos)
    spin(graph.node, 4.0)
    return heard


def test_driver_publishes_rgb8_at_its_rate_with_info_and_diagnostics(heard):
    images, infos = heard["image_raw"], heard["camera_info"]
    stamps = np.array([m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in images])
    assert {message.encoding for message in images} == {"rgb8"}
    assert np.ptp(stamps) / (len(stamps) - 1) == pytest.approx(0.04, abs=0.008)
    assert (infos[0].width, infos[0].height) == (320, 240)
    values = {v.key: v.value for v in heard["diagnostics"][-1].status[0].values}
    assert float(values["rate_hz"]) == pytest.approx(25.0, abs=5.0)


def test_tracker_publishes_all_dots_of_the_grid(heard):
    fields = heard["markers"]
    assert fields[-1].found_count == 63
    assert (fields[-1].rows, fields[-1].columns) == (7, 9)
    assert np.diff(np.reshape(fields[-1].x, (7, 9)), axis=1).min() > 15.0


def test_virtual_arm_publishes_as_franka_ros2_does(graph, heard):
    """Full state reliable at 1 kHz; convenience topics best effort with depth 1 (since v2.4)."""
    assert np.median(np.diff(heard["states"])) == pytest.approx(1e6, rel=0.05)
    for topic in (
        "current_pose",
        "last_desired_pose",
        "desired_end_effector_twist",
        "measured_joint_states",
        "desired_joint_states",
        "external_wrench_in_base_frame",
        "external_wrench_in_stiffness_frame",
        "external_joint_torques",
    ):
        (info,) = graph.node.get_publishers_info_by_topic(f"{BROADCASTER}/{topic}")
        assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_terminated_node_retracts_closes_the_bag_and_ends(graph):
    """Last in this file: it ends the acquisition node."""
    client = graph.client("--output", "terminated")
    wait_for_contact(client)
    process = graph.processes["acquisition"]
    process.send_signal(signal.SIGTERM)
    result = json.loads(client.communicate(timeout=120)[0])
    assert result["cause"] == "terminated"
    assert process.wait(10) == 0
    run = open_run(graph.folder / "terminated")
    assert not run.repaired
    assert final_clearance_mm(run) > 2.5


BAD_PARAMETERS = [
    ("acquisition", ["-p", "limits.force_newton:=5.0"], "unknown parameter"),
    ("acquisition", ["-p", "limits.force_n:=-1.0"], "limits.force_n"),
    ("acquisition", ["-p", "limits.force_n:=strong"], "limits.force_n"),
    ("acquisition", ["-p", "limits.box_min_mm:=[900.0, 900.0, 900.0]"], "box is empty"),
    ("acquisition", ["-p", "protocol:=missing.yaml"], "missing.yaml"),
    ("gelsight_driver", ["-p", "source:=/nowhere/video.avi"], "no video at"),
    ("gelsight_driver", ["-p", "rate_hz:=0.0"], "rate_hz"),
    ("marker_tracker", ["-p", "grid:=seven"], "grid"),
    ("virtual_panda", ["-p", "contact:=magnet"], "contact"),
]


@pytest.fixture(scope="module")
def ended_nodes():
    """Exit code and messages of one node for each bad parameter; all start at once."""
    started = [
        start_node(node, ["--params-file", str(config_path("tacdiff.yaml")), *arguments])
        for node, arguments, _ in BAD_PARAMETERS
    ]
    return [(node.communicate(timeout=120)[1], node.returncode) for node in started]


@pytest.mark.parametrize("number", range(len(BAD_PARAMETERS)))
def test_bad_parameter_ends_the_node_with_one_line_and_exit_code_2(ended_nodes, number):
    errors, exit_code = ended_nodes[number]
    lines = errors.strip().splitlines()
    assert exit_code == 2
    assert len(lines) == 1
    assert BAD_PARAMETERS[number][2] in lines[0]
    assert re.match("error: ", lines[0])


def test_broken_parameter_file_ends_the_node_with_exit_code_2(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("acquisition:\n  ros__parameters: [")
    node = start_node("acquisition", ["--params-file", str(broken)])
    errors = node.communicate(timeout=60)[1]
    assert node.returncode == 2
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("error: ")


def start_node(node: str, arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tacdiff_ros.nodes.{node}", "--ros-args", *arguments]
    return subprocess.Popen(
        command,
        env=isolated_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
