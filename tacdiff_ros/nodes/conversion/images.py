"""Images as `sensor_msgs/Image` and as arrays.

cv_bridge is used where it is installed and works; its binaries crash with NumPy 2 (vision_opencv,
issue 535), and the few encodings needed here are rows of bytes.
"""

from __future__ import annotations

import array
import struct
from functools import cache
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from tacdiff_ros.errors import InputError

BYTE_ENCODINGS = {"rgb8": 3, "bgr8": 3, "8UC3": 3, "mono8": 1, "8UC1": 1, "rgba8": 4, "bgra8": 4}
TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,  # by OpenCV's convention
    "mono8": cv2.COLOR_GRAY2RGB,
    "8UC1": cv2.COLOR_GRAY2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
}
MAX_SIDE = 8192
CDR_HEADER_BYTES, STAMP_BYTES = 4, 8


def to_image(image: NDArray[Any], stamp: Time, frame_id: str) -> Image:
    """Message of an array: (H, W, 3) uint8 as rgb8, (H, W) float32 as 32FC1, (H, W, 3) as 32FC3."""
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    encoding = "rgb8" if image.dtype == np.uint8 else f"32FC{channels}"
    message = Image(height=height, width=width, encoding=encoding)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.step = width * channels * image.itemsize
    message.data = array.array("B", np.ascontiguousarray(image).tobytes())
    return message


def stamp_ns_of(data: bytes) -> int:
    """The header stamp of a serialised message that begins with one, the rest unread.

    Raises:
        InputError: the data is too short for one.
    """
    if len(data) < CDR_HEADER_BYTES + STAMP_BYTES:
        raise InputError(f"a message of {len(data)} bytes has no header")
    order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", data, CDR_HEADER_BYTES)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def from_image(message: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB from any 8-bit encoding.

    Raises:
        InputError: empty or oversized image, unknown encoding, or too little data for its size.
    """
    _check_size(message)
    bridge = _working_cv_bridge()
    if bridge is not None and message.encoding in ("rgb8", "bgr8", "mono8"):
        return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"))
    channels = BYTE_ENCODINGS[message.encoding]
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    shape = (message.height, message.width, channels)
    image = rows[:, : message.width * channels].reshape(shape)
    if message.encoding == "rgb8":
        return image
    return np.asarray(cv2.cvtColor(image, TO_RGB[message.encoding]), np.uint8)


def from_map(message: Image, channels: int) -> NDArray[np.float32]:
    """(H, W, channels) float32 from 32FC1 or 32FC3; (H, W) for one channel.

    Raises:
        InputError: another encoding, empty or oversized, or too little data for its size.
    """
    encoding = f"32FC{channels}"
    if message.encoding != encoding:
        raise InputError(f"map encoding is '{message.encoding[:20]}', expected {encoding}")
    _check_layout(message, 4 * channels)
    kind = np.dtype(">f4" if message.is_bigendian else "<f4")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    values = np.ascontiguousarray(rows[:, : 4 * channels * message.width]).view(kind)
    shape = (message.height, message.width, channels)[: 2 if channels == 1 else 3]
    return values.astype(np.float32).reshape(shape)


def _check_size(message: Image) -> None:
    if message.encoding not in BYTE_ENCODINGS:
        known = ", ".join(BYTE_ENCODINGS)
        raise InputError(f"image encoding '{message.encoding[:20]}' is not one of {known}")
    _check_layout(message, BYTE_ENCODINGS[message.encoding])


def _check_layout(message: Image, pixel_bytes: int) -> None:
    if not (0 < message.height <= MAX_SIDE and 0 < message.width <= MAX_SIDE):
        raise InputError(
            f"image of {message.width}x{message.height} pixels; expected 1 to {MAX_SIDE} a side"
        )
    needed = message.width * pixel_bytes
    if message.step < needed or len(message.data) != message.step * message.height:
        raise InputError(
            f"image of {message.width}x{message.height} {message.encoding} with step "
            f"{message.step} and {len(message.data)} bytes: these do not agree"
        )


@cache
def _working_cv_bridge() -> Any | None:
    """A cv_bridge that converts a test image rightly, or None."""
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        test = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
        message = bridge.cv2_to_imgmsg(test, "bgr8")
        works = np.array_equal(bridge.imgmsg_to_cv2(message, "rgb8"), test[..., ::-1])
    except Exception:  # a broken binary raises anything from ImportError on
        return None
    return bridge if works else None
