"""The simulator node on DDS: NOCS maps and surfaces in, images with their stamps out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
pytest.importorskip("torch", reason="torch is not installed; `make setup` brings it")

import torch
from builtin_interfaces.msg import Time
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import Point
from sensor_msgs.msg import Image
from shape_msgs.msg import Mesh
from tacdiff_ros.srv import SimulateTouch

from tacdiff_ros.cli.processes import isolated_environment
from tacdiff_ros.nodes.conversion.images import from_image, from_map, to_image
from tacdiff_ros.nodes.conversion.surface import to_mesh
from tacdiff_ros.nodes.topics import ROBOT_STATE
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.translation.generator import build_generator
from tacdiff_ros.translation.input_kinds import network_input
from tacdiff_ros.translation.model_file import ModelCard, save_model
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.translator import Translator

pytestmark = pytest.mark.slow
needs_mitsuba = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)


def save_random_model(folder, checksum: str) -> None:
    torch.set_num_threads(1)  # two wait for each other wherever cores are busy
    torch.manual_seed(1)
    settings = NetworkSettings(width=4, texture=(4, 64, 64))
    generator = build_generator(settings)
    for value in generator.parameters():
        value.data += 0.05 * torch.randn_like(value)
    card = ModelCard(settings=settings, sensor_checksum=checksum, full_indentation_mm=3.0)
    save_model(folder, generator, card)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_random_model(folder, default_sensor().checksum)
    return folder


class Client:
    """Sends states, maps, surfaces and requests and takes what comes back."""

    def __init__(self, meeting) -> None:
        node, self.spin = meeting.node, meeting.spin
        self.states = node.create_publisher(FrankaRobotState, ROBOT_STATE, 10)
        self.camera = node.create_publisher(Image, "image_raw", 10)
        self.touch = node.create_client(SimulateTouch, "simulate_touch")
        assert self.touch.wait_for_service(60.0)
        self.nocs = node.create_publisher(Image, "nocs", 10)
        self.mesh = node.create_publisher(Mesh, "gel_mesh", 1)
        self.seen = {name: [] for name in ("image_raw", "nocs", "depth")}
        for name, kept in self.seen.items():
            node.create_subscription(Image, f"simulated/{name}", kept.append, 10)
        meeting.meet(self.nocs, self.mesh, self.states, self.camera)

    def simulate(self, **content):
        future = self.touch.call_async(SimulateTouch.Request(**content))
        self.spin(120.0, future.done)
        assert future.done(), "no answer"
        return future.result()

    def send_until_drawn(self, publisher, message):
        """Best-effort messages may be lost on a busy machine."""
        for kept in self.seen.values():
            kept.clear()
        for _ in range(60):
            publisher.publish(message)
            self.spin(1.0, lambda: bool(self.seen["image_raw"]))
            if self.seen["image_raw"]:
                return self.seen["image_raw"][-1]
        pytest.fail("no image came")
        return None


@pytest.fixture(scope="module")
def client(meeting, model):
    arguments = ["-p", f"model:={model}", "-p", "threads:=1"]
    arguments += ["-p", "indenter:=sphere:diameter=6", "-p", "rate_hz:=10.0"]
    return Client(meeting("tactile_simulator", arguments))


@pytest.fixture(scope="module")
def nocs():
    x, y = np.meshgrid(np.linspace(0.1, 0.9, 320), np.linspace(0.1, 0.9, 240))
    return np.stack([x, y, 1 - 0.2 * x * y], axis=-1).astype(np.float32)


def test_a_nocs_map_gives_the_networks_image_with_its_stamp(client, model, nocs):
    sent = to_image(nocs, Time(sec=7, nanosec=8), "gelsight_optical_frame")
    message = client.send_until_drawn(client.nocs, sent)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (7, 8)
    assert message.header.frame_id == "gelsight_optical_frame"
    expected = Translator(model, 1).translate(network_input("nocs", nocs))
    np.testing.assert_array_equal(from_image(message), expected)


def test_a_map_that_is_none_is_passed_over_and_the_next_one_drawn(client, nocs):
    for bad in (np.full_like(nocs, np.nan), nocs[:100], nocs[..., 0]):
        client.nocs.publish(to_image(bad, Time(sec=1), ""))
    client.spin(1.0)
    message = client.send_until_drawn(client.nocs, to_image(nocs, Time(sec=9), ""))
    assert message.header.stamp.sec == 9


@needs_mitsuba
def test_a_surface_gives_image_nocs_and_depth_in_metres(client):
    gel = default_sensor().gel
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, 33, 41)
    radius = np.hypot(flat.rest[:, 0], flat.rest[:, 1])
    position = flat.rest.copy()
    position[:, 2] -= 0.5 * np.exp(-((radius / 2.0) ** 2))
    client.send_until_drawn(client.mesh, to_mesh(flat.moved(position)))
    client.spin(5.0, lambda: all(client.seen.values()))
    nocs = from_map(client.seen["nocs"][-1], 3)
    depth = from_map(client.seen["depth"][-1], 1)
    assert nocs[..., 2].min() == pytest.approx(1 - 0.5 / gel.full_indentation_mm, abs=0.005)
    assert depth[120, 160] == pytest.approx(
        -1e-3 * default_sensor().camera.position_mm[2], abs=1e-3
    )
    assert depth.max() - depth[120, 160] == pytest.approx(0.5e-3, abs=0.1e-3)


@needs_mitsuba
def test_robot_states_are_followed_with_their_stamps(client):
    """The arm lowers the gel by 3.4 mm onto an indenter that stands 3 mm below."""
    for kept in client.seen.values():
        kept.clear()
    for k in range(200):
        gap_mm = max(3.0 - 0.1 * k, -0.4)
        client.states.publish(robot_state(gap_mm, stamp_ms=100_000 + 150 * k))
        client.spin(0.1)
        depths = [from_map(message, 1) for message in of_the_robot(client.seen["depth"])]
        if depths and np.ptp(depths[-1]) > 0.3e-3:
            break
    assert np.ptp(depths[0]) < 0.05e-3
    assert np.ptp(depths[-1]) == pytest.approx(0.4e-3, abs=0.1e-3)
    stamps = [message.header.stamp for message in of_the_robot(client.seen["image_raw"])]
    stamps_ms = [1000 * stamp.sec + stamp.nanosec // 10**6 for stamp in stamps]
    assert all((stamp - 100_000) % 150 == 0 for stamp in stamps_ms)
    assert stamps_ms == sorted(stamps_ms)


@needs_mitsuba
def test_with_a_camera_frames_have_its_stamps_and_poses_of_that_time(client):
    """States every 20 ms; the image's stamp lies half way between two."""
    for kept in client.seen.values():
        kept.clear()
    blank = np.zeros((24, 32, 3), np.uint8)
    for k in range(300):
        now_ms = 200_000 + 100 * k
        client.states.publish(robot_state(-0.3, now_ms))
        client.camera.publish(to_image(blank, stamp_of(now_ms + 10), ""))
        client.spin(0.05)
        client.states.publish(robot_state(-0.5, now_ms + 20))
        client.spin(0.1, lambda: len(taken_at(client.seen["depth"], 10)) > 2)
        if len(taken_at(client.seen["depth"], 10)) > 2:
            break
    depth = from_map(taken_at(client.seen["depth"], 10)[-1], 1)
    assert np.ptp(depth) == pytest.approx(0.4e-3, abs=0.06e-3)


def taken_at(messages: list[Image], offset_ms: int) -> list[Image]:
    """Those whose stamp is so far behind a tenth of a second."""
    return [
        m for m in of_the_robot(messages) if m.header.stamp.nanosec % 10**8 == offset_ms * 10**6
    ]


def stamp_of(milliseconds: int) -> Time:
    return Time(sec=milliseconds // 1000, nanosec=milliseconds % 1000 * 1_000_000)


def of_the_robot(messages: list[Image]) -> list[Image]:
    """Without late ones of surfaces that were sent before, whose stamps are the clock's."""
    return [message for message in messages if message.header.stamp.sec < 1_000]


def robot_state(gap_mm: float, stamp_ms: int) -> FrankaRobotState:
    """End effector so high that the gel, 40 mm below and looking down, is a gap above the tip."""
    state = FrankaRobotState()
    state.header.stamp = stamp_of(stamp_ms)
    pose = state.o_t_ee.pose
    pose.position.x, pose.position.z = 0.45, 0.1 + 0.04 + 1e-3 * gap_mm
    pose.orientation.x, pose.orientation.w = 1.0, 0.0
    return state


@needs_mitsuba
def test_a_touch_is_simulated_in_si_units_by_renderer_or_network(client):
    content = {"indenter": "sphere:diameter=6", "depth": 0.5e-3, "with_maps": True}
    place = Point(x=1e-3, y=-1e-3)
    drawn = [
        client.simulate(**content, position=place, use_renderer=chosen) for chosen in (True, False)
    ]
    for answer in drawn:
        assert answer.success, answer.message
        assert from_image(answer.image).shape == (240, 320, 3)
        assert from_map(answer.indentation, 1).max() == pytest.approx(0.5e-3, abs=0.05e-3)
        assert from_map(answer.nocs, 3).shape == (240, 320, 3)
        assert answer.contact.maximum_indentation == pytest.approx(0.5e-3, abs=0.05e-3)
        assert answer.contact.centroid.x == pytest.approx(1e-3, abs=0.2e-3)
        assert -2.0 < answer.wrench.force.z < -0.05
        assert len(answer.mesh.vertices) == 49 * 61
    assert (from_image(drawn[0].image) != from_image(drawn[1].image)).mean() > 0.5


def test_touches_that_cannot_be_are_answered_with_the_reason(client):
    answer = client.simulate(indenter="sphere", depth=0.5)
    assert not answer.success
    assert "at most 2 mm" in answer.message
    assert "teapot" in client.simulate(indenter="teapot", depth=1e-4).message
    assert "not finite" in client.simulate(indenter="sphere", depth=float("nan")).message


def test_a_mesh_of_something_else_is_passed_over(client, nocs):
    client.mesh.publish(Mesh())
    client.spin(1.0)
    client.send_until_drawn(client.nocs, to_image(nocs, Time(sec=11), ""))


def test_a_network_of_another_sensor_ends_the_node_with_one_line(tmp_path):
    save_random_model(tmp_path, "ab" * 32)
    command = [sys.executable, "-m", "tacdiff_ros.nodes.tactile_simulator", "--ros-args"]
    done = subprocess.run(
        [*command, "-p", f"model:={tmp_path}"],
        env=isolated_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "the model renders sensor abab" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
