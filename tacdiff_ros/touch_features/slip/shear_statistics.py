"""How the gel's surface moves during a touch: statistics of its shear over several time lags.

An object that sticks moves the gel of its contact as one piece. One that begins to slip lets the
border of the contact go first, and then the shear grows no more. So the statistics compare the
middle of the contact with its border, and the present change of the shear with its largest one.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LAGS_S = (0.12, 0.24, 0.48)
LAG_TOLERANCE_S = 0.01
PER_LAG, OVERALL = 8, 4
STATISTICS = PER_LAG * len(LAGS_S) + OVERALL
CONTACT_MM = 0.02  # indentation of a cell from which it is in the contact
MIN_AREA = 0.01  # fraction of the cells in the contact from which its shear counts
BORDER_QUANTILE = 0.97  # of the cells by weight: those below it are the border
SMALLEST_MM = 2e-3  # added before the logarithm
RATE_MM = 5e-3  # added to the largest change before dividing by it


class ShearStatistics:
    """Statistics of one touch, image by image."""

    def __init__(self) -> None:
        """Start without images."""
        self._recent: deque[tuple[float, Floats, Floats, Floats]] = deque()
        self._max_change = np.zeros(len(LAGS_S))
        self._min_mm, self._max_mm = np.inf, 0.0

    def update(self, surface: Floats, stamp_s: float) -> Floats:
        """Return the statistics after the next image.

        Args:
            surface: (5, 30, 40) surface maps of the image, as in `TouchReading`.
            stamp_s: time of the image, s; later than that of the image before.

        Returns:
            (STATISTICS,) logarithms.
        """
        surface = np.asarray(surface, np.float32)
        weight = np.where(surface[0] > CONTACT_MM, surface[0], np.float32(0.0))
        area = float((weight > 0).mean())
        shear = _mean(surface[3:], weight)
        self._recent.append((stamp_s, surface, weight, shear))
        while len(self._recent) > 1 and self._is_old(self._recent[1][0], max(LAGS_S)):
            self._recent.popleft()
        size = float(np.hypot(*shear))
        if area > MIN_AREA:
            self._min_mm = min(self._min_mm, size)
        self._max_mm = max(self._max_mm, size - self._min_mm)
        values = [area, float(surface[0].max()), size, self._max_mm]
        for number, lag_s in enumerate(LAGS_S):
            values += self._changes(number, lag_s, area)
        return np.log(np.abs(np.array(values, np.float32)) + np.float32(SMALLEST_MM))

    def _is_old(self, stamp_s: float, lag_s: float) -> bool:
        return self._recent[-1][0] - stamp_s >= lag_s - LAG_TOLERANCE_S

    def _changes(self, number: int, lag_s: float, area: float) -> list[float]:
        """Return the statistics of the change since an earlier image."""
        _, surface, weight, shear = self._recent[-1]
        old = [entry for entry in self._recent if self._is_old(entry[0], lag_s)]
        _, before, weight_before, shear_before = old[-1] if old else self._recent[0]
        change = surface[3:] - before[3:]
        both = np.minimum(weight, weight_before)
        mean = _mean(change, both)
        along = mean / (float(np.hypot(*mean)) + 1e-3)
        middle = _mean(change, both**3)
        border = _mean(change, both * (both < np.quantile(both, BORDER_QUANTILE)))
        spread = _mean(((change - mean[:, None, None]) ** 2).sum(0)[None], both)
        total = float(np.hypot(*(shear - shear_before)))
        if area > MIN_AREA:
            self._max_change[number] = max(self._max_change[number], total)
        return [
            total,
            float(np.hypot(*mean)),
            float(middle @ along),
            float(border @ along),
            float(np.sqrt(spread[0])),
            float(np.abs(surface[0] - before[0]).mean()),
            float(self._max_change[number]),
            total / (float(self._max_change[number]) + RATE_MM),
        ]


def _mean(fields: Floats, weight: Floats) -> Floats:
    """Return the weighted mean of each field; 0 without weight."""
    return np.asarray((fields * weight).sum((1, 2)) / (weight.sum() + np.float32(1e-9)))
