"""The inversion node on DDS: service, action with progress and cancel, stream, refusals."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import WrenchStamped
from rclpy.action import ActionClient
from sensor_msgs.msg import Image
from shape_msgs.msg import Mesh
from std_srvs.srv import Trigger
from tacdiff_ros.action import InvertMesh
from tacdiff_ros.msg import ContactSummary, GelHealth, HeightMap, SensorModel
from tacdiff_ros.srv import InvertMesh as InvertMeshService
from visualization_msgs.msg import Marker

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.conversion.sensor_model import to_sensor_model
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.sensor.sensor_file import default_sensor


class Client:
    """Calls the node and spins until it answers."""

    def __init__(self, node, executor, log) -> None:
        self.node, self._executor, self.log = node, executor, log
        self.service = node.create_client(InvertMeshService, "invert_mesh")
        self.tare = node.create_client(Trigger, "mesh_inversion/take_reference")
        self.action = ActionClient(node, InvertMesh, "invert_mesh")
        self.images = node.create_publisher(Image, "image_raw", 10)
        self.models = node.create_publisher(SensorModel, "sensor_model", LATCHED)
        topics = {
            "mesh": (Mesh, "gel_mesh"),
            "marker": (Marker, "gel_mesh/marker"),
            "contact": (ContactSummary, "gel_mesh/contact"),
            "height_map": (HeightMap, "gel_height_map"),
            "wrench": (WrenchStamped, "contact_wrench"),
            "health": (GelHealth, "gel_health"),
        }
        self.seen = {name: [] for name in topics}
        for name, (kind, topic) in topics.items():
            node.create_subscription(kind, topic, self.seen[name].append, 10)
        assert self.service.wait_for_service(20.0)
        assert self.action.wait_for_server(20.0)

    def wait(self, future, seconds=60.0):
        self.spin(seconds, future.done)
        assert future.done(), "no answer"
        return future.result()

    def spin(self, seconds, until=lambda: False):
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def call(self, **content):
        return self.wait(self.service.call_async(InvertMeshService.Request(**content)))


@pytest.fixture(scope="module")
def client(tmp_path_factory, ready):
    environment, before = isolated_environment(), dict(os.environ)
    os.environ.update(environment)
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("caller", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    log = tmp_path_factory.mktemp("log") / "mesh_inversion.log"
    with ExitStack() as stack:
        arguments = ["-p", "streaming:=true", "-p", "spacing_mm:=0.4", "-p", "width_px:=160"]
        stack.enter_context(running_node("mesh_inversion", arguments, log, environment))
        ready("mesh_inversion", environment)
        yield Client(node, executor, log)
    node.destroy_node()
    context.try_shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def touched(tmp_path_factory):
    from tacdiff_ros.cli.application import run
    from tacdiff_ros.optics import llvm

    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    folder = tmp_path_factory.mktemp("touch")
    arguments = ["--indenter", "sphere:diameter=6", "--at-mm", "1", "-1", "--depth", "0.6"]
    assert run(["simulate", *arguments, "--vertices", "33x41", "--out", str(folder)]) == 0
    return to_image(read_image(folder / "rgb.png"), Time(sec=7, nanosec=5), "camera")


def test_without_an_image_the_service_says_what_to_do(client):
    answer = client.call()
    assert not answer.success
    assert "is the driver on" in answer.message


def test_an_image_gives_mesh_contact_and_residuals(client, touched):
    answer = client.call(image=touched)
    assert answer.success, answer.message
    assert (answer.header.stamp.sec, answer.header.frame_id) == (7, "gel")
    count = answer.rows * answer.columns
    assert len(answer.mesh.vertices) == len(answer.displacement) == count
    assert len(answer.height_stddev) == len(answer.valid) == count
    assert len(answer.mesh.triangles) == 2 * (answer.rows - 1) * (answer.columns - 1)
    deepest = min(answer.mesh.vertices, key=lambda vertex: vertex.z)
    assert deepest.z == pytest.approx(-0.6e-3, abs=1.2e-4)
    assert (deepest.x, deepest.y) == pytest.approx((1e-3, -1e-3), abs=4e-4)
    assert answer.contact.in_contact
    assert answer.contact.maximum_indentation == pytest.approx(-deepest.z, abs=2e-5)
    assert {residual.name for residual in answer.residuals} >= {"image_rms", "explained_share"}
    assert 0.0 < answer.duration < 60.0


def test_an_image_gives_height_map_forces_and_health_of_the_gel(client, touched):
    answer = client.call(image=touched)
    assert answer.success, answer.message
    image, spacing = answer.height_map.image, answer.height_map.spacing
    assert (image.encoding, image.header.frame_id, image.header.stamp.sec) == ("32FC1", "gel", 7)
    assert spacing == pytest.approx(0.4e-3, rel=0.02)
    heights = np.frombuffer(image.data, np.float32).reshape(image.height, image.width)
    row, column = np.unravel_index(np.nanargmin(heights), heights.shape)
    deepest = min(answer.mesh.vertices, key=lambda vertex: vertex.z)
    assert heights[row, column] == pytest.approx(deepest.z, abs=5e-5)
    x = answer.height_map.origin.x + spacing * column
    y = answer.height_map.origin.y + spacing * row
    assert (x, y) == pytest.approx((deepest.x, deepest.y), abs=0.5e-3)
    forces, area = answer.forces, (answer.rows - 1) * (answer.columns - 1)
    assert forces.valid
    assert forces.header.frame_id == "gel"
    assert forces.wrench.force.z < -0.3  # a press
    assert 0.0 < forces.stddev.force.z < -forces.wrench.force.z
    # A force at (1, -1) mm: the torque about the origin of the frame is position x force.
    assert forces.wrench.torque.x == pytest.approx(-1e-3 * forces.wrench.force.z, rel=0.5)
    assert forces.wrench.torque.y == pytest.approx(-1e-3 * forces.wrench.force.z, rel=0.5)
    cell = 25.25e-3 * 20.75e-3 / area
    assert cell * sum(answer.pressure) == pytest.approx(-forces.wrench.force.z, rel=0.1)
    assert len(answer.traction_x) == len(answer.traction_y) == len(answer.pressure)
    assert answer.health.markers_detected == answer.health.markers_expected
    assert list(answer.health.brightness) == pytest.approx([1.0, 1.0, 1.0], abs=0.03)


def test_the_action_tells_its_progress(client, touched):
    told = []
    goal = client.wait(
        client.action.send_goal_async(
            InvertMesh.Goal(image=touched), lambda message: told.append(message.feedback.progress)
        )
    )
    result = client.wait(goal.get_result_async()).result
    assert result.success, result.message
    assert told
    assert all(0.0 <= share <= 1.0 for share in told)


def test_a_request_is_given_up_in_time(client, touched):
    answer = client.call(image=touched, timeout=0.01)
    assert not answer.success
    assert "given up after 0.01 s" in answer.message
    answer = client.call(image=touched, timeout=-1.0)
    assert "timeout is -1" in answer.message


def test_a_black_and_a_foreign_image_fail_with_the_reason(client, touched):
    pixels = np.frombuffer(touched.data, np.uint8).reshape(240, 320, 3)
    for spoiled, reason in ((np.zeros_like(pixels), "blank"), (pixels[::-1], "upside down")):
        answer = client.call(image=to_image(np.ascontiguousarray(spoiled), Time(), "camera"))
        assert not answer.success
        assert reason in answer.message


def test_frames_of_the_topic_are_followed(client, touched):
    end = time.monotonic() + 30.0
    while len(client.seen["marker"]) < 3 and time.monotonic() < end:
        client.images.publish(touched)
        client.spin(0.1)
    assert client.seen["contact"][-1].in_contact
    mesh, marker = client.seen["mesh"][-1], client.seen["marker"][-1]
    assert min(vertex.z for vertex in mesh.vertices) < -0.3e-3
    assert len(marker.points) == len(marker.colors) == 3 * len(mesh.triangles)
    assert marker.header.frame_id == "gel"
    wrench, heights = client.seen["wrench"][-1], client.seen["height_map"][-1]
    assert wrench.header.frame_id == heights.header.frame_id == "gel"
    assert wrench.wrench.force.z < -0.3
    assert heights.spacing == pytest.approx(0.3e-3, rel=0.02)
    lowest = np.nanmin(np.frombuffer(heights.image.data, np.float32))
    assert lowest == pytest.approx(min(vertex.z for vertex in mesh.vertices), abs=1e-4)
    assert client.seen["health"][-1].markers_lost == 0.0


def test_a_black_frame_does_not_become_the_reference(client, touched):
    client.images.publish(to_image(np.zeros((240, 320, 3), np.uint8), Time(), "camera"))
    client.spin(0.3)
    answer = client.wait(client.tare.call_async(Trigger.Request()))
    assert not answer.success
    assert "the reference is blank" in answer.message
    assert client.call(image=touched).success


def test_the_newest_frame_can_become_the_reference(client, touched):
    client.images.publish(touched)
    client.spin(0.3)
    assert client.wait(client.tare.call_async(Trigger.Request())).success
    client.images.publish(touched)
    client.spin(0.3)
    answer = client.call(image=touched)
    assert answer.success, answer.message
    assert not answer.contact.in_contact


def test_a_new_sensor_model_says_that_it_drops_the_reference(client, touched):
    """After the test before this one, the reference is the touched image."""
    model = default_sensor()
    client.models.publish(to_sensor_model(model, {}, Time(), "camera"))  # in use already
    client.spin(0.5)
    answer = client.call(image=touched)
    assert "was dropped" not in answer.message
    assert "undeformed gel has changed" in answer.message  # the reference shows a contact
    assert not answer.contact.in_contact
    other = model.model_copy(update={"sensor_id": "recalibrated"})
    client.models.publish(to_sensor_model(other, {}, Time(), "camera"))
    client.spin(0.5)
    answer = client.call(image=touched)
    assert answer.success, answer.message
    assert "warning: the reference image was dropped" in answer.message
    assert "'recalibrated': call ~/take_reference" in answer.message
    assert answer.contact.in_contact  # against the model's own untouched gel
    assert "warning" not in client.call(image=touched).message  # said once
    log = client.log.read_text()
    assert log.count("the reference image was dropped") == 1
