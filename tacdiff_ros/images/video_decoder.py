"""Decodes a video in a process of its own: a damaged file can crash FFmpeg, but not its caller.

    python video_decoder.py FILE loop|once

Writes records to stdout: two uint32 (kind or height, size or width), then bytes. Height 0 ends the
stream; `ERROR` is followed by a message; the first record is the number of frames in the header.
"""

from __future__ import annotations

import resource
import struct
import sys
from typing import BinaryIO

del sys.path[0]  # this folder, whose modules must not hide others

import cv2  # noqa: E402

RECORD = struct.Struct("<II")
ERROR = 0xFFFFFFFF
MAX_PIXELS, MAX_SIDE_PX = 12_000_000, 4096  # cameras of GelSight sensors have 8 million pixels
MAX_ADDRESS_SPACE_BYTES = 3 * 2**30
MAX_FRAME_COUNT = 1e8  # OpenCV returns meaningless counts for containers without a header


def main() -> int:
    """Decode the file named on the command line; the exit status is 0 even if it is refused."""
    path, loop = sys.argv[1], sys.argv[2] == "loop"
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE_BYTES, MAX_ADDRESS_SPACE_BYTES))
    try:
        _decode(path, loop, sys.stdout.buffer)
    except BrokenPipeError:  # the reader has closed the video
        return 0
    except (ValueError, MemoryError, cv2.error) as error:
        message = " ".join(str(error).split()).encode()[:500] or b"not enough memory"
        sys.stdout.buffer.write(RECORD.pack(ERROR, len(message)) + message)
    sys.stdout.flush()
    return 0


def _decode(path: str, loop: bool, output: BinaryIO) -> None:
    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        raise ValueError("is no video that OpenCV can read")
    sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
    width, height = (int(capture.get(side)) for side in sides)
    _check_size(width, height)
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    output.write(RECORD.pack(0, int(count) if 0 < count < MAX_FRAME_COUNT else 0))
    frames = 0
    while True:
        is_valid, frame = capture.read()
        if not is_valid and loop and frames > 0:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            is_valid, frame = capture.read()
        if not is_valid:
            output.write(RECORD.pack(0, 0))
            return
        frames += 1
        height, width = frame.shape[:2]
        _check_size(width, height)  # a stream may change its size
        grey = frame.ndim == 2
        rgb = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB)
        output.write(RECORD.pack(height, width))
        output.write(rgb.data)
        output.flush()


def _check_size(width: int, height: int) -> None:
    """Raise ValueError for frames that are larger than any sensor's."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        raise ValueError(
            f"has frames of {width} x {height} pixels, expected up to {MAX_SIDE_PX} each way and "
            f"{MAX_PIXELS} in all"
        )


if __name__ == "__main__":
    raise SystemExit(main())
