"""Rate, jitter, latency and faults of an image stream."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

import numpy as np

WINDOW_S = 5.0
MAX_IMAGES = 1000  # images in the window
MIN_SPAN_S = 0.8  # shorter streams are not judged
RECENT_S = 10.0  # time for which a counted fault remains a problem
MIN_RATE_FRACTION = 0.9
SILENCE_PERIODS = 3.0
LAG_PERIODS = 2.0


@dataclass(frozen=True)
class StreamReport:
    """State of a stream for people and for monitoring.

    Attributes:
        level: "ok", "warning" or "error".
        problems: one text per problem, the most severe first.
        values: figures by name.
    """

    level: str
    problems: list[str]
    values: dict[str, str] = field(default_factory=dict)


class StreamStatistics:
    """Counts and times of the images of one source; can be used by several threads.

    Attributes:
        images: number of images.
        repeated: number of repeated images.
        lagging: number of images that came late.
        broken: number of images that could not be decoded.
    """

    def __init__(self, wanted_hz: float, now_s: float) -> None:
        """Start without images.

        Args:
            wanted_hz: wanted rate, Hz.
            now_s: monotonic time, s.
        """
        self.images = self.repeated = self.lagging = self.broken = 0
        self._wanted_hz = wanted_hz
        self._lock = threading.Lock()
        self._window: deque[tuple[float, float]] = deque(maxlen=MAX_IMAGES)  # captured, arrived
        self._last_s = now_s
        self._recent: dict[str, float] = {}  # time of the last event by name
        self._lag_s = 0.0

    def restart(self) -> None:
        """Forget the times, after the source was opened again; the counts remain."""
        with self._lock:
            self._window.clear()

    def add(self, captured_s: float, arrived_s: float, lag_s: float | None = None) -> None:
        """Count an image.

        Args:
            captured_s: monotonic time of the capture, s.
            arrived_s: monotonic time of the arrival, s.
            lag_s: additional delay relative to the stream's minimum, s; None if unknown.
        """
        with self._lock:
            self.images += 1
            self._window.append((captured_s, arrived_s))
            self._last_s = arrived_s
            if lag_s is not None and lag_s > LAG_PERIODS / self._wanted_hz:
                self.lagging += 1
                self._lag_s, self._recent["lagging"] = lag_s, arrived_s

    def add_repeated(self, arrived_s: float) -> None:
        """Count an image that is identical to the last one."""
        with self._lock:
            self.repeated += 1
            self._recent["repeated"] = arrived_s

    def add_broken(self, arrived_s: float) -> None:
        """Count an image that cannot be decoded."""
        with self._lock:
            self.broken += 1
            self._recent["broken"] = arrived_s

    def report(self, now_s: float) -> StreamReport:
        """Return the state of the stream.

        Args:
            now_s: monotonic time, s.
        """
        with self._lock:
            times = np.array([pair for pair in self._window if now_s - pair[1] < WINDOW_S])
            age_s = now_s - self._last_s
            recent = {name for name, last_s in self._recent.items() if now_s - last_s < RECENT_S}
            counts = {"images": self.images, "repeated": self.repeated}
            counts |= {"lagging": self.lagging, "broken": self.broken}
            lag_s = self._lag_s
        span_s = float(np.ptp(times[:, 0])) if len(times) > 1 else 0.0
        rate_hz = (len(times) - 1) / span_s if span_s > 0 else 0.0
        intervals_s = np.diff(times[:, 0]) if len(times) > 2 else np.zeros(1)
        is_silent = age_s > SILENCE_PERIODS * max(1.0 / self._wanted_hz, np.median(intervals_s))
        problems = ["no images"] if is_silent else []
        if not is_silent and span_s > MIN_SPAN_S and rate_hz < MIN_RATE_FRACTION * self._wanted_hz:
            problems.append(f"low rate: {rate_hz:.1f} Hz, wanted {self._wanted_hz:g} Hz")
        if "repeated" in recent:
            problems.append(f"repeated images: {counts['repeated']} dropped")
        if "lagging" in recent:
            problems.append(f"lagging images: {counts['lagging']}, the last by {lag_s:.2f} s")
        if "broken" in recent:
            problems.append(f"broken images: {counts['broken']} dropped")
        values = {
            "rate_hz": f"{rate_hz:.2f}",
            "age_s": f"{age_s:.3f}",
            "latency_ms": f"{1e3 * np.median(times[:, 1] - times[:, 0]):.1f}" if len(times) else "",
            "jitter_ms": f"{1e3 * np.std(intervals_s):.1f}",
            **{name: str(count) for name, count in counts.items()},
        }
        level = "error" if is_silent else "warning" if problems else "ok"
        return StreamReport(level, problems, values)
