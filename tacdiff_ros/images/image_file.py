"""Reads image files; the size in their header is checked before anything is decoded.

PNG, JPEG, BMP and TIFF by their content, whatever the name says. OpenCV decodes only what its
header keeps small: an image of 60 000 x 60 000 pixels fits into a few kilobytes of file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable, read_bytes

MAX_FILE_BYTES = 64 * 2**20
MAX_SIDE_PX = 4096
MAX_DECODED_BYTES = 8 * MAX_SIDE_PX**2  # four channels of 16 bits
MAX_JPEG_SCANS = 64  # progressive files have about ten, each decoded over the whole image
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
PNG_FRAME_BYTES = 12  # of a chunk: length, kind and checksum
JPEG_MAGIC = b"\xff\xd8\xff"
START_OF_SCAN = b"\xff\xda"
# Markers of a JPEG file that tell its size (ITU-T T.81, table B.1), and those without a length.
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
TIFF_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS, TIFF_SAMPLES = 256, 257, 258, 277
TIFF_TILE_WIDTH, TIFF_TILE_HEIGHT = 322, 323
TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}
MAX_TIFF_TAGS = 512


@dataclass(frozen=True)
class ImageHeader:
    """What an image file says of itself.

    Attributes:
        width_px: columns of pixels.
        height_px: rows of pixels.
        bytes_per_pixel: as stored, all channels together.
    """

    width_px: int
    height_px: int
    bytes_per_pixel: float


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB.

    Python reads the file: OpenCV 5 ends with a segmentation fault on a name that is no UTF-8 text.

    Raises:
        InputError: the file is missing, not a regular file, no PNG, JPEG, BMP or TIFF image, or has
            more than `MAX_SIDE_PX` pixels along a side.
    """
    encoded = read_bytes(path, "image", MAX_FILE_BYTES)
    return decode_image(encoded, printable(path))


def decode_image(encoded: bytes, origin: str) -> NDArray[np.uint8]:
    """The bytes of an image file as (H, W, 3) uint8 RGB.

    Args:
        encoded: content of the file.
        origin: name for messages.

    Raises:
        InputError: as in `read_image`.
    """
    check_header(encoded, origin)
    if encoded.startswith(PNG_MAGIC):
        encoded = _needed_chunks(encoded)
    try:
        frame = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):
        frame = None
    if frame is None:
        raise InputError(f"{origin} is no image that OpenCV can read")
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def check_header(encoded: bytes, origin: str) -> None:
    """Raise an InputError unless an image's header promises a size that may be decoded."""
    try:
        header = image_header(encoded)
    except (struct.error, IndexError, ValueError):
        header = None
    if header is None:
        raise InputError(
            f"{origin} is no image that OpenCV can read: expected a whole PNG, JPEG, BMP or TIFF"
        )
    width, height = header.width_px, header.height_px
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise InputError(
            f"{origin} has sides of {width} x {height} pixels, expected 1 to {MAX_SIDE_PX}"
        )
    if width * height * header.bytes_per_pixel > MAX_DECODED_BYTES:
        raise InputError(
            f"{origin} has {header.bytes_per_pixel:g} bytes a pixel, over {MAX_DECODED_BYTES} in "
            "all: save it with 8 bits a colour"
        )
    if encoded.startswith(JPEG_MAGIC) and encoded.count(START_OF_SCAN) > MAX_JPEG_SCANS:
        raise InputError(f"{origin} has over {MAX_JPEG_SCANS} scans: save it as PNG")


def image_header(encoded: bytes) -> ImageHeader | None:
    """Size of a PNG, JPEG, BMP or TIFF image by its header; None for anything else.

    Raises:
        struct.error, IndexError, ValueError: the header is cut short.
    """
    if encoded.startswith(PNG_MAGIC):
        return _png_header(encoded)
    if encoded.startswith(JPEG_MAGIC):
        return _jpeg_header(encoded)
    if encoded.startswith(b"BM"):
        return _bmp_header(encoded)
    order = TIFF_ORDERS.get(encoded[:4])
    return None if order is None else _tiff_header(encoded, order)


def _png_header(encoded: bytes) -> ImageHeader | None:
    """PNG specification, section 11.2.2."""
    if encoded[8:16] != b"\x00\x00\x00\rIHDR":
        return None
    width, height, depth, color = struct.unpack_from(">IIBB", encoded, 16)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(color, 4)
    return ImageHeader(width, height, channels * depth / 8)


def _needed_chunks(encoded: bytes) -> bytes:
    """A PNG file without chunks that its pixels do not need, and without what is cut short.

    OpenCV allocates what a chunk says to be its length before it reads any of it, and unpacks
    texts and colour profiles of any size.
    """
    parts = [PNG_MAGIC]
    at = len(PNG_MAGIC)
    while at + PNG_FRAME_BYTES <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, at)
        end = at + PNG_FRAME_BYTES + length
        if end > len(encoded):
            break
        if kind in PNG_CHUNKS:
            parts.append(encoded[at:end])
        at = end
    return b"".join(parts)


def _jpeg_header(encoded: bytes) -> ImageHeader | None:
    """ITU-T T.81, annex B; the largest frame where a file has several."""
    found = None
    at = 2
    while at + 4 <= len(encoded):
        if encoded[at] != 0xFF:
            return found
        marker = encoded[at + 1]
        if marker == 0xFF or marker in JPEG_BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", encoded, at + 4)
            frame = ImageHeader(width, height, channels * bits / 8)
            if found is None or width * height > found.width_px * found.height_px:
                found = frame
        if marker == START_OF_SCAN[1] or marker == 0xD9:
            return found
        at += 2 + struct.unpack_from(">H", encoded, at + 2)[0]
    return found


def _bmp_header(encoded: bytes) -> ImageHeader:
    """BITMAPCOREHEADER or one of its successors; rows from the top have a height below 0."""
    (size,) = struct.unpack_from("<I", encoded, 14)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", encoded, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", encoded, 18)
    return ImageHeader(width, abs(height), bits / 8)


def _tiff_header(encoded: bytes, order: str) -> ImageHeader:
    """TIFF 6.0, section 2; the first of its images, tiles included."""
    (start,) = struct.unpack_from(f"{order}I", encoded, 4)
    tags = dict(_tiff_tags(encoded, order, start))
    width, height = tags.get(TIFF_WIDTH, 0), tags.get(TIFF_HEIGHT, 0)
    bits, samples = tags.get(TIFF_BITS, 1), tags.get(TIFF_SAMPLES, 1)
    tile = max(tags.get(TIFF_TILE_WIDTH, 0), tags.get(TIFF_TILE_HEIGHT, 0))
    if tile > MAX_SIDE_PX:
        return ImageHeader(tile, tile, samples * bits / 8)
    return ImageHeader(width, height, samples * bits / 8)


def _tiff_tags(encoded: bytes, order: str, start: int) -> Iterator[tuple[int, int]]:
    """Numbers of an image file directory; of several values the largest."""
    (count,) = struct.unpack_from(f"{order}H", encoded, start)
    if count > MAX_TIFF_TAGS:
        raise ValueError(f"{count} tags")
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", encoded, entry)
        if kind not in TIFF_NUMBERS or not 1 <= values <= 16:
            continue
        letter = TIFF_NUMBERS[kind]
        inside = struct.calcsize(letter) * values <= 4
        at = entry + 8 if inside else struct.unpack_from(f"{order}I", encoded, entry + 8)[0]
        yield tag, max(struct.unpack_from(f"{order}{values}{letter}", encoded, at))
