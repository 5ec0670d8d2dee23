"""Limit of the processor time of a process that can leave work out."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 0.5  # time for which the budget may be exceeded after less use


class CpuBudget:
    """Decides whether the process may begin further work, by a token bucket of processor seconds.

    The processor time of all threads counts; work that has begun is not interrupted.
    """

    def __init__(
        self,
        cores: float,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        """Start with a full bucket.

        Args:
            cores: mean number of cores that may be used; 0 for no limit.
            clock: function that returns the time, s.
            used: function that returns the processor time of the process, s.
        """
        self._cores, self._clock, self._used = cores, clock, used
        self._left_s = cores * BURST_S
        self._last_s, self._last_used_s = clock(), used()

    def allows(self) -> bool:
        """Return whether the mean use is within the budget."""
        if self._cores == 0:
            return True
        now_s, used_s = self._clock(), self._used()
        earned = self._cores * (now_s - self._last_s) - (used_s - self._last_used_s)
        self._last_s, self._last_used_s = now_s, used_s
        self._left_s = min(self._left_s + earned, self._cores * BURST_S)
        return self._left_s > 0.0
