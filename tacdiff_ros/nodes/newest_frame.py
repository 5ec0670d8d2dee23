"""Stores the newest frame of the sensor, for requests that contain no image."""

from __future__ import annotations

import time

from rclpy.node import Node
from sensor_msgs.msg import Image

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.qos import SENSOR_IMAGES

STALE_S = 1.0


class NewestFrame:
    """Last message of an image topic.

    Attributes:
        message: newest image; None before the first one.
    """

    def __init__(self, node: Node, topic: str = "image_raw", own_subscription: bool = True) -> None:
        """Start without an image.

        Args:
            node: node that receives the images.
            topic: name of the topic.
            own_subscription: whether to subscribe to the topic; a node that subscribes already
                passes its images to `store`, because a second subscription costs time per image.
        """
        self.message: Image | None = None
        self._received_s = 0.0
        self._topic = node.resolve_topic_name(topic)
        if own_subscription:
            node.create_subscription(Image, topic, self.store, SENSOR_IMAGES)

    def or_newest(self, message: Image) -> Image:
        """Return the image of a request, or the newest frame if that image is empty.

        Args:
            message: image of a request; width 0 if the request contains none.

        Returns:
            Image to process.

        Raises:
            InputError: the message is empty and no frame arrived within `STALE_S`.
        """
        if message.width > 0:
            return message
        if self.message is None or time.monotonic() - self._received_s > STALE_S:
            raise InputError(
                f"the request contains no image, and none came on {self._topic} "
                f"within {STALE_S:g} s: is the driver on?"
            )
        return self.message

    def store(self, message: Image) -> None:
        """Store a received frame as the newest one."""
        self.message, self._received_s = message, time.monotonic()
