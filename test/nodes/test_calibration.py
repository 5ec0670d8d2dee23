"""The calibration node on DDS: steps by service, a whole run by action, refusals, cancel."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from tacdiff_ros.action import Calibrate
from tacdiff_ros.msg import SensorModel
from tacdiff_ros.srv import Calibrate as CalibrateService

from tacdiff_ros.calibration.calibration_folder import read_folder
from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.nodes.calibration import CalibrationNode
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.sensor.sensor_file import parse_sensor

pytestmark = pytest.mark.slow  # the images, and their calibration
BALL = "sphere:diameter=5"
KIND = CalibrateService.Request


class Client:
    """Calls the node and spins until it answers."""

    def __init__(self, node, executor) -> None:
        self.node, self._executor = node, executor
        self.service = node.create_client(CalibrateService, "calibrate")
        self.action = ActionClient(node, Calibrate, "calibrate")
        self.frames = node.create_publisher(Image, "image_raw", 10)
        self.models = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(SensorModel, "sensor_model", self.models.append, latched)
        assert self.service.wait_for_service(60.0)
        assert self.action.wait_for_server(60.0)

    def wait(self, future, seconds=60.0):
        end = time.monotonic() + seconds
        while not future.done() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
        assert future.done(), "no answer"
        return future.result()

    def call(self, command, seconds=60.0, **content):
        return self.wait(self.service.call_async(KIND(command=command, **content)), seconds)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(data, tmp_path_factory):
    environment, before = isolated_environment(), dict(os.environ)
    os.environ.update(environment)
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("caller", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    log = tmp_path_factory.mktemp("log") / "calibration.log"
    with ExitStack() as stack:
        arguments = ["-p", f"data_folder:={data}"]
        stack.enter_context(running_node("calibration", arguments, log, environment))
        yield Client(node, executor)
    node.destroy_node()
    context.try_shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def images(unit_folder):
    paths = (unit_folder.reference, unit_folder.press(0), unit_folder.press(1))
    return [to_image(read_image(path), Time(), "gel") for path in paths]


def goal_of(images, **content):
    return Calibrate.Goal(indenter=BALL, reference=images[0], presses=images[1:], **content)


def test_nothing_is_computed_before_images_are_taken(client):
    answer = client.call(KIND.COMMAND_COMPUTE)
    assert not answer.success
    assert "no reference" in answer.message
    answer = client.call(KIND.COMMAND_SAVE)
    assert "nothing is computed" in answer.message
    answer = client.call(KIND.COMMAND_TAKE_REFERENCE)
    assert "none came on" in answer.message
    assert "unknown" in client.call(77).message


def test_images_are_taken_step_by_step_and_forgotten(client, images):
    assert client.call(KIND.COMMAND_TAKE_REFERENCE, reference=images[0]).success
    answer = client.call(KIND.COMMAND_TAKE_PRESS, presses=images[1:], indenter=BALL)
    assert (answer.success, answer.presses_taken) == (True, 2)
    answer = client.call(KIND.COMMAND_TAKE_PRESS, presses=images[1:2], indenter="ball")
    assert not answer.success
    assert "ball" in answer.message
    answer = client.call(
        KIND.COMMAND_TAKE_PRESS, presses=images[1:2], indenter="mesh:file=/etc/passwd"
    )
    assert not answer.success
    assert client.call(KIND.COMMAND_CLEAR).presses_taken == 0


@pytest.mark.parametrize("output", ["../away", "/away.yaml", "a/b", ".hidden", "x" * 100])
def test_no_path_outside_the_data_folder(client, images, output, data):
    goal = client.wait(client.action.send_goal_async(goal_of(images, output=output)))
    result = client.wait(goal.get_result_async()).result
    assert not result.success
    assert "no file name" in result.message
    assert list(data.iterdir()) == []


def test_a_cancelled_goal_writes_nothing_and_leaves_the_old_file(client, images, data):
    (data / "old.yaml").write_text("mine")
    stages = []
    goal = client.wait(
        client.action.send_goal_async(
            goal_of(images, output="old"),
            feedback_callback=lambda message: stages.append(message.feedback.stage),
        )
    )
    assert goal.accepted
    future = goal.get_result_async()
    end = time.monotonic() + 60
    while "lighting" not in stages and time.monotonic() < end:
        client._executor.spin_once(timeout_sec=0.05)
    client.wait(goal.cancel_goal_async())
    result = client.wait(future, 60.0).result
    assert not result.success
    assert "cancelled" in result.message
    assert (data / "old.yaml").read_text() == "mine"
    assert [path.name for path in data.iterdir()] == ["old.yaml"]


def test_a_reference_that_was_taken_and_not_used_is_said(client, images):
    """Presses of a request go with the newest frame where it brings no reference of its own."""
    client.frames.publish(images[0])
    assert client.call(KIND.COMMAND_TAKE_REFERENCE, reference=images[0]).success
    goal = client.wait(
        client.action.send_goal_async(Calibrate.Goal(indenter=BALL, presses=images[1:]))
    )
    future = goal.get_result_async()
    client.wait(goal.cancel_goal_async())
    message = client.wait(future, 60.0).result.message
    assert "warning: the newest frame was used as reference, not the one taken before" in message
    assert client.call(KIND.COMMAND_CLEAR).success


@pytest.fixture
def here(client, data, calibrated_unit, monkeypatch):
    """The node in this process, with the calibration that was computed for all tests.

    It waits for the event: that is when a second request comes.
    """
    go_on = threading.Event()

    def calibrate(_model, reference, presses, settings, progress):
        progress("pose", 0.5)
        assert go_on.wait(60.0)
        for image, expected in zip(
            (reference, *(press.image for press in presses)), calibrated_unit.images, strict=True
        ):
            assert np.array_equal(image, expected)
        model = calibrated_unit.found.model.model_copy(update={"sensor_id": settings.sensor_id})
        return replace(calibrated_unit.found, model=model)

    monkeypatch.setattr("tacdiff_ros.calibration.calibration_session.calibrate", calibrate)
    rclpy.init(args=["--ros-args", "-r", "__ns:=/here", "-p", f"data_folder:={data}"])
    node, caller = CalibrationNode(), rclpy.create_node("caller")
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(caller)
    yield Client(caller, executor), go_on
    node.destroy_node()
    caller.destroy_node()
    rclpy.try_shutdown()


def test_one_call_calibrates_saves_and_latches(here, images, data):
    client, go_on = here
    future = client.service.call_async(
        KIND(
            command=KIND.COMMAND_CALIBRATE,
            sensor_id="left_finger",
            indenter=BALL,
            reference=images[0],
            presses=images[1:],
        )
    )
    busy = client.call(
        KIND.COMMAND_CALIBRATE, indenter=BALL, reference=images[0], presses=images[1:]
    )
    assert "another calibration" in busy.message
    go_on.set()
    answer = client.wait(future, 60.0)
    assert answer.success, answer.message
    assert answer.path == str(data / "left_finger.yaml")
    text = (data / "left_finger.yaml").read_text()
    message = answer.sensor_model
    assert message.yaml == text
    assert message.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert parse_sensor(text).sensor_id == "left_finger"
    units = {residual.name: residual.unit for residual in message.residuals}
    assert units["dot_rms"] == "px"
    assert units["dot_diameter"] == "m"
    assert answer.duration > 0.0
    end = time.monotonic() + 10
    while not client.models and time.monotonic() < end:
        client._executor.spin_once(timeout_sec=0.05)
    assert client.models[-1].yaml == text


def test_a_bad_image_fails_with_the_reason(client, images):
    blank = Image(height=240, width=320, encoding="rgb8", step=960, data=bytes(320 * 240 * 3))
    goal = client.wait(
        client.action.send_goal_async(
            Calibrate.Goal(indenter=BALL, reference=blank, presses=images[1:])
        )
    )
    result = client.wait(goal.get_result_async()).result
    assert not result.success
    assert "blank" in result.message


@pytest.fixture(scope="module")
def guided(tmp_path_factory):
    """A node that leads through a calibration, and a function that calls its services."""
    environment, before = isolated_environment(), dict(os.environ)
    os.environ.update(environment)
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("hand", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    folder = tmp_path_factory.mktemp("guided")
    arguments = ["-p", f"data_folder:={folder}", "-p", "guide.diameter_mm:=5.0"]
    with ExitStack() as stack:
        log = tmp_path_factory.mktemp("log") / "guided.log"
        stack.enter_context(running_node("calibration", arguments, log, environment))
        yield node, executor, folder
    node.destroy_node()
    context.try_shutdown()
    os.environ.clear()
    os.environ.update(before)


def test_the_guide_says_what_to_do_and_takes_an_image_by_service(guided, images):
    node, executor, folder = guided
    said, pictures = [], []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(String, "calibration/guide/instruction", said.append, latched)
    node.create_subscription(Image, "calibration/guide/image_raw", pictures.append, 1)
    frames = node.create_publisher(Image, "image_raw", 10)
    take = node.create_client(Trigger, "calibration/guide/take")
    finish = node.create_client(Trigger, "calibration/guide/finish")

    def press(client, image):
        """Show an image until a request has its response, again while it saw too few images."""
        begin = time.monotonic()
        future = None
        while time.monotonic() < begin + 120.0:
            frames.publish(image)
            executor.spin_once(timeout_sec=0.1)
            if time.monotonic() < begin + 1.0:  # until the server has discovered the client
                continue
            future = future or client.call_async(Trigger.Request())
            if future.done() and "too few images" not in future.result().message:
                break
            future = client.call_async(Trigger.Request()) if future.done() else future
        return future.result()

    assert take.wait_for_service(20.0)
    assert finish.wait_for_service(20.0)
    assert "reference image is taken" in press(take, images[0]).message
    refused = press(take, images[0])
    assert not refused.success
    assert "nothing touches" in refused.message
    taken = press(take, images[1])
    assert taken.success, taken.message
    x_mm = float(re.search(r"press 1 is taken: x (\S+),", taken.message)[1])
    assert x_mm == pytest.approx(-3.0, abs=0.5)
    assert "1 presses are taken, expected 2" in press(finish, images[1]).message
    assert any("take the reference image" in message.data for message in said)
    assert any("expected error" in message.data for message in said)
    assert (pictures[-1].width, pictures[-1].height) == (640, 480)
    listing = read_folder(folder / "guided_calibration")
    assert [entry.diameter_mm for entry in listing.presses] == [5.0]
