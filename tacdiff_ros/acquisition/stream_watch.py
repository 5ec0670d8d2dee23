"""Supervision of the age and the clock of one stream of messages."""

from __future__ import annotations

from collections import deque
from statistics import median

from tacdiff_ros.acquisition.faults import Cause, Fault

CLOCK_DRIFT = 1e-3  # maximum relative drift of two clocks, s/s
SETTLING_S = 0.5  # among the messages of this time, at least one was not delayed
INTERVALS = 9  # last intervals, whose median is the interval of the stream
MIN_INTERVALS = 3


class StreamWatch:
    """Detects silence, late messages and jumps of the clock that stamps the messages.

    The offset of a message is the monotonic time of its reception minus its stamp. The minimum
    offset belongs to a message without delay: an offset far above it means a late message, an
    offset far below it means that the clock was set forward. The minimum is raised slowly with
    time, because two clocks drift apart. The first message may itself be late by up to the age
    limit; until the minimum has settled, a message may therefore seem early by as much.
    Limits: a clock that is set back by less than the time between two messages looks like a late
    message.
    """

    def __init__(self, name: str, age_limit_s: float, stale: Cause, jump_limit_s: float) -> None:
        """Start before the first message.

        Args:
            name: name of the stream in fault messages, such as "robot state".
            age_limit_s: maximum silence and maximum delay, s.
            stale: cause of the fault on silence or delay.
            jump_limit_s: maximum jump of the message clock, s.
        """
        self._name = name
        self._age_limit_s = age_limit_s
        self._stale = stale
        self._jump_limit_s = jump_limit_s
        self._last: tuple[int, float] | None = None
        self._min_offset_s = 0.0
        self._settled_at_s = 0.0
        self._intervals_s: deque[float] = deque(maxlen=INTERVALS)

    def forget(self) -> None:
        """Restart the supervision with the next message."""
        self._last = None
        self._intervals_s.clear()

    def receive(self, stamp_ns: int, now_s: float) -> Fault | None:
        """Check the stamp of a message.

        Args:
            stamp_ns: stamp of the message, ns.
            now_s: monotonic time of its reception, s.

        Returns:
            The fault of a late message, a clock jump or a second message without stamp; None
            without one.
        """
        offset_s = now_s - 1e-9 * stamp_ns
        last, self._last = self._last, (stamp_ns, now_s)
        if last is None:
            self._min_offset_s = offset_s
            self._settled_at_s = now_s + SETTLING_S
            return None
        if stamp_ns == 0 == last[0]:
            return Fault(
                self._stale,
                f"the {self._name} carries no stamp (header.stamp is 0): let its driver set it",
            )
        self._intervals_s.append(now_s - last[1])
        expected_s = self._min_offset_s + CLOCK_DRIFT * (now_s - last[1])
        self._min_offset_s = min(expected_s, offset_s)
        late_s = offset_s - expected_s
        if stamp_ns < last[0] or late_s < -self._early_limit_s(now_s):
            step_ms, elapsed_ms = 1e-6 * (stamp_ns - last[0]), 1e3 * (now_s - last[1])
            return Fault(
                Cause.CLOCK_JUMP,
                f"the stamp of the {self._name} moved by {step_ms:.0f} ms within "
                f"{elapsed_ms:.0f} ms: synchronise the clocks",
            )
        if late_s > self._age_limit_s:
            event = f"the {self._name} came {1e3 * late_s:.0f} ms late"
            return Fault(self._stale, f"{event}, limit {1e3 * self._age_limit_s:.0f} ms")
        return None

    def _early_limit_s(self, now_s: float) -> float:
        settled = now_s >= self._settled_at_s
        return self._jump_limit_s if settled else max(self._jump_limit_s, self._age_limit_s)

    def silence(self, now_s: float) -> Fault | None:
        """Return a fault if no message came for longer than the age limit.

        Args:
            now_s: monotonic time, s.

        Returns:
            The fault; None without one, and before the first message.
        """
        if self._last is None or now_s - self._last[1] <= self._age_limit_s:
            return None
        event = f"no {self._name} for {1e3 * (now_s - self._last[1]):.0f} ms"
        return Fault(self._stale, f"{event}, limit {1e3 * self._age_limit_s:.0f} ms")

    def age_s(self, now_s: float) -> float:
        """Return the time since the last message, s; 0 before the first one."""
        return now_s - self._last[1] if self._last is not None else 0.0

    def interval_s(self) -> float | None:
        """Return the median time between the last messages, s; None after too few messages."""
        return median(self._intervals_s) if len(self._intervals_s) >= MIN_INTERVALS else None

    @property
    def has_received(self) -> bool:
        """Whether a message came since the start or the last call of `forget`."""
        return self._last is not None
