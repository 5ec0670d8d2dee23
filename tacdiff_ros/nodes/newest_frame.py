"""The newest frame of the sensor, for requests that bring no image."""

from __future__ import annotations

import time

from rclpy.node import Node
from sensor_msgs.msg import Image

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.qos import SENSOR_IMAGES

STALE_S = 1.0


class NewestFrame:
    """Keeps the last message of `image_raw`."""

    def __init__(self, node: Node, own_subscription: bool = True) -> None:
        """Subscribe, or be told of images by `keep`: taking in an image twice costs time."""
        self.message: Image | None = None
        self._came = 0.0
        self._topic = node.resolve_topic_name("image_raw")
        if own_subscription:
            node.create_subscription(Image, "image_raw", self.keep, SENSOR_IMAGES)

    def unless(self, message: Image) -> Image:
        """A request's message, or the newest frame where that is empty.

        Raises:
            InputError: neither is there.
        """
        if message.width > 0:
            return message
        if self.message is None or time.monotonic() - self._came > STALE_S:
            raise InputError(
                f"the request holds no image, and none came on {self._topic} "
                f"within {STALE_S:g} s: is the driver on?"
            )
        return self.message

    def keep(self, message: Image) -> None:
        """A frame came."""
        self.message, self._came = message, time.monotonic()
