"""A camera with known faults, at the level of OpenCV's capture."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

MJPG, YUYV = (cv2.VideoWriter.fourcc(*code) for code in ("MJPG", "YUYV"))
PICTURES = 8  # different pictures, sent in turn
OTHER_CLOCK_S = 1.7e9


@dataclass(frozen=True)
class CameraBehaviour:
    """Properties and faults of a virtual camera.

    Attributes:
        rate_hz: rate with MJPG, if it is requested.
        default_rate_hz: rate without MJPG or without a requested rate.
        only_size: only size that the camera has, px; None: it takes any.
        accepts_mjpg: whether it accepts MJPG; otherwise it stays with YUYV.
        accepts_rate: whether it accepts a requested rate.
        accepts_lock: whether exposure and white balance can be locked.
        repeat_every: every image of this number repeats the last one; 0: none.
        broken_every: every image of this number lacks its end; 0: none.
        lag_growth: additional delay per second of streaming, s/s.
        transfer_s: time from the capture to the arrival, s.
        unplugged_s: time from which it is unplugged, s after the start; inf: never.
        back_s: time from which it is plugged in again, s after the start.
        stamps: time stamps of the driver: "monotonic", "none", or "other" for another clock.
        locked_gain: brightness under a locked exposure relative to the automatic one.
    """

    rate_hz: float = 25.0
    default_rate_hz: float = 10.0
    only_size: tuple[int, int] | None = None
    accepts_mjpg: bool = True
    accepts_rate: bool = True
    accepts_lock: bool = True
    repeat_every: int = 0
    broken_every: int = 0
    lag_growth: float = 0.0
    transfer_s: float = 0.02
    unplugged_s: float = float("inf")
    back_s: float = float("inf")
    stamps: str = "monotonic"
    locked_gain: float = 1.0


class SimulatedTime:
    """A monotonic clock that advances only while somebody sleeps."""

    def __init__(self) -> None:
        """Start at 1000 s, as a machine that has been on for a while."""
        self.now_s = 1000.0

    def monotonic(self) -> float:
        """Return the time, s."""
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        """Advance the time."""
        self.now_s += duration_s


@dataclass
class VirtualCamera:
    """A camera that can be opened repeatedly with `open`.

    Attributes:
        behaviour: properties and faults.
        clock: time base, with `monotonic` and `sleep`: `time` or a `SimulatedTime`.
        captured_s: true times of the images sent so far, s; repetitions are not included.
    """

    behaviour: CameraBehaviour = field(default_factory=CameraBehaviour)
    clock: Any = time
    captured_s: list[float] = field(default_factory=list)
    start_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Plug the camera in."""
        self.start_s = self.clock.monotonic()

    def open(self, _device: int | str) -> VirtualCapture:
        """Return a capture; it is not open while the camera is unplugged."""
        return VirtualCapture(self)

    def is_connected(self) -> bool:
        """Return whether the camera is plugged in."""
        elapsed_s = self.clock.monotonic() - self.start_s
        return not self.behaviour.unplugged_s <= elapsed_s < self.behaviour.back_s


class VirtualCapture:
    """Stands in for `cv2.VideoCapture` with the back end V4L2."""

    def __init__(self, camera: VirtualCamera) -> None:
        """Open the camera with OpenCV's default settings."""
        self._camera, self._behaviour = camera, camera.behaviour
        self._opened_s = camera.clock.monotonic()
        self._is_open = camera.is_connected()
        width, height = self._behaviour.only_size or (640, 480)
        self._properties: dict[int, float] = {
            cv2.CAP_PROP_FOURCC: YUYV,
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: self._behaviour.default_rate_hz,
            cv2.CAP_PROP_BUFFERSIZE: 4,
            cv2.CAP_PROP_CONVERT_RGB: 1,
            cv2.CAP_PROP_EXPOSURE: 156,
            cv2.CAP_PROP_AUTO_EXPOSURE: 3,
            cv2.CAP_PROP_AUTO_WB: 1,
        }
        self._images = 0
        self._captured_s = self._opened_s
        self._pictures: list[np.ndarray] = []

    def isOpened(self) -> bool:  # noqa: N802
        """Return whether the camera was there."""
        return self._is_open

    def release(self) -> None:
        """Close the capture."""
        self._is_open = False

    def getBackendName(self) -> str:  # noqa: N802
        """Return the name of the back end."""
        return "V4L2"

    def get(self, control: int) -> float:
        """Return a property as OpenCV does; -1 for one that the camera lacks."""
        if control == cv2.CAP_PROP_POS_MSEC:
            stamps = {"monotonic": self._captured_s, "none": 0.0}
            return 1e3 * stamps.get(self._behaviour.stamps, self._captured_s + OTHER_CLOCK_S)
        return float(self._properties.get(control, -1.0))

    def set(self, control: int, value: float) -> bool:
        """Set a property if the camera accepts it; like OpenCV, report success for any format."""
        behaviour, sides = self._behaviour, (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        locks = (cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_AUTO_WB)
        refused = {
            cv2.CAP_PROP_FOURCC: not behaviour.accepts_mjpg,
            cv2.CAP_PROP_FPS: not self._streams_fast,
            **dict.fromkeys(sides, behaviour.only_size is not None),
        }
        if control in locks and not behaviour.accepts_lock:
            return False
        if not refused.get(control, False):
            self._properties[control] = value
        return control in self._properties

    def grab(self) -> bool:
        """Wait for the next image; return False if the camera is unplugged."""
        behaviour, clock = self._behaviour, self._camera.clock
        rate_hz = self._properties[cv2.CAP_PROP_FPS]
        self._images += 1
        captured_s = self._opened_s + self._images / min(rate_hz, behaviour.rate_hz)
        lag_s = behaviour.lag_growth * (captured_s - self._opened_s)
        due_s = captured_s + behaviour.transfer_s + lag_s
        clock.sleep(max(0.0, due_s - clock.monotonic()))
        if not (self._is_open and self._camera.is_connected()):
            return False
        if not self._is_repeated():
            self._captured_s = captured_s
            self._camera.captured_s.append(captured_s)
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        """Return the image that was grabbed: JPEG data in one row, or BGR."""
        if not self._pictures:
            self._pictures = [self._picture(number) for number in range(PICTURES)]
        number = self._images - self._is_repeated()
        picture = self._pictures[number % PICTURES].copy()
        if self._properties[cv2.CAP_PROP_AUTO_EXPOSURE] == 1:
            picture = np.clip(picture * self._behaviour.locked_gain, 0, 255).astype(np.uint8)
        if self._properties[cv2.CAP_PROP_FOURCC] != MJPG:
            return True, picture
        data = cv2.imencode(".jpg", picture)[1].reshape(1, -1)
        every = self._behaviour.broken_every
        is_broken = bool(every) and self._images % every == 0
        return True, data[:, : data.size // 2] if is_broken else data

    def _is_repeated(self) -> bool:
        every = self._behaviour.repeat_every
        return every > 0 and self._images > 1 and self._images % every == 0

    @property
    def _streams_fast(self) -> bool:
        is_mjpg = self._properties[cv2.CAP_PROP_FOURCC] == MJPG
        return is_mjpg and self._behaviour.accepts_rate

    def _picture(self, number: int) -> np.ndarray:
        """Return a BGR image: red grows to the right, green downwards, blue with the number."""
        width = int(self._properties[cv2.CAP_PROP_FRAME_WIDTH])
        height = int(self._properties[cv2.CAP_PROP_FRAME_HEIGHT])
        red = np.broadcast_to(np.linspace(20, 200, width), (height, width))
        green = np.broadcast_to(np.linspace(20, 200, height)[:, None], (height, width))
        blue = np.full((height, width), 60.0 + 2.0 * number)
        return np.stack([blue, green, red], axis=-1).astype(np.uint8)
