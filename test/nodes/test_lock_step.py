"""The virtual world's own time on DDS: a machine that stands still makes a run longer, no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from tacdiff_ros.msg import StepDone

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.cli.virtual_graph import in_lock_step
from tacdiff_ros.nodes.conversion.geometry import to_time
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.qos import LOCK_STEP
from tacdiff_ros.recording.bag_reading import open_run
from tacdiff_ros.resources import config_path

pytestmark = pytest.mark.slow
BEFORE = dict(os.environ)
STANDSTILL_S = 6.0  # longer than any watch on hardware allows
PROTOCOL = {
    "version": 1,
    "trials": 1,
    "start": {"offset_x_mm": 1.0, "offset_y_mm": 1.0, "yaw_deg": 5.0, "standoff_mm": 2.0},
    "approach": {"speed_mm_s": 6.0},
    "depth_mm": 0.6,
    "translation_mm": 0.8,
    "directions": ["x+"],
    "rotation_deg": 0.0,
    "speed_mm_s": 8.0,
    "travel_speed_mm_s": 40.0,
    "settle_s": 0.1,
    "dwell_s": 0.2,
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run in which the camera's process was stopped in contact."""
    folder = tmp_path_factory.mktemp("lock_step")
    (folder / "default.yaml").write_text(yaml.safe_dump(PROTOCOL))
    environment = isolated_environment()
    folders = ["-p", f"data_folder:={folder}", "-p", f"protocol_folder:={folder}"]
    nodes = {
        "virtual_panda": ["-p", "start_gap_mm:=12.0"],
        "gelsight_driver": ["-p", "source:=generated"],
        "acquisition": folders,
    }
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(
                running_node(name, extra, folder / f"{name}.log", environment)
            )
            for name, extra in in_lock_step(nodes).items()
        }
        goal = ["--protocol", "default.yaml", "--output", "run", "--server-timeout", "60"]
        goal += [part for name in nodes for part in ("--await-ready", name)]
        client = subprocess.Popen(
            [sys.executable, "-m", "tacdiff_ros.nodes.acquire_client", *goal],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for line in client.stderr:
            if '"translate"' in line:
                break
        running["gelsight_driver"].send_signal(signal.SIGSTOP)
        time.sleep(STANDSTILL_S)
        running["gelsight_driver"].send_signal(signal.SIGCONT)
        answer, errors = client.communicate(timeout=60)
        for process in running.values():
            process.send_signal(signal.SIGINT)
    assert answer, errors
    return json.loads(answer), open_run(folder / "run")


def test_a_standstill_of_the_machine_does_not_stop_a_run(recorded):
    result, _run = recorded
    assert result["success"], result["message"]
    assert result["trials_completed"] == 1


def test_every_image_of_the_virtual_world_is_recorded_at_the_cameras_rate(recorded):
    result, run = recorded
    assert result["images_lost"] == 0
    assert set(np.diff(run.columns["stamp_ns"])) == {40_000_000}
    assert run.sample_count == result["samples"] > 50


def test_states_of_the_very_time_of_each_image_are_known(recorded):
    _result, run = recorded
    assert run.columns["pose_gap_ms"].max() == 0.0


def test_a_run_begins_at_a_full_second_in_phase_with_the_camera(recorded):
    """Runs that begin at any phase of the camera see other poses, and no two can be compared."""
    _result, run = recorded
    assert run.columns["stamp_ns"][0] % 1_000_000_000 == 80_000_000


def test_force_and_depth_are_as_they_are_without_a_standstill(recorded):
    """The wall clock is no part of the physics: depth at rest is what was commanded."""
    columns = recorded[1].columns
    dwelling = (columns["motion"] == "dwelling") & (columns["in_contact"] > 0)
    error = columns["measured_depth_mm"][dwelling] - columns["commanded_depth_mm"][dwelling]
    assert dwelling.sum() >= 10
    assert np.abs(error).max() < 0.06


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (["lock_step:=true"], "without 'use_sim_time'"),
        (["lock_step:=true", "use_sim_time:=true"], "'lock_step_nodes' lacks virtual_panda"),
    ],
)
def test_acquisition_takes_no_part_where_the_arm_may_be_a_real_one(parameters, expected):
    command = [sys.executable, "-m", "tacdiff_ros.nodes.acquisition", "--ros-args"]
    command += ["--params-file", str(config_path("tacdiff.yaml"))]
    command += [word for text in parameters for word in ("-p", text)]
    done = subprocess.run(
        command, env=isolated_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert expected in done.stderr and "Traceback" not in done.stderr


def test_a_cancelled_goal_ends_though_the_clock_stands_still(tmp_path):
    """Somebody is there to publish a clock, and never does."""
    environment, before = isolated_environment(), dict(os.environ)
    os.environ.update(environment)
    context = rclpy.Context()
    context.init()
    silent = rclpy.create_node("silent_clock", context=context)
    silent.create_publisher(Clock, "/clock", 1)
    nodes = ["-p", "lock_step_nodes:=['virtual_panda','acquisition']"]
    extra = ["-p", f"data_folder:={tmp_path}", "-p", "use_sim_time:=true", "-p", "lock_step:=true"]
    with running_node("acquisition", [*extra, *nodes], tmp_path / "log", environment):
        client = subprocess.Popen(
            [sys.executable, "-m", "tacdiff_ros.nodes.acquire_client", "--output", "run"],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60.0
        while "checking the rig" not in (tmp_path / "log").read_text():
            assert time.monotonic() < end
            time.sleep(0.2)
        client.send_signal(signal.SIGINT)
        result = json.loads(client.communicate(timeout=60)[0])
    silent.destroy_node()
    context.try_shutdown()
    os.environ.clear()
    os.environ.update(before)
    assert result["cause"] == "cancelled"
    assert not (tmp_path / "run").exists()


def test_a_first_message_that_is_lost_is_given_up_though_its_sender_repeats_its_word():
    """Discovery may be late: the message is gone, its announcement comes again and again."""
    context = rclpy.Context()
    os.environ.update(environment := isolated_environment())
    context.init()
    overrides = [
        Parameter("lock_step", value=True),
        Parameter("use_sim_time", value=True),
        Parameter("lock_step_nodes", value=["world"]),
    ]
    node = rclpy.create_node("reader", context=context, parameter_overrides=overrides)
    world = rclpy.create_node("world", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    for member in (node, world):
        executor.add_node(member)
    steps: list[int] = []
    LockStep(node, {"world": ["data"]}, steps.append)
    clock = world.create_publisher(Clock, "/clock", LOCK_STEP)
    done = world.create_publisher(StepDone, "lock_step/done", LOCK_STEP)
    now = to_time(1_000_000_000)
    end = time.monotonic() + 30.0
    while not steps and time.monotonic() < end:
        clock.publish(Clock(clock=now))
        done.publish(StepDone(node="world", time=now, newest=now))
        for _ in range(10):
            executor.spin_once(timeout_sec=0.1)
    node.destroy_node()
    world.destroy_node()
    context.try_shutdown()
    for name in environment.keys() - BEFORE.keys():
        os.environ.pop(name, None)
    os.environ.update(BEFORE)
    assert steps == [1_000_000_000]
