"""Images of a USB camera (UVC), cropped and resized as required for a GelSight Mini."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.images.capture_clock import CaptureClock
from tacdiff_ros.images.capture_settings import (
    COMPRESSED,
    GELSIGHT_MINI,
    CameraLostError,
    CaptureMode,
    ExposureLock,
    back_end_of,
    configure,
    open_capture,
)
from tacdiff_ros.images.crop import crop_and_resize
from tacdiff_ros.images.frame_sources import natural_order
from tacdiff_ros.sensor.sensor_model import BORDER_FRACTION

VIDEO_DEVICES = Path("/sys/class/video4linux")
IMAGE_SIZE = (320, 240)
REDUCED_DECODING = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
JPEG_END = b"\xff\xd9"
COMPARED_ROWS = 64  # rows of an uncompressed image that are compared with the last one
MAX_BROKEN = 25  # images in succession that cannot be decoded


class BrokenImageError(ValueError):
    """An image arrived incomplete or cannot be decoded."""


@dataclass(frozen=True)
class CameraSettings:
    """Which camera to open, and what to make of its images.

    Attributes:
        device: path such as "/dev/video2", number, or part of the name ("GelSight Mini").
        size: width and height of the returned images, px.
        border_fraction: fraction of the image that is cropped at each side.
        mode: mode to request from the camera.
        lock_exposure: whether to lock exposure and white balance once they have settled.
    """

    device: str
    size: tuple[int, int] = IMAGE_SIZE
    border_fraction: float = BORDER_FRACTION
    mode: CaptureMode = GELSIGHT_MINI
    lock_exposure: bool = True


@dataclass(frozen=True)
class CameraImage:
    """One image of a camera.

    Attributes:
        image: (H, W, 3) uint8 RGB image after cropping and resizing; None for a repeated image.
        captured_s: monotonic time of the capture, s.
        arrived_s: monotonic time of the arrival, s.
        lag_s: additional delay relative to the stream's minimum, s; None if unknown.
        has_driver_stamp: whether `captured_s` is the driver's time stamp.
    """

    image: NDArray[np.uint8] | None
    captured_s: float
    arrived_s: float
    lag_s: float | None
    has_driver_stamp: bool


class CameraFrames:
    """Images of an open camera.

    A GelSight Mini sends JPEG images of eight million pixels. OpenCV would decode each completely,
    which takes longer than the camera's period; here JPEG decoding reduces the image to the
    smallest fraction that still has the required resolution.

    Attributes:
        mode: mode that was read back.
        lock: lock of exposure and white balance.
        clock: source of the time stamps.
    """

    def __init__(
        self,
        settings: CameraSettings,
        open_device: Callable[[int | str], Any] = open_capture,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open and configure a camera.

        Args:
            settings: camera and image format.
            open_device: function that opens an OpenCV capture.
            now: monotonic clock, s.

        Raises:
            CameraLostError: there is no such camera, or it does not open.
        """
        self._settings, self._now = settings, now
        self._capture = open_device(find_camera(settings.device))
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraLostError(
                f"camera '{settings.device}' does not open: is another program using it?"
            )
        self.mode = configure(self._capture, settings.mode)
        self.back_end = back_end_of(self._capture)
        self.lock = ExposureLock(self._capture, settings.lock_exposure)
        self.clock = CaptureClock()
        if self.mode.pixel_format == COMPRESSED:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._sends_end = False
        self._last_digest: int | None = None
        self._broken = 0
        self._last_captured_s = 0.0

    def read(self) -> CameraImage:
        """Return the next image.

        Raises:
            CameraLostError: the camera returned no image, or only images that cannot be decoded.
            BrokenImageError: this image cannot be decoded; the next one may.
        """
        if not self._capture.grab():
            raise CameraLostError("the camera returns no images any more: check its cable")
        arrived_s = self._now()
        driver_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        is_valid, frame = self._capture.retrieve()
        if not is_valid:
            raise CameraLostError("the camera returns no images any more: check its cable")
        step = max(1, frame.shape[0] // COMPARED_ROWS)
        digest = zlib.crc32(np.ascontiguousarray(frame[::step]).data)
        if digest == self._last_digest:
            return CameraImage(None, self._last_captured_s, arrived_s, None, False)
        self._last_digest = digest
        captured_s = self.clock.captured_s(driver_ms, arrived_s)
        self._last_captured_s = captured_s
        image = self._convert(frame)
        lag_s = self.clock.lag_s
        return CameraImage(image, captured_s, arrived_s, lag_s, not self.clock.complaint)

    def close(self) -> None:
        """Release the device."""
        self._capture.release()

    def _convert(self, frame: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the cropped and resized RGB image of a frame."""
        settings = self._settings
        if 1 in frame.shape[:2]:  # JPEG data in one row
            frame = self._decode(frame)
        code = cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB
        image = crop_and_resize(frame, settings.size, settings.border_fraction)
        return np.asarray(cv2.cvtColor(image, code), np.uint8)

    def _decode(self, frame: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the BGR image of JPEG data, reduced as far as the required size permits.

        Incomplete data may decode with a grey lower part. It lacks the end marker, which some
        cameras never send; so only cameras that have sent it must continue to.
        """
        data = frame.reshape(-1)
        has_end = data[-64:].tobytes().rstrip(b"\0").endswith(JPEG_END)
        self._sends_end |= has_end
        decoded = None
        if not self._sends_end:
            data = np.append(data, np.frombuffer(JPEG_END, np.uint8))
        if has_end or not self._sends_end:
            decoded = cv2.imdecode(data, REDUCED_DECODING[self._reduction()])
        if decoded is not None:
            self._broken = 0
            return np.asarray(decoded, np.uint8)
        self._broken += 1
        if self._broken >= MAX_BROKEN:
            raise CameraLostError(f"{MAX_BROKEN} images in succession cannot be decoded")
        raise BrokenImageError("an image arrived incomplete")

    def _reduction(self) -> int:
        """Return the largest reduction after which the cropped image is not too small."""
        inner = 1.0 - 2.0 * self._settings.border_fraction
        width, height = inner * self.mode.width_px, inner * self.mode.height_px
        wanted_width, wanted_height = self._settings.size
        factors = (8, 4, 2)
        fits = (n for n in factors if width / n >= wanted_width and height / n >= wanted_height)
        return next(fits, 1)


def find_camera(device: str, listing: Path = VIDEO_DEVICES) -> int | str:
    """Return the device that OpenCV opens for a camera.

    Args:
        device: device path, number, or part of the camera's name.
        listing: folder in which the kernel lists the video devices.

    Returns:
        Number or device path.

    Raises:
        CameraLostError: no camera has such a name; the message lists the present cameras.
    """
    if device.isdecimal():
        return int(device)
    if device.startswith("/"):
        return device
    names: dict[str, str] = {}
    for entry in sorted(listing.glob("video*"), key=natural_order):
        with suppress(OSError):  # the camera was unplugged in the meantime
            names[entry.name] = (entry / "name").read_text(encoding="utf-8").strip()
    for node, name in names.items():
        if device.lower() in name.lower():
            return f"/dev/{node}"
    present = ", ".join(f"/dev/{node} ({name})" for node, name in names.items()) or "none"
    raise CameraLostError(f"no camera with '{device}' in its name; cameras: {present}")
