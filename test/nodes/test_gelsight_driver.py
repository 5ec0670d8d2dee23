"""The driver on DDS, with a virtual camera that is unplugged for a second."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tacdiff_ros.msg import Readiness

from tacdiff_ros.cli.processes import isolated_environment
from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.camera_calibration import CameraInfoSource, path_of
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds
from tacdiff_ros.nodes.conversion.images import from_image
from tacdiff_ros.nodes.gelsight_driver import GelSightDriver
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.nodes.readiness import ReadinessReport
from tacdiff_ros.virtual.camera import CameraBehaviour, VirtualCamera

UNPLUGGED_S, BACK_S, END_S = 1.8, 2.4, 4.5
CALIBRATION = """image_width: 320
image_height: 240
camera_matrix: {rows: 3, cols: 3, data: [310.5, 0, 160.2, 0, 309.8, 119.4, 0, 0, 1]}
distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.02, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [305, 0, 160, 0, 0, 306, 119, 0, 0, 0, 1, 0]}
"""
TOPICS = {
    "image_raw": Image,
    "camera_info": CameraInfo,
    "image_raw/compressed": CompressedImage,
    "/diagnostics": DiagnosticArray,
}


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / "calibration.yaml"
    path.write_text(CALIBRATION)
    return path


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    """Messages by topic, the camera, and the offset of the ROS time from the monotonic time."""
    path = tmp_path_factory.mktemp("calibration") / "calibration.yaml"
    path.write_text(CALIBRATION)
    before = dict(os.environ)
    os.environ.update(isolated_environment())
    options = [
        "device:=/dev/video0",
        "capture_width:=640",
        "capture_height:=480",
        f"camera_info_url:=file://{path}",
    ]
    rclpy.init(args=["--ros-args", *(word for option in options for word in ("-p", option))])
    camera = VirtualCamera(CameraBehaviour(unplugged_s=UNPLUGGED_S, back_s=BACK_S))
    driver, listener = GelSightDriver(camera.open), rclpy.create_node("listener")
    messages: dict[str, list[Any]] = defaultdict(list)
    for topic, kind in TOPICS.items():
        listener.create_subscription(kind, topic, messages[topic].append, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(driver)
    executor.add_node(listener)
    while time.monotonic() < camera.start_s + END_S:
        executor.spin_once(timeout_sec=0.05)
    offset_s = time.time() - time.monotonic()
    messages["ready"].append(driver.preparation.is_ready)
    driver.destroy_node()
    listener.destroy_node()
    rclpy.try_shutdown()
    os.environ.clear()
    os.environ.update(before)
    return messages, camera, offset_s


def stamps_s(messages) -> np.ndarray:
    return np.array([1e-9 * to_nanoseconds(message.header.stamp) for message in messages])


def test_images_are_stamped_within_5_ms_of_the_true_capture(received):
    messages, camera, offset_s = received
    stamps = stamps_s(messages["image_raw"]) - offset_s
    nearest_s = np.abs(stamps[:, None] - np.array(camera.captured_s)).min(axis=1)
    assert len(stamps) > 40
    assert nearest_s.max() < 5e-3


def test_camera_info_has_the_calibration_and_the_stamp_of_its_image(received):
    messages, *_ = received
    images, infos = messages["image_raw"], messages["camera_info"]
    by_stamp = {to_nanoseconds(info.header.stamp): info for info in infos}
    matched = [by_stamp.get(to_nanoseconds(image.header.stamp)) for image in images]
    assert sum(info is not None for info in matched) >= len(images) - 1
    info = infos[0]
    assert (info.width, info.height, info.distortion_model) == (320, 240, "plumb_bob")
    np.testing.assert_array_equal(info.k, [310.5, 0, 160.2, 0, 309.8, 119.4, 0, 0, 1])
    np.testing.assert_array_equal(info.p[4:8], [0, 306, 119, 0])
    assert info.header.frame_id == images[0].header.frame_id == "gelsight_optical_frame"


def test_compressed_images_show_the_raw_ones(received):
    messages, *_ = received
    raw = {to_nanoseconds(image.header.stamp): image for image in messages["image_raw"]}
    pairs = [
        (raw[stamp_ns], image)
        for image in messages["image_raw/compressed"]
        if (stamp_ns := to_nanoseconds(image.header.stamp)) in raw
    ]
    assert len(pairs) > 20
    image, compressed = pairs[-1]
    assert compressed.format == "rgb8; jpeg compressed bgr8"
    bgr = cv2.imdecode(np.frombuffer(compressed.data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(bgr[..., ::-1].astype(int) - from_image(image)).mean() < 2.0


def test_an_unplugged_camera_is_named_and_then_used_again(received):
    messages, camera, offset_s = received
    statuses = [
        status
        for array in messages["/diagnostics"]
        for status in array.status
        if status.name == "/gelsight_driver: images"
    ]
    gone = [status for status in statuses if status.message.startswith("no camera: ")]
    assert gone
    assert gone[0].level == DiagnosticStatus.ERROR
    values = {item.key: item.value for item in statuses[-1].values}
    assert statuses[-1].message == "publishing"
    assert statuses[-1].level == DiagnosticStatus.OK
    assert values["reconnects"] == "1"
    assert values["last_loss"].startswith("the camera returns no images any more")
    assert values["stamps"] == "driver"
    assert values["mode"] == "640x480 MJPG at 25 Hz, buffers: 1"
    stamps = stamps_s(messages["image_raw"]) - offset_s - camera.start_s
    assert stamps.max() > BACK_S + 0.5


def test_the_driver_is_ready_once_the_camera_has_sent_an_image(received):
    messages, *_ = received
    assert messages["ready"] == [True]


def test_a_driver_without_a_camera_is_not_ready(monkeypatch):
    for name, value in isolated_environment().items():
        monkeypatch.setenv(name, value)
    rclpy.init(args=["--ros-args", "-p", "device:=/dev/video77"])
    driver, said = GelSightDriver(), []
    try:
        listener = rclpy.create_node("listener")
        listener.create_subscription(Readiness, "readiness", said.append, LATCHED)
        report = ReadinessReport(driver)
        executor = SingleThreadedExecutor()
        executor.add_node(driver)
        executor.add_node(listener)
        end_s = time.monotonic() + 10.0
        while not said and time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.05)
        assert [message.ready for message in said] == [False]
        assert said[0].stage == "first image of camera '/dev/video77'"
        assert driver.preparation.describe() == f"not ready: waiting for the {said[0].stage}"
        listener.destroy_node()
        assert report is not None
    finally:
        driver.destroy_node()
        rclpy.try_shutdown()


# --- calibration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("/no/scheme.yaml", "expected file:///PATH or package://NAME/PATH"),
        ("https://host/c.yaml", "expected file:///PATH"),
        ("package://no_such_package/c.yaml", "package 'no_such_package' is not installed"),
        ("file:///no/such/file.yaml", "No such file"),
    ],
)
def test_an_unusable_url_is_refused_in_one_line(url, named):
    with pytest.raises(InputError) as caught:
        CameraInfoSource(url, 0.0, "frame")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_urls_lead_to_files(monkeypatch):
    assert str(path_of("file:///home/a%20b/c.yaml")) == "/home/a b/c.yaml"
    monkeypatch.setattr(
        "tacdiff_ros.nodes.camera_calibration.get_package_share_directory",
        lambda name: f"/s/{name}",
    )
    assert str(path_of("package://rig/config/c.yaml")) == "/s/rig/config/c.yaml"


def test_two_calibrations_or_one_of_another_size_are_refused(calibration):
    with pytest.raises(InputError, match="expected one"):
        CameraInfoSource(f"file://{calibration}", 300.0, "frame")
    source = CameraInfoSource(f"file://{calibration}", 0.0, "frame")
    source.check_size(320, 240)
    with pytest.raises(InputError, match="320x240 pixels, the images have 640x480"):
        source.check_size(640, 480)


def test_a_focal_length_alone_is_a_pinhole_in_the_middle_and_none_is_uncalibrated():
    info = CameraInfoSource("", 300.0, "frame").message((240, 320, 3), Time(sec=1))
    np.testing.assert_array_equal(info.k, [300, 0, 159.5, 0, 300, 119.5, 0, 0, 1])
    assert not any(CameraInfoSource("", 0.0, "frame").message((240, 320, 3), Time()).k)
