"""Converts between `sensor_msgs/Image` and arrays.

cv_bridge is used if it is installed and works. Its binaries crash with NumPy 2 (vision_opencv,
issue 535); without it, the few encodings needed here are converted by numpy and OpenCV. So are
images with padded rows, which cv_bridge skews (its Python code assumes that a row holds a whole
number of pixels), and those marked big-endian, for which it needs a function that NumPy 2 removed.
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
CV_BRIDGE_ENCODINGS = ("rgb8", "bgr8", "mono8")
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
    """Convert an array into an image message.

    Args:
        image: (H, W, 3) uint8 RGB, sent as rgb8; (H, W) float32, sent as 32FC1; or (H, W, 3)
            float32, sent as 32FC3.
        stamp: time of the image.
        frame_id: frame of the camera.

    Returns:
        Message with a copy of the pixels.
    """
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    encoding = "rgb8" if image.dtype == np.uint8 else f"32FC{channels}"
    message = Image(height=height, width=width, encoding=encoding)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.step = width * channels * image.itemsize
    message.data = array.array("B", np.ascontiguousarray(image).tobytes())
    return message


def stamp_ns_of(data: bytes) -> int:
    """Read the header stamp of a serialised message without deserialising the rest.

    Args:
        data: serialised message whose first field is a header.

    Returns:
        Stamp, ns since the epoch.

    Raises:
        InputError: the data is too short for a header.
    """
    if len(data) < CDR_HEADER_BYTES + STAMP_BYTES:
        raise InputError(f"message of {len(data)} bytes is too short for a header")
    byte_order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{byte_order}iI", data, CDR_HEADER_BYTES)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def from_image(message: Image) -> NDArray[np.uint8]:
    """Convert an image message with any 8-bit encoding into an RGB array.

    Args:
        message: image with an encoding of `BYTE_ENCODINGS`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the image is empty or too large, its encoding is unknown, or the length of its
            data does not match its size.
    """
    _check_image(message)
    bridge = _working_cv_bridge()
    channels = BYTE_ENCODINGS[message.encoding]
    is_packed = message.step == message.width * channels and not message.is_bigendian
    if bridge is not None and is_packed and message.encoding in CV_BRIDGE_ENCODINGS:
        return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"))
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    shape = (message.height, message.width, channels)
    image = rows[:, : message.width * channels].reshape(shape)
    if message.encoding == "rgb8":
        return image
    return np.asarray(cv2.cvtColor(image, TO_RGB[message.encoding]), np.uint8)


def from_map(message: Image, channels: int) -> NDArray[np.float32]:
    """Convert an image message of floating-point values into an array.

    Args:
        message: image with the encoding 32FC1 or 32FC3.
        channels: expected number of channels, 1 or 3.

    Returns:
        (H, W) float32 for one channel, otherwise (H, W, channels) float32.

    Raises:
        InputError: the encoding differs, the image is empty or too large, or the length of its
            data does not match its size.
    """
    encoding = f"32FC{channels}"
    if message.encoding != encoding:
        raise InputError(f"map encoding is '{message.encoding[:20]}', expected {encoding}")
    _check_layout(message, 4 * channels)
    dtype = np.dtype(">f4" if message.is_bigendian else "<f4")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    values = np.ascontiguousarray(rows[:, : 4 * channels * message.width]).view(dtype)
    shape = (message.height, message.width, channels)[: 2 if channels == 1 else 3]
    return values.astype(np.float32).reshape(shape)


def _check_image(message: Image) -> None:
    if message.encoding not in BYTE_ENCODINGS:
        known = ", ".join(BYTE_ENCODINGS)
        raise InputError(f"image encoding is '{message.encoding[:20]}', expected one of {known}")
    _check_layout(message, BYTE_ENCODINGS[message.encoding])


def _check_layout(message: Image, pixel_bytes: int) -> None:
    if not (0 < message.height <= MAX_SIDE and 0 < message.width <= MAX_SIDE):
        raise InputError(
            f"image of {message.width}x{message.height} pixels; expected 1 to {MAX_SIDE} per side"
        )
    row_bytes = message.width * pixel_bytes
    if message.step < row_bytes or len(message.data) != message.step * message.height:
        raise InputError(
            f"image of {message.width}x{message.height} {message.encoding} with step "
            f"{message.step} and {len(message.data)} bytes: size, step and data do not match"
        )


@cache
def _working_cv_bridge() -> Any | None:
    """Return a cv_bridge that converts a test image correctly, or None."""
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        test = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
        message = bridge.cv2_to_imgmsg(test, "bgr8")
        works = np.array_equal(bridge.imgmsg_to_cv2(message, "rgb8"), test[..., ::-1])
    except Exception:  # an incompatible binary can raise anything, not only ImportError
        return None
    return bridge if works else None
