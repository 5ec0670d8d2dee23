"""Reading of image files, whose header is checked before anything is decoded.

PNG, JPEG, BMP and TIFF are recognized by their content, not their name. Only images with a small
size in their header are decoded, because a file of a few kilobytes can expand to 60 000 x 60 000
pixels.
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
MAX_JPEG_SCANS = 64  # progressive files have about ten; decoding time grows with their number
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
PNG_FRAME_BYTES = 12  # length, type and checksum of a chunk
JPEG_MAGIC = b"\xff\xd8\xff"
START_OF_SCAN = b"\xff\xda"
# Marker codes of JPEG segments that contain the image size, and of segments without a length field
# (ITU-T T.81, table B.1).
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
TIFF_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS, TIFF_SAMPLES = 256, 257, 258, 277
TIFF_TILE_WIDTH, TIFF_TILE_HEIGHT = 322, 323
TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}
MAX_TIFF_TAGS = 512


@dataclass(frozen=True)
class ImageHeader:
    """Size of an image according to the header of its file.

    Attributes:
        width_px: number of columns.
        height_px: number of rows.
        bytes_per_pixel: size of a decoded pixel with all stored channels, bytes.
    """

    width_px: int
    height_px: int
    bytes_per_pixel: float


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file.

    Python reads the file, because OpenCV 5 crashes on file names that are not UTF-8 text.

    Args:
        path: path of the file.

    Returns:
        (H, W, 3) uint8 RGB image.

    Raises:
        InputError: the file is missing, no regular file, no PNG, JPEG, BMP or TIFF image, or has
            more than `MAX_SIDE_PX` pixels along a side.
    """
    encoded = read_bytes(path, "image", MAX_FILE_BYTES)
    return decode_image(encoded, printable(path))


def decode_image(encoded: bytes, origin: str) -> NDArray[np.uint8]:
    """Decode the content of an image file.

    Args:
        encoded: content of the file.
        origin: name of the file for messages.

    Returns:
        (H, W, 3) uint8 RGB image.

    Raises:
        InputError: the content is no PNG, JPEG, BMP or TIFF image, or has more than `MAX_SIDE_PX`
            pixels along a side.
    """
    check_header(encoded, origin)
    if encoded.startswith(PNG_MAGIC):
        encoded = _needed_chunks(encoded)
    try:
        frame = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):
        frame = None
    if frame is None:
        raise InputError(f"{origin} is no image that OpenCV can read: save it again, as PNG")
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def check_header(encoded: bytes, origin: str) -> None:
    """Check that the header of an image file states a size that is safe to decode.

    Args:
        encoded: content of the file.
        origin: name of the file for messages.

    Raises:
        InputError: the header is invalid, or the image is too large.
    """
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
            f"{origin} has {header.bytes_per_pixel:g} bytes per pixel, over {MAX_DECODED_BYTES} in "
            "all: save it with 8 bits per channel"
        )
    if encoded.startswith(JPEG_MAGIC) and encoded.count(START_OF_SCAN) > MAX_JPEG_SCANS:
        raise InputError(
            f"{origin} has more than {MAX_JPEG_SCANS} progressive scans: save it as PNG"
        )


def image_header(encoded: bytes) -> ImageHeader | None:
    """Parse the header of a PNG, JPEG, BMP or TIFF image.

    Args:
        encoded: content of the file.

    Returns:
        Size of the image, or None for other files.

    Raises:
        struct.error, IndexError, ValueError: the header is truncated.
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
    """Parse the header of a PNG file (PNG specification, section 11.2.2)."""
    if encoded[8:16] != b"\x00\x00\x00\rIHDR":
        return None
    width, height, depth, color = struct.unpack_from(">IIBB", encoded, 16)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(color, 4)
    return ImageHeader(width, height, channels * depth / 8)


def _needed_chunks(encoded: bytes) -> bytes:
    """Return a PNG file reduced to the complete chunks that decoding requires.

    OpenCV allocates the length that a chunk declares before it reads the chunk, and decompresses
    texts and colour profiles of any size.
    """
    parts = [PNG_MAGIC]
    offset = len(PNG_MAGIC)
    while offset + PNG_FRAME_BYTES <= len(encoded):
        length, chunk_type = struct.unpack_from(">I4s", encoded, offset)
        end = offset + PNG_FRAME_BYTES + length
        if end > len(encoded):
            break
        if chunk_type in PNG_CHUNKS:
            parts.append(encoded[offset:end])
        offset = end
    return b"".join(parts)


def _jpeg_header(encoded: bytes) -> ImageHeader | None:
    """Parse the segments of a JPEG file up to its first scan (ITU-T T.81, annex B).

    Returns the largest frame of a file with several, or None for a file without any.
    """
    max_frame = None
    offset = 2
    while offset + 4 <= len(encoded):
        if encoded[offset] != 0xFF:
            return max_frame
        code = encoded[offset + 1]
        if code == 0xFF or code in JPEG_BARE:
            offset += 1 if code == 0xFF else 2
            continue
        if code in JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", encoded, offset + 4)
            frame = ImageHeader(width, height, channels * bits / 8)
            if max_frame is None or width * height > max_frame.width_px * max_frame.height_px:
                max_frame = frame
        if code == START_OF_SCAN[1] or code == 0xD9:
            return max_frame
        offset += 2 + struct.unpack_from(">H", encoded, offset + 2)[0]
    return max_frame


def _bmp_header(encoded: bytes) -> ImageHeader:
    """Parse a BITMAPCOREHEADER or a successor, whose height is negative for top-down rows."""
    (size,) = struct.unpack_from("<I", encoded, 14)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", encoded, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", encoded, 18)
    return ImageHeader(width, abs(height), bits / 8)


def _tiff_header(encoded: bytes, order: str) -> ImageHeader:
    """Parse the size of the first image of a TIFF file, or of its tiles (TIFF 6.0, section 2)."""
    (start,) = struct.unpack_from(f"{order}I", encoded, 4)
    tags = dict(_tiff_tags(encoded, order, start))
    width, height = tags.get(TIFF_WIDTH, 0), tags.get(TIFF_HEIGHT, 0)
    bits, samples = tags.get(TIFF_BITS, 1), tags.get(TIFF_SAMPLES, 1)
    tile = max(tags.get(TIFF_TILE_WIDTH, 0), tags.get(TIFF_TILE_HEIGHT, 0))
    if tile > MAX_SIDE_PX:
        return ImageHeader(tile, tile, samples * bits / 8)
    return ImageHeader(width, height, samples * bits / 8)


def _tiff_tags(encoded: bytes, order: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the numeric tags of an image file directory, with the largest of several values."""
    (count,) = struct.unpack_from(f"{order}H", encoded, start)
    if count > MAX_TIFF_TAGS:
        raise ValueError(f"{count} tags, expected up to {MAX_TIFF_TAGS}")
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", encoded, entry)
        if kind not in TIFF_NUMBERS or not 1 <= values <= 16:
            continue
        letter = TIFF_NUMBERS[kind]
        is_inline = struct.calcsize(letter) * values <= 4
        offset = entry + 8 if is_inline else struct.unpack_from(f"{order}I", encoded, entry + 8)[0]
        yield tag, max(struct.unpack_from(f"{order}{values}{letter}", encoded, offset))
