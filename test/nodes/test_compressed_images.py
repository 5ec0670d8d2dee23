"""Compression runs beside the raw stream, and only for subscribers."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

import cv2
from std_msgs.msg import Header

from tacdiff_ros.nodes import compressed_images
from tacdiff_ros.nodes.compressed_images import CompressedImages

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


class Publisher:
    """Stands in for a node and its publisher."""

    def __init__(self, subscribers: int) -> None:
        self.subscribers, self.sent, self.topic = subscribers, [], ""

    def create_publisher(self, _kind, topic, _qos):
        self.topic = topic
        return self

    def get_subscription_count(self) -> int:
        return self.subscribers

    def publish(self, message) -> None:
        self.sent.append(message)


def test_a_slow_compression_does_not_hold_up_the_raw_images(monkeypatch):
    encode = cv2.imencode

    def slow(*arguments):
        time.sleep(0.1)
        return encode(*arguments)

    monkeypatch.setattr(compressed_images.cv2, "imencode", slow)
    publisher = Publisher(subscribers=1)
    images = CompressedImages(publisher, "image_raw", "png", 95)
    begin_s = time.monotonic()
    for number in range(10):
        images.publish(IMAGE, Header(frame_id=str(number)))
    assert time.monotonic() - begin_s < 0.05
    images.close()
    assert publisher.topic == "image_raw/compressed"
    assert 1 <= len(publisher.sent) <= 3
    decoded = cv2.imdecode(np.frombuffer(publisher.sent[0].data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded[..., ::-1], IMAGE)  # PNG loses nothing
    assert publisher.sent[0].header.frame_id == "0"


def test_without_subscribers_nothing_is_compressed(monkeypatch):
    monkeypatch.setattr(compressed_images.cv2, "imencode", lambda *_: pytest.fail("compressed"))
    publisher = Publisher(subscribers=0)
    images = CompressedImages(publisher, "image_raw", "jpeg", 95)
    images.publish(IMAGE, Header())
    images.close()
    assert publisher.sent == []
