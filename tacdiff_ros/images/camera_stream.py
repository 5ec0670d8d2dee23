"""A camera that is opened again when it was lost, and the report on its images."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tacdiff_ros.images.camera import (
    BrokenImageError,
    CameraFrames,
    CameraImage,
    CameraSettings,
)
from tacdiff_ros.images.capture_settings import CameraLostError, open_capture
from tacdiff_ros.images.stream_statistics import StreamReport, StreamStatistics

RECONNECT_PERIOD_S = 1.0
MAX_WARNED = 20  # remembered lines


class CameraStream:
    """Images of one camera for as long as the program runs."""

    def __init__(
        self,
        settings: CameraSettings,
        warn: Callable[[str], None],
        open_device: Callable[[int | str], Any] = open_capture,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start without opening the camera.

        Args:
            settings: camera and image format.
            warn: function that shows a line to the user; called by the reading thread.
            open_device: function that opens an OpenCV capture.
            now: monotonic clock, s.
            sleep: function that waits for a time in seconds.
        """
        self._settings, self._warn = settings, warn
        self._open_device, self._now, self._sleep = open_device, now, sleep
        self._statistics = StreamStatistics(settings.mode.rate_hz, now())
        self._camera: CameraFrames | None = None
        self._loss = ""  # reason why there is no camera
        self._last_loss = ""
        self._reconnects = 0
        self._warned: deque[str] = deque(maxlen=MAX_WARNED)

    def next(self) -> CameraImage | None:
        """Wait for the next image.

        Returns:
            The image; None for one that was repeated or broken, and if there is no camera.
        """
        try:
            if self._camera is None:
                self._camera = self._open()
            frame = self._camera.read()
        except CameraLostError as error:
            self._lose(str(error))
            self._sleep(RECONNECT_PERIOD_S)
            return None
        except BrokenImageError:
            self._statistics.add_broken(self._now())
            return None
        if self._loss:  # an open camera may still return nothing
            self._reconnects += 1
            self._warn(f"camera '{self._settings.device}' returns images again")
            self._loss = ""
        if frame.image is None:
            self._statistics.add_repeated(frame.arrived_s)
            return None
        self._statistics.add(frame.captured_s, frame.arrived_s, frame.lag_s)
        self._notice(self._camera, float(frame.image[::8, ::8].mean()))
        return frame

    def report(self) -> StreamReport:
        """Return the state of the camera; can be called by any thread."""
        report = self._statistics.report(self._now())
        camera = self._camera
        values = report.values | {"reconnects": str(self._reconnects), "last_loss": self._last_loss}
        if camera is None:
            reasons = dict.fromkeys((self._last_loss, self._loss)) if self._loss else ("opening",)
            return StreamReport("error", [f"no camera: {'; '.join(reasons)}"], values)
        problems = [*report.problems, *camera.mode.differences(self._settings.mode)]
        values |= {
            "mode": str(camera.mode),
            "back_end": camera.back_end,
            "stamps": f"arrival ({camera.clock.complaint})" if camera.clock.complaint else "driver",
            "exposure": camera.lock.state,
        }
        level = "warning" if problems and report.level == "ok" else report.level
        return StreamReport(level, problems, values)

    def close(self) -> None:
        """Release the camera."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _open(self) -> CameraFrames:
        camera = CameraFrames(self._settings, self._open_device, self._now)
        device, requested = self._settings.device, self._settings.mode
        if not camera.mode.matches(requested):
            self._warn_once(f"camera '{device}' uses {camera.mode}; requested was {requested}")
        self._statistics.restart()
        return camera

    def _lose(self, reason: str) -> None:
        self.close()
        if reason != self._loss:
            self._warn(f"{reason}; opening it again every {RECONNECT_PERIOD_S:g} s")
        self._last_loss = self._last_loss if self._loss else reason
        self._loss = reason

    def _notice(self, camera: CameraFrames, mean: float) -> None:
        """Show which time stamps are used and whether the exposure is locked."""
        if camera.clock.complaint:
            self._warn_once(f"images are stamped at their arrival: {camera.clock.complaint}")
        if camera.lock.on_image(mean) and "automatic" in camera.lock.state:
            self._warn_once(f"camera '{self._settings.device}': {camera.lock.state}")

    def _warn_once(self, line: str) -> None:
        """Show a line, unless it was shown before the camera was opened again."""
        if line not in self._warned:
            self._warned.append(line)
            self._warn(line)
