"""Images and topics of one sensor of `touch_encoder`."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import Crop
from tacdiff_ros.msg import TouchEmbedding, TouchProperties, TouchSlip
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds
from tacdiff_ros.nodes.conversion.images import from_frame
from tacdiff_ros.nodes.conversion.touch_reading import to_embedding, to_properties, to_slip
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.newest_frame import NewestFrame
from tacdiff_ros.nodes.qos import SENSOR_IMAGES
from tacdiff_ros.touch_features.touch_input import touch_image
from tacdiff_ros.touch_features.touched_sensor import TouchedSensor
from tacdiff_ros.twin.newest_worker import NewestWorker

TIMED_IMAGES = 50


class _Frame(NamedTuple):
    message: Image
    arrived_s: float


class TouchTopics:
    """Reads the newest image in a thread of its own and publishes its reading.

    Attributes:
        sensor: present touch of the sensor.
        worker: thread that reads the images.
    """

    def __init__(
        self, node: GuardedNode, prefix: str, frame_id: str, sensor: TouchedSensor, crop: Crop
    ) -> None:
        """Create the publishers and subscribe to the images.

        Args:
            node: node of the topics.
            prefix: prefix of all topics: empty, or "second/".
            frame_id: frame of the gel.
            sensor: present touch of the sensor.
            crop: crop of whole frames of the camera.
        """
        self.sensor = sensor
        self._frame, self._crop = frame_id, crop
        self._topic = f"{prefix}image_raw"
        self._newest = NewestFrame(node, self._topic, own_subscription=False)
        self._seconds: deque[float] = deque(maxlen=TIMED_IMAGES)
        self._embeddings = _publisher(node, TouchEmbedding, f"{prefix}touch_embedding")
        self._slips = _publisher(node, TouchSlip, f"{prefix}slip")
        self._properties = _publisher(node, TouchProperties, f"{prefix}touch_properties")
        self.worker: NewestWorker[_Frame] = NewestWorker(
            self._read, lambda cause: node.drop(self._topic, cause)
        )
        node.create_subscription(Image, self._topic, self._on_image, SENSOR_IMAGES)

    @property
    def latency_s(self) -> float:
        """Mean time from an image's arrival to its messages, s; 0 before the first image."""
        seconds = tuple(self._seconds)
        return sum(seconds) / max(len(seconds), 1)

    def newest_image(self) -> NDArray[np.uint8]:
        """Return the newest image in the size of the encoder, (240, 320, 3) uint8 RGB.

        Raises:
            InputError: no image came within a second, or it is unusable.
        """
        message = self._newest.or_newest(Image())
        return touch_image(from_frame(message, self._crop))

    def _on_image(self, message: Image) -> None:
        if to_nanoseconds(message.header.stamp) == 0:
            raise InputError(
                "images without a stamp (header.stamp is 0), which the motion of the gel needs: "
                "let their driver set it"
            )
        self._newest.store(message)
        self.worker.offer(_Frame(message, time.monotonic()))

    def _read(self, frame: _Frame) -> None:
        stamp = frame.message.header.stamp
        image = from_frame(frame.message, self._crop)
        result = self.sensor.read(image, 1e-9 * to_nanoseconds(stamp), frame.arrived_s)
        if result is None:
            return
        reading, slip = result
        self._slips.publish(to_slip(slip, stamp, self._frame))
        self._properties.publish(to_properties(reading, stamp, self._frame))
        self._embeddings.publish(to_embedding(reading, stamp, self._frame))
        self._seconds.append(time.monotonic() - frame.arrived_s)


def _publisher(node: Node, kind: Any, topic: str) -> Any:
    return node.create_publisher(kind, topic, 10)
