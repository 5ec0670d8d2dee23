"""Lists the formats and frame rates of cameras by Video4Linux ioctls, without a library.

Source of structures and numbers: Linux, include/uapi/linux/videodev2.h (API version 2, stable).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# struct v4l2_capability, _fmtdesc, _frmsizeenum, _frmivalenum
CAPABILITY, FORMAT, SIZE, INTERVAL = "16s32s32s6I", "3I32s5I", "11I", "13I"
VIDEO_CAPTURE, DEVICE_CAPS = 0x1, 0x80000000
BUFFER_TYPE_CAPTURE = 1
DISCRETE = 1
MAX_ENTRIES = 256  # entries read per list: a driver may never end its list

#: Function like `fcntl.ioctl`: fills a buffer in place, raises OSError at the end of a list.
Ioctl = Callable[[int, int, bytearray], int]


@dataclass(frozen=True)
class VideoMode:
    """One video mode of a camera.

    Attributes:
        pixel_format: four-character code, such as "MJPG".
        width: image width, px.
        height: image height, px.
        rates_hz: frame rates, Hz, highest first; empty if the driver lists none.
    """

    pixel_format: str
    width: int
    height: int
    rates_hz: tuple[float, ...]


def read_modes(device: Path) -> list[VideoMode]:
    """Return the modes of a camera; an empty list for a device without images (metadata, radio).

    Args:
        device: path of the device, such as /dev/video0.

    Raises:
        OSError: the device cannot be opened or is not a Video4Linux device.
    """
    descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        return list_modes(descriptor, fcntl.ioctl)
    finally:
        os.close(descriptor)


def list_modes(descriptor: int, ioctl: Ioctl) -> list[VideoMode]:
    """Return the modes of an open device.

    Args:
        descriptor: file descriptor of the device.
        ioctl: function that executes an ioctl on the descriptor.

    Raises:
        OSError: the device is not a Video4Linux device.
    """
    if not _captures(descriptor, ioctl):
        return []
    return [
        VideoMode(
            struct.pack("<I", pixel_format).decode("ascii", "replace").strip(),
            width,
            height,
            tuple(sorted(_rates(descriptor, ioctl, pixel_format, width, height), reverse=True)),
        )
        for pixel_format in _formats(descriptor, ioctl)
        for width, height in _sizes(descriptor, ioctl, pixel_format)
    ]


def _captures(descriptor: int, ioctl: Ioctl) -> bool:
    buffer = bytearray(struct.calcsize(CAPABILITY))
    ioctl(descriptor, _request("r", 0, CAPABILITY), buffer)
    *_, capabilities, device_caps, _r0, _r1, _r2 = struct.unpack(CAPABILITY, buffer)
    return bool((device_caps if capabilities & DEVICE_CAPS else capabilities) & VIDEO_CAPTURE)


def _formats(descriptor: int, ioctl: Ioctl) -> Iterator[int]:
    for index in range(MAX_ENTRIES):
        buffer = bytearray(struct.pack(FORMAT, index, BUFFER_TYPE_CAPTURE, 0, b"", *[0] * 5))
        try:
            ioctl(descriptor, _request("rw", 2, FORMAT), buffer)
        except OSError:
            return
        yield struct.unpack(FORMAT, buffer)[4]


def _sizes(descriptor: int, ioctl: Ioctl, pixel_format: int) -> Iterator[tuple[int, int]]:
    """Yield every size of a discrete list, or the smallest and the largest size of a range."""
    for index in range(MAX_ENTRIES):
        buffer = bytearray(struct.pack(SIZE, index, pixel_format, *[0] * 9))
        try:
            ioctl(descriptor, _request("rw", 74, SIZE), buffer)
        except OSError:
            return
        _, _, kind, first, second, _, low, high, *_ = struct.unpack(SIZE, buffer)
        if kind == DISCRETE:
            yield first, second
            continue
        yield first, low
        yield second, high
        return


def _rates(
    descriptor: int, ioctl: Ioctl, pixel_format: int, width: int, height: int
) -> Iterator[float]:
    """Yield every rate of a discrete list, or the highest rate of a range."""
    for index in range(MAX_ENTRIES):
        head = (index, pixel_format, width, height)
        buffer = bytearray(struct.pack(INTERVAL, *head, *[0] * 9))
        try:
            ioctl(descriptor, _request("rw", 75, INTERVAL), buffer)
        except OSError:
            return
        kind, numerator, denominator = struct.unpack(INTERVAL, buffer)[4:7]
        if numerator:
            yield denominator / numerator
        if kind != DISCRETE:
            return


def _request(direction: str, number: int, layout: str) -> int:
    """Return the number of an ioctl (Linux, include/uapi/asm-generic/ioctl.h)."""
    bits = ("w" in direction) << 30 | ("r" in direction) << 31
    return bits | struct.calcsize(layout) << 16 | ord("V") << 8 | number
