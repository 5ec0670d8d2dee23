"""The present touch of one sensor: images are read in one thread, questions come from another."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.slip.slip_head import SlipHead
from tacdiff_ros.touch_features.slip.slip_watch import WARNING_FRACTION, SlipState, SlipWatch
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder, TouchReading, TouchStream
from tacdiff_ros.touch_features.touch_input import touch_image

STALE_S = 0.5  # age of an image from which on it says nothing about the present touch

Image = NDArray[np.uint8]


class _Newest(NamedTuple):
    """Newest image.

    Attributes:
        reading: its reading; None if it could not be read.
        failure: reason why it could not be read; empty if there is none.
        arrived_s: time of its arrival, s.
    """

    reading: TouchReading | None
    failure: str
    arrived_s: float


class TouchedSensor:
    """Reads the images of one sensor and holds its present touch.

    Attributes:
        name: name of the sensor in messages.
        encoder_checksum: checksum of the encoder.
    """

    def __init__(
        self,
        name: str,
        encoder: TouchEncoder,
        warning_fraction: float = WARNING_FRACTION,
        slip_head: SlipHead | None = None,
    ) -> None:
        """Start without a reference image.

        Args:
            name: name of the sensor in messages, such as its image topic.
            encoder: touch encoder that no other sensor uses, as it is not safe between threads.
            warning_fraction: slip fraction from which a warning is given.
            slip_head: slip head of the encoder that no other sensor uses; None for the encoder's
                own slip fraction.
        """
        self.name, self.encoder_checksum = name, encoder.checksum
        self._stream = TouchStream(encoder)
        self._slip = SlipWatch(warning_fraction, slip_head)
        self._lock = threading.Lock()
        self._reference: Image | None = None
        self._newest: _Newest | None = None

    @property
    def has_reference(self) -> bool:
        """Whether the image of the untouched gel is known."""
        return self._reference is not None

    def take_reference(self, image: Image) -> None:
        """Compare images with a new reference image from now on.

        Args:
            image: (H, W, 3) uint8 RGB image of the untouched gel.

        Raises:
            InputError: the image is unusable; the previous reference image remains.
        """
        reference = np.array(touch_image(image))
        with self._lock:
            self._reference, self._newest = reference, None

    def read(
        self, image: Image, stamp_s: float, arrived_s: float
    ) -> tuple[TouchReading, SlipState] | None:
        """Read the next image.

        Args:
            image: (H, W, 3) uint8 RGB image.
            stamp_s: time of the image, s.
            arrived_s: time of its arrival on the clock of `touch`, s.

        Returns:
            Reading and slip; None without a reference image, or if another one
            was taken meanwhile.

        Raises:
            InputError: the image is unusable.
        """
        reference = self._reference
        if reference is None:
            return None
        if reference is not self._stream.reference:
            self._stream.set_reference(reference)
            self._slip.reset()
        try:
            reading = self._stream.read(touch_image(image), stamp_s)
        except InputError as error:
            self._store(reference, _Newest(None, str(error), arrived_s))
            raise
        slip = self._slip.update(reading, stamp_s)
        is_current = self._store(reference, _Newest(reading, "", arrived_s))
        return (reading, slip) if is_current else None

    def touch(self, now_s: float) -> TouchReading:
        """Return the present touch.

        Args:
            now_s: present time on the clock of the images' arrival, s.

        Raises:
            InputError: there is no reference image, no recent image, or nothing touches the gel.
        """
        reading = self._recent_reading(now_s)
        if not reading.contact:
            raise InputError(f"{self.name}: nothing touches the gel")
        return reading

    def trouble(self, now_s: float) -> str:
        """Return why nothing is known of the present touch; empty if images are read.

        Args:
            now_s: present time on the clock of the images' arrival, s.
        """
        try:
            self._recent_reading(now_s)
        except InputError as error:
            return str(error)
        return ""

    def _recent_reading(self, now_s: float) -> TouchReading:
        if self._reference is None:
            raise InputError(
                f"{self.name}: no reference image yet: call ~/take_reference while nothing "
                "touches the gel"
            )
        newest = self._newest
        age = "none since the reference image" if newest is None else ""
        if newest is not None and now_s - newest.arrived_s > STALE_S:
            age = f"the newest is {now_s - newest.arrived_s:.1f} s old"
        if newest is None or age:
            raise InputError(
                f"{self.name}: no image within {STALE_S:g} s ({age}): is the driver on?"
            )
        if newest.reading is None:
            raise InputError(f"{self.name}: {newest.failure}")
        return newest.reading

    def _store(self, reference: Image, newest: _Newest) -> bool:
        """Store the newest image, unless its reference image was replaced meanwhile."""
        with self._lock:
            is_current = self._reference is reference
            if is_current:
                self._newest = newest
        return is_current
