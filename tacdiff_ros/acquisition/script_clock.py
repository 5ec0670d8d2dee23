"""Time base of a run's script."""

from __future__ import annotations

MAX_TICK_S = 0.05  # maximum interval that a late tick contributes to the compliance correction


class ScriptClock:
    """Two times of one run: the monotonic time, and the script time that stops during a pause.

    Attributes:
        now_s: monotonic time of the newest tick, s; 0 before the first.
        script_s: script time, s; it advances only with the script.
        interval_s: time between the last two ticks, clipped to `MAX_TICK_S`, s.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.now_s = 0.0
        self.script_s = 0.0
        self.interval_s = 0.0
        self._elapsed_s = 0.0

    def tick(self, now_s: float) -> None:
        """Advance the monotonic time to `now_s`; the script time does not change."""
        self._elapsed_s = now_s - self.now_s if self.now_s else 0.0
        self.interval_s = min(self._elapsed_s, MAX_TICK_S)
        self.now_s = now_s

    def advance_script(self) -> None:
        """Advance the script time by the time between the last two ticks."""
        self.script_s += self._elapsed_s
