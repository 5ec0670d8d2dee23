"""How many images a stream has lost, from the stamps of those that came."""

from __future__ import annotations

from collections import deque
from statistics import median

WINDOW = 25


class StreamGaps:
    """Counts missing images of a stream with a steady rate.

    The period is the median of the last intervals; an interval of n periods has lost n - 1 images.
    Limits: a camera that changes its rate by itself looks like a lossy one for a window's length.
    """

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.lost = 0
        self._last_ns: int | None = None
        self._intervals_ns: deque[int] = deque(maxlen=WINDOW)

    def add(self, stamp_ns: int) -> None:
        """Take in the stamp of the next image."""
        if self._last_ns is not None and stamp_ns > self._last_ns:
            interval_ns = stamp_ns - self._last_ns
            self._intervals_ns.append(interval_ns)
            if len(self._intervals_ns) == WINDOW:
                self.lost += max(0, round(interval_ns / median(self._intervals_ns)) - 1)
        self._last_ns = stamp_ns
