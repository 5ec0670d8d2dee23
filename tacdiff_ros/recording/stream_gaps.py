"""Count of the lost images of a stream, from the stamps of the received ones."""

from __future__ import annotations

from collections import deque
from statistics import median

WINDOW = 25  # intervals in the median


class StreamGaps:
    """Counts the missing images of a stream with a steady rate.

    The period is the median of the last intervals; an interval of n periods has lost n - 1 images.
    Limits: if a camera changes its own rate, images are counted as lost for the length of a window.

    Attributes:
        lost: number of lost images so far.
    """

    def __init__(self) -> None:
        """Start before the first image."""
        self.lost = 0
        self._last_ns: int | None = None
        self._intervals_ns: deque[int] = deque(maxlen=WINDOW)

    def add(self, stamp_ns: int) -> None:
        """Add the stamp of the next image, ns."""
        if self._last_ns is not None and stamp_ns > self._last_ns:
            interval_ns = stamp_ns - self._last_ns
            self._intervals_ns.append(interval_ns)
            if len(self._intervals_ns) == WINDOW:
                self.lost += max(0, round(interval_ns / median(self._intervals_ns)) - 1)
        self._last_ns = stamp_ns
