"""Decoding of `sensor_msgs/Image` and `sensor_msgs/CompressedImage`, live and from bags.

rosbags-image 0.10.4 is not used: it ignores `step`, so that padded rows are sheared, returns the
BGR pixels of 8UC3 as RGB, refuses 8UC1, and decodes compressed images of any size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import JPEG_MAGIC, PNG_MAGIC, decode_image, image_header
from tacdiff_ros.input_files import printable

MAX_SIDE_PX = 8192
MAX_QUOTE = 20  # characters quoted from an encoding


class ImageFields(Protocol):
    """Fields of a `sensor_msgs/Image`, of ROS or of rosbags."""

    height: int
    width: int
    encoding: str
    step: int
    data: Any


@dataclass(frozen=True)
class Encoding:
    """Layout of an image encoding with 8 bits per value.

    Attributes:
        pixel_bytes: bytes per pixel.
        to_rgb: OpenCV's conversion to RGB; None for RGB.
    """

    pixel_bytes: int
    to_rgb: int | None


# Names as in sensor_msgs/image_encodings.hpp. OpenCV names a Bayer pattern by the second row and
# the second and third column, hence BG for rggb.
ENCODINGS = {
    "rgb8": Encoding(3, None),
    "bgr8": Encoding(3, cv2.COLOR_BGR2RGB),
    "8UC3": Encoding(3, cv2.COLOR_BGR2RGB),  # by OpenCV's convention
    "mono8": Encoding(1, cv2.COLOR_GRAY2RGB),
    "8UC1": Encoding(1, cv2.COLOR_GRAY2RGB),
    "rgba8": Encoding(4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding(4, cv2.COLOR_BGRA2RGB),
    "8UC4": Encoding(4, cv2.COLOR_BGRA2RGB),
    "bayer_rggb8": Encoding(1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": Encoding(1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": Encoding(1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": Encoding(1, cv2.COLOR_BayerGB2RGB),
    "uyvy": Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": Encoding(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": Encoding(2, cv2.COLOR_YUV2RGB_YUY2),
}


def decode_raw_image(message: ImageFields) -> NDArray[np.uint8]:
    """Convert an uncompressed image message into an RGB array.

    Args:
        message: image with an encoding of `ENCODINGS`.

    Returns:
        (H, W, 3) uint8 RGB; a view of the message's data for rgb8.

    Raises:
        InputError: the image is empty or too large, its encoding is unknown, or the length of its
            data does not match its size.
    """
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise InputError(
            f"image encoding is '{printable(message.encoding[:MAX_QUOTE])}', expected one of "
            f"{', '.join(ENCODINGS)}"
        )
    check_layout(message, encoding.pixel_bytes)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    shape = (message.height, message.width, encoding.pixel_bytes)
    image = rows[:, : message.width * encoding.pixel_bytes].reshape(shape)
    if encoding.to_rgb is None:
        return image
    try:
        return np.asarray(cv2.cvtColor(image, encoding.to_rgb), np.uint8)
    except cv2.error as error:  # two pixels of YUV share their colour, four of a Bayer pattern
        raise InputError(
            f"image of {message.width}x{message.height} {message.encoding}: expected even sides"
        ) from error


def decode_compressed_image(data: Any) -> NDArray[np.uint8]:
    """Decode the data of a compressed image message.

    The colours are those of the file, which image_transport writes in the order that JPEG and PNG
    define, whatever the encoding of the original image was.

    Args:
        data: bytes of a JPEG or PNG file.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the data is neither JPEG nor PNG, is damaged, or the image is too large.
    """
    encoded = bytes(memoryview(data))
    if not encoded.startswith((JPEG_MAGIC, PNG_MAGIC)):
        raise InputError("the compressed image is neither JPEG nor PNG")
    return decode_image(encoded, "the compressed image")


def describe_compressed_image(data: Any, layout: str) -> str:
    """Return size and format of a compressed image in a few words, without decoding it.

    Args:
        data: bytes of the file.
        layout: field `format` of the message.
    """
    try:
        header = image_header(bytes(memoryview(data)))
    except (struct.error, IndexError, ValueError):
        header = None
    size = "" if header is None else f"{header.width_px} x {header.height_px} "
    return f"{size}{printable(layout[:MAX_QUOTE])}"


def check_layout(message: ImageFields, pixel_bytes: int) -> None:
    """Check that size, step and data of an image message match.

    Args:
        message: image message.
        pixel_bytes: bytes per pixel of its encoding.

    Raises:
        InputError: they do not match, or the image is empty or too large.
    """
    if not (0 < message.height <= MAX_SIDE_PX and 0 < message.width <= MAX_SIDE_PX):
        raise InputError(
            f"image of {message.width}x{message.height} pixels; expected 1 to {MAX_SIDE_PX} per "
            "side"
        )
    row_bytes = message.width * pixel_bytes
    if message.step < row_bytes or len(message.data) != message.step * message.height:
        raise InputError(
            f"image of {message.width}x{message.height} {message.encoding} with step "
            f"{message.step} and {len(message.data)} bytes: size, step and data do not match"
        )
