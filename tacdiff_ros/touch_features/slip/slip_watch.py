"""Slip of a touch from consecutive readings: smoothed fraction, warning, rate of the shear."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.touch_features.slip.slip_head import SlipHead
from tacdiff_ros.touch_features.touch_encoder import TouchReading

SMOOTHED_FRAMES = 3
MAX_GAP_S = 0.5  # pause between two images after which the earlier ones no longer count
WARNING_FRACTION = 0.5


@dataclass(frozen=True)
class SlipState:
    """Slip at the time of one image.

    Attributes:
        in_contact: whether something touches the gel.
        slip_fraction: fraction of the contact that slips, mean of up to three images; NaN if it is
            not estimated.
        warning: whether gross slip is expected or present.
        shear_mm: (2,) mean in-plane displacement of the gel in the contact, mm.
        shear_rate_mm_s: (2,) its change since the image before, mm/s; 0 in the first image.
    """

    in_contact: bool
    slip_fraction: float
    warning: bool
    shear_mm: NDArray[np.float64]
    shear_rate_mm_s: NDArray[np.float64]


class SlipWatch:
    """Follows the slip of one sensor."""

    def __init__(
        self, warning_fraction: float = WARNING_FRACTION, head: SlipHead | None = None
    ) -> None:
        """Start without images.

        Args:
            warning_fraction: slip fraction from which a warning is given.
            head: slip head of the encoder, which no other sensor uses; without it the slip fraction
                is that of the encoder.
        """
        self._warning_fraction, self._head = warning_fraction, head
        self._fractions: deque[float] = deque(maxlen=SMOOTHED_FRAMES)
        self._last: tuple[float, NDArray[np.float64]] | None = None

    def reset(self) -> None:
        """Forget all images."""
        self._fractions.clear()
        self._last = None
        if self._head is not None:
            self._head.reset()

    def update(self, reading: TouchReading, stamp_s: float) -> SlipState:
        """Return the slip after the next image.

        Args:
            reading: reading of the image.
            stamp_s: time of the image, s.
        """
        if self._last is not None and not 0.0 < stamp_s - self._last[0] <= MAX_GAP_S:
            self.reset()
        if not reading.contact:
            self.reset()
            return SlipState(False, 0.0, False, np.zeros(2), np.zeros(2))
        self._fractions.append(self._estimate(reading, stamp_s))
        fraction = float(np.mean(self._fractions))
        shear, rate = reading.shear_mm, np.zeros(2)
        if self._last is not None:
            rate = (shear - self._last[1]) / (stamp_s - self._last[0])
        self._last = stamp_s, shear
        return SlipState(True, fraction, fraction >= self._warning_fraction, shear, rate)

    def _estimate(self, reading: TouchReading, stamp_s: float) -> float:
        if self._head is not None:
            return self._head.update(reading.surface, stamp_s)
        return reading.properties.get("slip_fraction", math.nan)
