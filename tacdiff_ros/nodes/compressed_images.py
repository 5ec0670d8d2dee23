"""Publishes compressed images beside a raw topic, as image_transport does for nodes in C++."""

from __future__ import annotations

import array
import logging
import queue
import threading
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from tacdiff_ros.exception_log import log_exception
from tacdiff_ros.nodes.qos import RELIABLE_IMAGES

log = logging.getLogger(__name__)


class CompressedImages:
    """Topic `<raw topic>/compressed`, compressed in a thread of its own while it is subscribed to.

    An image that comes while another one waits is left out, so that the raw images keep their
    rate.
    """

    def __init__(self, node: Node, raw_topic: str, image_format: str, jpeg_quality: int) -> None:
        """Start the thread.

        Args:
            node: node that publishes.
            raw_topic: name of the raw topic.
            image_format: "jpeg" or "png".
            jpeg_quality: quality of JPEG images, 1 to 100.
        """
        self._publisher = node.create_publisher(
            CompressedImage, f"{raw_topic}/compressed", RELIABLE_IMAGES
        )
        self._ending = ".jpg" if image_format == "jpeg" else ".png"
        self._options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if image_format == "jpeg" else []
        self._format = f"rgb8; {image_format} compressed bgr8"
        self._waiting: queue.Queue[tuple[NDArray[np.uint8], Any] | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._compress, name="compressed", daemon=True)
        self._thread.start()

    def publish(self, image: NDArray[np.uint8], header: Any) -> None:
        """Hand over an image; does nothing without subscribers.

        Args:
            image: (H, W, 3) uint8 RGB image, which the caller does not change any more.
            header: header of the raw image.
        """
        if self._publisher.get_subscription_count() == 0 or self._waiting.full():
            return
        self._waiting.put((image, header))

    def close(self) -> None:
        """End the thread."""
        self._waiting.put(None)
        self._thread.join(timeout=2.0)

    def _compress(self) -> None:
        while (job := self._waiting.get()) is not None:
            image, header = job
            try:
                bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
                is_valid, data = cv2.imencode(self._ending, bgr, self._options)
                if is_valid:
                    message = CompressedImage(header=header, format=self._format)
                    message.data = array.array("B", data.tobytes())
                    self._publisher.publish(message)
            except Exception as error:  # the thread must continue
                log_exception(log, "compressing an image failed", error)
