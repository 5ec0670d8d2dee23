"""Converts between `sensor_msgs/Image` and arrays.

cv_bridge is used if it is installed and works. Its binaries crash with NumPy 2 (vision_opencv,
issue 535); without it, and for all other encodings, the decoder of bags is used. So it is for
images with padded rows, which cv_bridge skews (its Python code assumes that a row holds a whole
number of pixels), and those marked big-endian, for which it needs a function that NumPy 2 removed.
"""

from __future__ import annotations

import array
import struct
from functools import cache
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import Crop
from tacdiff_ros.images.image_message import check_layout, decode_raw_image

CV_BRIDGE_PIXEL_BYTES = {"rgb8": 3, "bgr8": 3, "mono8": 1}
CDR_HEADER_BYTES, STAMP_BYTES = 4, 8


def to_image(image: NDArray[Any], stamp: Time, frame_id: str) -> Image:
    """Convert an array into an image message.

    Args:
        image: (H, W, 3) uint8 RGB, sent as rgb8; (H, W) uint8, sent as mono8; (H, W) float32, sent
            as 32FC1; or (H, W, 3) float32, sent as 32FC3.
        stamp: time of the image.
        frame_id: frame of the camera.

    Returns:
        Message with a copy of the pixels.
    """
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    encoding = f"32FC{channels}"
    if image.dtype == np.uint8:
        encoding = "rgb8" if channels == 3 else "mono8"
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


def from_frame(message: Image, crop: Crop) -> NDArray[np.uint8]:
    """Convert an image message, and crop and reduce it if it is a camera's whole frame.

    Args:
        message: image with an encoding of `image_message.ENCODINGS`.
        crop: crop of whole frames.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: see `from_image`.
    """
    return crop.reduce(from_image(message), "the image")


def from_image(message: Image) -> NDArray[np.uint8]:
    """Convert an image message with any 8-bit encoding into an RGB array.

    Args:
        message: image with an encoding of `image_message.ENCODINGS`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the image is empty or too large, its encoding is unknown, or the length of its
            data does not match its size.
    """
    bridge = _working_cv_bridge()
    pixel_bytes = CV_BRIDGE_PIXEL_BYTES.get(message.encoding)
    if bridge is None or pixel_bytes is None:
        return decode_raw_image(message)
    if message.step != message.width * pixel_bytes or message.is_bigendian:
        return decode_raw_image(message)
    check_layout(message, pixel_bytes)
    return np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"))


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
    check_layout(message, 4 * channels)
    dtype = np.dtype(">f4" if message.is_bigendian else "<f4")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    values = np.ascontiguousarray(rows[:, : 4 * channels * message.width]).view(dtype)
    shape = (message.height, message.width, channels)[: 2 if channels == 1 else 3]
    return values.astype(np.float32).reshape(shape)


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
