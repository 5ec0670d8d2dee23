"""Where tactile images come from: a camera, a video file or a folder of images."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import MAX_SIDE_PX, read_image
from tacdiff_ros.input_files import one_line, open_input, printable

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VIDEO_DEVICES = Path("/sys/class/video4linux")
# A GelSight Mini's camera sees its housing; the maker's software cuts a seventh off each side.
BORDER_FRACTION = 1.0 / 7.0
IMAGE_SIZE = (320, 240)
MAX_FRAME_COUNT = 1e8  # containers without a header give nonsense
MAX_VIDEO_BYTES = 2**40
# Position and bytes at which containers are known: AVI, MP4 and QuickTime, Matroska and WebM.
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
    """Something that gives one image after another."""

    def read(self) -> NDArray[np.uint8] | None:
        """Next image (H, W, 3) uint8 RGB; None at the end of a source that ends.

        Raises:
            CameraLostError: the camera does not answer any more.
        """

    def close(self) -> None:
        """Let go of the device or file."""


class CameraLostError(RuntimeError):
    """The camera was unplugged or does not answer."""


class VideoFrames:
    """Frames of a video file."""

    def __init__(self, path: Path, loop: bool) -> None:
        """Open the file.

        Raises:
            InputError: the file is missing or no video.
        """
        if not path.exists():
            raise InputError(f"no video at {printable(path)}: give an existing file")
        name = _utf8(path)
        _check_container(path)
        self._name, self._loop = printable(path), loop
        self._capture = cv2.VideoCapture(name)
        if not self._capture.isOpened():
            raise InputError(f"{printable(path)} is no video that OpenCV can read")
        sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
        width, height = (int(self._capture.get(side)) for side in sides)
        if max(width, height) > MAX_SIDE_PX:
            self._capture.release()
            raise InputError(
                f"{printable(path)} has frames of {width} x {height} pixels, expected up to "
                f"{MAX_SIDE_PX} each way"
            )
        self._frames = 0
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        #: Number of frames by the file's header; None where it has none.
        self.frame_count: int | None = int(count) if 0 < count < MAX_FRAME_COUNT else None

    def read(self) -> NDArray[np.uint8] | None:
        """Next frame, from the start again when looping.

        Raises:
            InputError: the file is damaged.
        """
        try:
            good, frame = self._capture.read()
            if not good and self._loop and self._frames > 0:
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                good, frame = self._capture.read()
        except cv2.error as error:
            raise InputError(
                f"{self._name} is damaged after {self._frames} frames ({one_line(error)})"
            ) from error
        if not good:
            return None
        self._frames += 1
        return _to_rgb(frame)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class FolderFrames:
    """Images of a folder in the order of their names, numbers in them counted as numbers."""

    def __init__(self, folder: Path, loop: bool) -> None:
        """List the images, in subfolders too.

        Raises:
            InputError: the folder has no image.
        """
        found = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS]
        if not found:
            raise InputError(f"no image in {folder}: expected {', '.join(IMAGE_ENDINGS)}")
        self._paths = sorted(found, key=_natural_order)
        self.frame_count: int | None = len(found)
        self._loop = loop
        self._next = 0

    def read(self) -> NDArray[np.uint8] | None:
        """Next image, from the start again when looping.

        Raises:
            InputError: a file is no image.
        """
        if self._next >= len(self._paths) and not self._loop:
            return None
        path = self._paths[self._next % len(self._paths)]
        self._next += 1
        return read_image(path)

    def close(self) -> None:
        """Nothing to let go of."""


class CameraFrames:
    """Images of a UVC camera, cropped and resized as a GelSight Mini needs."""

    def __init__(
        self,
        device: str,
        size: tuple[int, int] = IMAGE_SIZE,
        border_fraction: float = BORDER_FRACTION,
        open_capture: Callable[[int | str], Any] | None = None,
    ) -> None:
        """Open a camera.

        Args:
            device: "/dev/video2", a number, or part of the camera's name ("GelSight Mini").
            size: width and height of the images in pixels.
            border_fraction: cut off each side.
            open_capture: opens an OpenCV capture; None for OpenCV itself.

        Raises:
            CameraLostError: no such camera, or it does not open.
        """
        self._size = size
        self._border = border_fraction
        self._capture = (open_capture or cv2.VideoCapture)(find_camera(device))
        if not self._capture.isOpened():
            raise CameraLostError(f"camera '{device}' does not open: is it used by a program?")

    def read(self) -> NDArray[np.uint8]:
        """Next image.

        Raises:
            CameraLostError: the camera gives none.
        """
        good, frame = self._capture.read()
        if not good:
            raise CameraLostError("the camera gives no images any more")
        return crop_and_resize(_to_rgb(frame), self._size, self._border)

    def close(self) -> None:
        """Let go of the device."""
        self._capture.release()


def find_camera(device: str, listing: Path = VIDEO_DEVICES) -> int | str:
    """What OpenCV opens for a device path, a number or part of a camera's name.

    Raises:
        CameraLostError: no camera has such a name; the message lists those that there are.
    """
    if device.isdecimal():
        return int(device)
    if device.startswith("/"):
        return device
    names: dict[str, str] = {}
    for entry in sorted(listing.glob("video*"), key=_natural_order):
        with suppress(OSError):  # unplugged meanwhile
            names[entry.name] = (entry / "name").read_text(encoding="utf-8").strip()
    for node, name in names.items():
        if device.lower() in name.lower():
            return f"/dev/{node}"
    present = ", ".join(f"/dev/{node} ({name})" for node, name in names.items()) or "none"
    raise CameraLostError(f"no camera with '{device}' in its name; cameras: {present}")


def crop_and_resize(
    image: NDArray[np.uint8], size: tuple[int, int], border_fraction: float
) -> NDArray[np.uint8]:
    """Cut a fraction off each side of (H, W, 3) and resize to (width, height) by area."""
    height, width = image.shape[:2]
    x, y = int(width * border_fraction), int(height * border_fraction)
    inner = image[y : height - y, x : width - x]
    return np.asarray(cv2.resize(inner, size, interpolation=cv2.INTER_AREA), np.uint8)


def open_frames(source: str, loop: bool) -> VideoFrames | FolderFrames:
    """Video file or image folder by its path.

    Raises:
        InputError: the path does not exist or holds no images.
    """
    try:
        path = Path(source).expanduser()
        is_folder = path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # `~nobody`, or a NUL character
        raise InputError(f"cannot read {printable(source)}: {error}") from error
    if is_folder:
        return FolderFrames(path, loop)
    return VideoFrames(path, loop)


def _check_container(path: Path) -> None:
    """Refuse what is no video file: FFmpeg would follow playlists to other files and hosts."""
    with open_input(path, "video", MAX_VIDEO_BYTES) as opened:
        start = opened.read(12)
    if not any(start[at : at + len(magic)] == magic for at, magic in VIDEO_MAGIC):
        raise InputError(
            f"{printable(path)} is no video that OpenCV can read: expected AVI, MP4, QuickTime, "
            "Matroska or WebM"
        )


def _utf8(path: Path) -> str:
    """A path for OpenCV, which opens videos by UTF-8 names alone."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        name = os.fsencode(path).decode("utf-8", "replace")
        raise InputError(f"the name of {name} is no UTF-8 text: rename the file") from error
    return str(path)


def _to_rgb(frame: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def _natural_order(path: Path) -> list[tuple[int, str]]:
    parts = "".join(c if c.isdecimal() else f" {c} " for c in str(path)).split()
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
