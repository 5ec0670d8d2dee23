"""Files as sources of tactile images: a video or a folder of images."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import open_input, printable

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VIDEO_ENDINGS = (".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v")
DECODER = Path(__file__).with_name("video_decoder.py")
RECORD, DECODER_ERROR = struct.Struct("<II"), 0xFFFFFFFF  # as in `video_decoder`
MAX_VIDEO_BYTES = 2**40
# Offset and bytes that identify the containers AVI, MP4 and QuickTime, Matroska and WebM.
VIDEO_MAGIC = (
    (8, b"AVI "),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (4, b"wide"),
    (4, b"free"),
    (0, b"\x1aE\xdf\xa3"),
)


class FrameSource(Protocol):
    """A source that returns one image after another."""

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next image.

        Returns:
            (H, W, 3) uint8 RGB image, or None after the last image of a finite source.

        Raises:
            InputError: the file is damaged.
        """

    def close(self) -> None:
        """Releases the file."""


class VideoFrames:
    """Frames of a video file, decoded by `video_decoder` in a process of its own."""

    def __init__(self, path: Path, loop: bool) -> None:
        """Open the file.

        Args:
            path: path of an AVI, MP4, QuickTime, Matroska or WebM file.
            loop: whether to start again after the last frame.

        Raises:
            InputError: the file is missing, no video, or its frames are too large.
        """
        if not path.exists():
            raise InputError(f"no video at {printable(path)}: give an existing file")
        name = _utf8(path.absolute())
        _check_container(path)
        self._name, self._frames, self._has_ended = printable(path), 0, False
        command = [sys.executable, str(DECODER), name, "loop" if loop else "once"]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        count = self._next_record()[1]
        #: Number of frames according to the file's header; None if the header lacks it.
        self.frame_count: int | None = count or None

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next frame, which is the first one again after the end of a looped video.

        Returns:
            (H, W, 3) uint8 RGB image, or None after the last frame.

        Raises:
            InputError: the file is damaged.
        """
        if self._has_ended:
            return None
        height, width = self._next_record()
        if height == 0:
            self._has_ended = True
            return None
        content = self._received(3 * height * width)
        self._frames += 1
        return np.frombuffer(content, np.uint8).reshape(height, width, 3)

    def close(self) -> None:
        """End the decoder; nothing can be read any more."""
        self._has_ended = True
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _next_record(self) -> tuple[int, int]:
        """Height and width of the next frame.

        Raises:
            InputError: the decoder refuses the file, or has crashed on it.
        """
        first, second = RECORD.unpack(self._received(RECORD.size))
        if first == DECODER_ERROR:
            message = self._received(second).decode(errors="replace")
            self.close()
            if self._frames:
                message = f"is damaged after {self._frames} frames ({message})"
            raise InputError(f"{self._name} {message}")
        return first, second

    def _received(self, size: int) -> bytes:
        """Bytes from the decoder.

        Raises:
            InputError: it has crashed.
        """
        content = self._process.stdout.read(size) if self._process.stdout is not None else b""
        if len(content) < size:
            self.close()
            raise InputError(
                f"{self._name} is damaged after {self._frames} frames, expected a complete video "
                f"(its decoder ended with code {self._process.returncode})"
            )
        return content


class FolderFrames:
    """Images of a folder, sorted by name with digits in names compared as numbers."""

    def __init__(self, folder: Path, loop: bool) -> None:
        """List the images of the folder and its subfolders.

        Args:
            folder: path of the folder.
            loop: whether to start again after the last image.

        Raises:
            InputError: the folder has no image.
        """
        paths = list(_image_paths(folder))
        if not paths:
            raise InputError(f"no image in {folder}: expected {', '.join(IMAGE_ENDINGS)}")
        self._paths = sorted(paths, key=natural_order)
        self.frame_count: int | None = len(paths)
        self._loop = loop
        self._next = 0

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next image, which is the first one again after the end of a looped folder.

        Returns:
            (H, W, 3) uint8 RGB image, or None after the last image.

        Raises:
            InputError: a file is no image.
        """
        if self._next >= len(self._paths) and not self._loop:
            return None
        path = self._paths[self._next % len(self._paths)]
        self._next += 1
        return read_image(path)

    def close(self) -> None:
        """Do nothing, because images are closed after reading."""


def open_frames(source: str, loop: bool) -> VideoFrames | FolderFrames:
    """Open a video file or a folder of images.

    Args:
        source: path of the file or folder.
        loop: whether to start again after the last image.

    Returns:
        The frame source.

    Raises:
        InputError: the path does not exist or contains no images.
    """
    try:
        path = Path(source).expanduser()
        is_folder = path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # `~nobody`, or a NUL character
        raise InputError(f"cannot read {printable(source)}: {error}") from error
    if is_folder:
        return FolderFrames(path, loop)
    return VideoFrames(path, loop)


def has_images(folder: Path) -> bool:
    """Return whether a folder or one of its subfolders has an image file, by its ending."""
    return next(_image_paths(folder), None) is not None


def image_and_video_paths(folder: Path) -> list[Path]:
    """Return the images and videos of a folder and its subfolders in natural order.

    Args:
        folder: path of the folder.

    Raises:
        InputError: it has none.
    """
    endings = (*IMAGE_ENDINGS, *VIDEO_ENDINGS)
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in endings]
    if not paths:
        raise InputError(f"no image or video in {printable(folder)}: expected {', '.join(endings)}")
    return sorted(paths, key=natural_order)


def _image_paths(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a sort key in which digits compare as numbers and precede other characters."""
    parts = "".join(c if c.isdecimal() else f" {c} " for c in str(path)).split()
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _check_container(path: Path) -> None:
    """Raise an InputError for other files, as FFmpeg follows playlists to files and hosts."""
    with open_input(path, "video", MAX_VIDEO_BYTES) as opened:
        start = opened.read(12)
    if not any(start[offset : offset + len(magic)] == magic for offset, magic in VIDEO_MAGIC):
        raise InputError(
            f"{printable(path)} is no video that OpenCV can read: expected AVI, MP4, QuickTime, "
            "Matroska or WebM"
        )


def _utf8(path: Path) -> str:
    """Return a path as text for OpenCV, which opens only videos with names in UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        name = os.fsencode(path).decode("utf-8", "replace")
        raise InputError(f"the file name {name} is not UTF-8 text: rename the file") from error
    return str(path)
