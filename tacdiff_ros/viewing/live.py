"""Live view of a camera: frame, change from the reference image, and depth."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.inversion.inversion_settings import InversionSettings
from tacdiff_ros.inversion.sensor_inverters import SensorInverters
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.viewing.page import jpeg_bytes

Image = NDArray[np.uint8]
REFERENCE_IMAGES = 5  # averaged against noise
CHANGE_GAIN = 4
MIN_FULL_SCALE_MM = 0.5  # depth of the last colour at least
MAX_FRAME_GAP_S = 1.0  # after a longer one, the last surface is no start
POLL_S = 0.01


class LiveFrames(Protocol):
    """A source of frames in real time."""

    def read(self) -> Image | None:
        """Return the next frame (H, W, 3) uint8 RGB, or None for a broken or repeated one.

        Raises:
            InputError: the source has ended.
        """

    def close(self) -> None:
        """Release the source."""


class LiveView:
    """Reads frames in a thread, and inverts the newest one in another if there is a sensor.

    The mean of the first frames is the reference image; `take_reference` takes another.
    """

    def __init__(self, frames: LiveFrames, model: SensorModel | None) -> None:
        """Start to read.

        Args:
            frames: source, which is closed by `close`.
            model: calibrated sensor; None for a view without depth.
        """
        self._frames, self._model = frames, model
        self._changed = threading.Condition()
        self._running = True
        self._error: str | None = None
        self._depth_error = ""
        self._jpeg, self._number = b"", 0
        self._newest: tuple[int, float, Image] | None = None  # number, time, frame
        self._reference: Image | None = None
        self._reference_frames: list[Image] = []
        self._depth: Image | None = None
        self._depth_text = "" if model is None else "depth: preparing, up to a minute"
        self._rate_hz = 0.0
        bodies = [self._read] if model is None else [self._read, self._invert]
        self._threads = [threading.Thread(target=body, daemon=True) for body in bodies]
        for thread in self._threads:
            thread.start()

    @property
    def error(self) -> str | None:
        """Reason why the frames have ended; None while they go on."""
        return self._error

    def take_reference(self) -> None:
        """Take the mean of the next frames as the reference image; nothing may touch the gel."""
        with self._changed:
            self._reference, self._reference_frames = None, []

    def status(self) -> dict[str, object]:
        """Return rate, depth and errors as JSON values."""
        return {
            "rate_hz": round(self._rate_hz, 1),
            "reference": "taken" if self._reference is not None else "being taken",
            "depth": self._depth_text,
            "error": self._error or self._depth_error,
        }

    def next_jpeg(self, after: int, timeout_s: float = 5.0) -> tuple[int, bytes] | None:
        """Wait for a picture and return its number and JPEG data; None if none came in time.

        Args:
            after: number of the last picture that the caller has.
            timeout_s: longest time to wait, s.
        """
        with self._changed:
            arrived = self._changed.wait_for(
                lambda: self._number > after or not self._running or self._error, timeout_s
            )
            return (self._number, self._jpeg) if arrived and self._number > after else None

    def close(self) -> None:
        """Stop the threads and release the source."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=5.0)
        self._frames.close()

    def _read(self) -> None:
        """Body of the reading thread."""
        last_s = time.monotonic()
        while self._running:
            try:
                frame = self._frames.read()
            except InputError as error:
                with self._changed:
                    self._error = str(error)
                    self._changed.notify_all()
                return
            if frame is None:
                continue
            now_s = time.monotonic()
            self._rate_hz += 0.1 * (1.0 / max(now_s - last_s, 1e-3) - self._rate_hz)
            last_s = now_s
            reference = self._update_reference(frame)
            panels = [frame, _change(frame, reference)]
            if self._model is not None:
                panels.append(self._depth if self._depth is not None else _grey(frame))
            jpeg = jpeg_bytes(np.concatenate([_fitted(panel, frame) for panel in panels], axis=1))
            with self._changed:
                self._number += 1
                self._newest = self._number, now_s, frame
                self._jpeg = jpeg
                self._changed.notify_all()

    def _update_reference(self, frame: Image) -> Image:
        with self._changed:
            if self._reference is None:
                self._reference_frames.append(frame)
                mean = np.mean(self._reference_frames, axis=0)
                if len(self._reference_frames) < REFERENCE_IMAGES:
                    return np.asarray(np.rint(mean), np.uint8)
                self._reference = np.asarray(np.rint(mean), np.uint8)
                self._reference_frames = []
            return self._reference

    def _invert(self) -> None:
        """Body of the inverting thread: the newest frame, as often as the machine can."""
        assert self._model is not None  # noqa: S101
        inverters: SensorInverters | None = None
        done, done_s = 0, 0.0
        while self._running and self._error is None:
            newest, reference = self._newest, self._reference
            if newest is None or reference is None or newest[0] == done:
                time.sleep(POLL_S)
                continue
            after_pause = newest[1] - done_s > MAX_FRAME_GAP_S
            done, done_s, frame = newest
            if inverters is None or inverters.reference is not reference:
                inverters = SensorInverters(self._model, reference, InversionSettings())
            try:
                self._show_depth(inverters, frame, after_pause)
            except InputError as error:
                inverters.reset_stream()
                self._depth, self._depth_error = None, str(error)

    def _show_depth(self, inverters: SensorInverters, frame: Image, after_pause: bool) -> None:
        inversion = inverters.follow(frame, after_pause)
        surface = inversion.surface
        depth_mm = -surface.position[:, 2].reshape(surface.rows, surface.columns)
        full_mm = max(MIN_FULL_SCALE_MM, float(depth_mm.max()))
        grey = np.rint(255 * np.clip(depth_mm / full_mm, 0, 1)).astype(np.uint8)
        self._depth = np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1])
        contact = inversion.contact
        self._depth_text = (
            f"depth {contact.depth_mm:.2f} mm, area {contact.area_mm2:.1f} mm2"
            if contact.in_contact
            else "no contact"
        ) + f"; yellow: {full_mm:.2f} mm; {1.0 / max(inversion.seconds, 1e-3):.1f} Hz"
        self._depth_error = "; ".join(inversion.warnings)


def _change(frame: Image, reference: Image) -> Image:
    difference = frame.astype(np.int16) - reference
    return np.clip(CHANGE_GAIN * difference + 128, 0, 255).astype(np.uint8)


def _grey(frame: Image) -> Image:
    return np.full_like(frame, 200)


def _fitted(panel: Image, frame: Image) -> Image:
    """A panel at the frame's size."""
    if panel.shape == frame.shape:
        return panel
    size = frame.shape[1], frame.shape[0]
    return np.asarray(cv2.resize(panel, size, interpolation=cv2.INTER_LINEAR), np.uint8)
