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

    def __init__(self, node: Node) -> None:
        """Subscribe."""
        self.message: Image | None = None
        self._came = 0.0
        self._subscription = node.create_subscription(
            Image, "image_raw", self._on_image, SENSOR_IMAGES
        )

    def unless(self, message: Image) -> Image:
        """A request's message, or the newest frame where that is empty.

        Raises:
            InputError: neither is there.
        """
        if message.width > 0:
            return message
        if self.message is None or time.monotonic() - self._came > STALE_S:
            raise InputError(
                f"the request holds no image, and none came on {self._subscription.topic_name} "
                f"within {STALE_S:g} s: is the driver on?"
            )
        return self.message

    def _on_image(self, message: Image) -> None:
        self.message, self._came = message, time.monotonic()
