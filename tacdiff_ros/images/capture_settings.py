"""Settings of a camera that are requested, read back and compared."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2

V4L2 = "V4L2"
COMPRESSED = "MJPG"
# Values of the V4L2 controls "auto_exposure" (menu) and "white_balance_automatic" (boolean).
MANUAL_EXPOSURE, AUTOMATIC_EXPOSURE = 1, 3
MANUAL_WHITE_BALANCE, AUTOMATIC_WHITE_BALANCE = 0, 1
SETTLING_IMAGES = 25  # images before the lock, in which the automatic exposure settles
CHECKED_IMAGES = 10  # images after the lock, before their brightness is compared
MAX_BRIGHTNESS_CHANGE = 0.1  # relative; a press changes the mean brightness by a few percent


class CameraLostError(RuntimeError):
    """The camera was unplugged or does not respond."""


@dataclass(frozen=True)
class CaptureMode:
    """Mode of a camera, requested or read back.

    Attributes:
        width_px: image width, px.
        height_px: image height, px.
        rate_hz: frame rate, Hz.
        pixel_format: four-character code; empty if the back end names none.
        buffers: number of images that the driver stores; 0 if the back end does not say.
    """

    width_px: int
    height_px: int
    rate_hz: float = 25.0
    pixel_format: str = COMPRESSED
    buffers: int = 1

    def __str__(self) -> str:
        """Return a text such as "3280x2464 MJPG at 25 Hz, buffers: 1"."""
        parts = [f"{self.width_px}x{self.height_px}", self.pixel_format, f"at {self.rate_hz:g} Hz"]
        text = " ".join(part for part in parts if part)
        return f"{text}, buffers: {self.buffers}" if self.buffers else text

    def matches(self, requested: CaptureMode) -> bool:
        """Return whether everything that the back end says about the mode is as requested."""
        return requested == replace(
            self,
            rate_hz=self.rate_hz if self.rate_hz > 0 else requested.rate_hz,
            pixel_format=self.pixel_format or requested.pixel_format,
            buffers=self.buffers or requested.buffers,
        )

    def differences(self, requested: CaptureMode) -> list[str]:
        """Return the differences of size and format from the requested mode, one text each."""
        texts = []
        if (self.width_px, self.height_px) != (requested.width_px, requested.height_px):
            texts.append(
                f"size {self.width_px}x{self.height_px}, requested "
                f"{requested.width_px}x{requested.height_px}"
            )
        if self.pixel_format and self.pixel_format != requested.pixel_format:
            texts.append(f"format {self.pixel_format}, requested {requested.pixel_format}")
        return texts


GELSIGHT_MINI = CaptureMode(3280, 2464)  # its only mode


def open_capture(device: int | str) -> Any:
    """Return OpenCV's capture of a device: by V4L2 on Linux, elsewhere by the default back end.

    Args:
        device: number, or path on Linux.

    Raises:
        CameraLostError: there is no such device.
    """
    if sys.platform != "linux":
        return cv2.VideoCapture(device, cv2.CAP_ANY)
    path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
    if not path.exists():
        raise CameraLostError(f"there is no camera {path}: check its cable")
    return cv2.VideoCapture(device, cv2.CAP_V4L2)


def configure(capture: Any, requested: CaptureMode) -> CaptureMode:
    """Request a mode and return what the camera uses.

    The return values of `set` prove nothing: OpenCV falls back to another format and reports
    success (modules/videoio/src/cap_v4l.cpp, `autosetup_capture_mode_v4l2`). The rate comes last,
    because every other setting restarts the device.

    Args:
        capture: open capture; format and buffers are requested from V4L2 only.
        requested: mode to request.

    Returns:
        Mode that was read back.
    """
    is_v4l2 = back_end_of(capture) == V4L2
    if is_v4l2:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*requested.pixel_format))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, requested.width_px)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, requested.height_px)
    if is_v4l2:
        capture.set(cv2.CAP_PROP_BUFFERSIZE, requested.buffers)
    capture.set(cv2.CAP_PROP_FPS, requested.rate_hz)
    return CaptureMode(
        width_px=round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height_px=round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        rate_hz=round(capture.get(cv2.CAP_PROP_FPS), 2),
        pixel_format=_four_characters(capture.get(cv2.CAP_PROP_FOURCC)) if is_v4l2 else "",
        buffers=max(0, round(capture.get(cv2.CAP_PROP_BUFFERSIZE))) if is_v4l2 else 0,
    )


def back_end_of(capture: Any) -> str:
    """Return the name of the back end of an open capture, such as "V4L2"."""
    return str(capture.getBackendName())


class ExposureLock:
    """Locks exposure and white balance after the automatic control has settled.

    Some cameras return to an old exposure when the automatic control ends. Therefore the
    brightness is compared before and after, and a lock that changes it is undone.

    Attributes:
        state: one line that says what was reached.
    """

    def __init__(self, capture: Any, is_wanted: bool) -> None:
        """Start with the automatic control of the camera.

        Args:
            capture: open capture.
            is_wanted: whether to lock.
        """
        self._capture = capture
        self._images = 0
        self._mean_before = 0.0
        self.state = "automatic: settling" if is_wanted else "automatic: no lock requested"
        self._is_done = not is_wanted
        if is_wanted and back_end_of(capture) != V4L2:
            self.state = f"automatic: no lock by the back end {back_end_of(capture)}"
            self._is_done = True

    def on_image(self, mean: float) -> bool:
        """Count an image, and lock or check the lock when it is time.

        Args:
            mean: mean brightness of the image.

        Returns:
            Whether `state` is new and final.
        """
        if self._is_done:
            return False
        self._images += 1
        if self._images == SETTLING_IMAGES:
            self._mean_before = mean
            self._lock()
        elif self._images == SETTLING_IMAGES + CHECKED_IMAGES:
            self._is_done = True
            change = mean / max(self._mean_before, 1.0) - 1.0
            if abs(change) > MAX_BRIGHTNESS_CHANGE:
                self._unlock()
                self.state = f"automatic: the lock changed the brightness by {100 * change:+.0f} %"
            return True
        return False

    def _lock(self) -> None:
        exposure = self._capture.get(cv2.CAP_PROP_EXPOSURE)
        is_locked = self._set(cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL_EXPOSURE)
        if is_locked and exposure > 0:
            self._capture.set(cv2.CAP_PROP_EXPOSURE, exposure)
        reached = self._capture.get(cv2.CAP_PROP_EXPOSURE)
        first = f"locked at {reached:g}" if is_locked else "automatic (lock refused)"
        is_white_locked = self._set(cv2.CAP_PROP_AUTO_WB, MANUAL_WHITE_BALANCE)
        second = "locked" if is_white_locked else "automatic (lock refused)"
        self.state = f"exposure {first}, white balance {second}"

    def _unlock(self) -> None:
        self._capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, AUTOMATIC_EXPOSURE)
        self._capture.set(cv2.CAP_PROP_AUTO_WB, AUTOMATIC_WHITE_BALANCE)

    def _set(self, control: int, value: int) -> bool:
        return bool(self._capture.set(control, value)) and self._capture.get(control) == value


def _four_characters(code: float) -> str:
    """Return the text of a four-character code; empty if there is none."""
    if code <= 0:
        return ""
    return int(code).to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
