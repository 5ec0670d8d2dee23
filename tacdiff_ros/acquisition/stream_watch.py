"""Age and clock of one stream of messages."""

from __future__ import annotations

from tacdiff_ros.acquisition.faults import Cause, Fault

CLOCK_DRIFT = 1e-3  # two clocks may run apart by so many seconds a second
SETTLING_S = 0.5  # messages of so long a time hold one that was not delayed


class StreamWatch:
    """Finds silence, late messages and jumps of the clock that stamps them.

    A stamp's offset is the monotonic time of reception less the stamp. Its smallest value is that
    of an undelayed message: an offset far above it means a late message, one far below a clock
    that was set forward. The smallest value creeps upward, as two clocks never run alike.
    The first message may itself be late by as much as the age limit, so until the smallest value
    has settled a message may seem to come early by as much.
    Limits: a clock set back by less than the time between two messages looks like a late message.
    """

    def __init__(self, name: str, age_limit_s: float, stale: Cause, jump_limit_s: float) -> None:
        """Watch for a stream.

        Args:
            name: for the messages, "robot state".
            age_limit_s: longest silence and longest delay.
            stale: cause of a fault by silence or delay.
            jump_limit_s: largest step of the clock.
        """
        self._name = name
        self._age_limit_s = age_limit_s
        self._stale = stale
        self._jump_limit_s = jump_limit_s
        self._last: tuple[int, float] | None = None
        self._least_offset_s = 0.0
        self._settled_at_s = 0.0

    def forget(self) -> None:
        """Begin anew with the next message."""
        self._last = None

    def receive(self, stamp_ns: int, now_s: float) -> Fault | None:
        """Take in a message's stamp, received at a monotonic time."""
        offset_s = now_s - 1e-9 * stamp_ns
        last, self._last = self._last, (stamp_ns, now_s)
        if last is None:
            self._least_offset_s = offset_s
            self._settled_at_s = now_s + SETTLING_S
            return None
        expected_s = self._least_offset_s + CLOCK_DRIFT * (now_s - last[1])
        self._least_offset_s = min(expected_s, offset_s)
        late_s = offset_s - expected_s
        if stamp_ns < last[0] or late_s < -self._early_limit_s(now_s):
            step_ms, elapsed_ms = 1e-6 * (stamp_ns - last[0]), 1e3 * (now_s - last[1])
            return Fault(
                Cause.CLOCK_JUMP,
                f"the stamp of the {self._name} moved by {step_ms:.0f} ms within "
                f"{elapsed_ms:.0f} ms: synchronise the clocks",
            )
        if late_s > self._age_limit_s:
            what = f"the {self._name} came {1e3 * late_s:.0f} ms late"
            return Fault(self._stale, f"{what}, limit {1e3 * self._age_limit_s:.0f} ms")
        return None

    def _early_limit_s(self, now_s: float) -> float:
        settled = now_s >= self._settled_at_s
        return self._jump_limit_s if settled else max(self._jump_limit_s, self._age_limit_s)

    def silence(self, now_s: float) -> Fault | None:
        """A fault when nothing came for longer than allowed; None before the first message."""
        if self._last is None or now_s - self._last[1] <= self._age_limit_s:
            return None
        what = f"no {self._name} for {1e3 * (now_s - self._last[1]):.0f} ms"
        return Fault(self._stale, f"{what}, limit {1e3 * self._age_limit_s:.0f} ms")

    def age_s(self, now_s: float) -> float:
        """Time since the last message; 0 before the first."""
        return now_s - self._last[1] if self._last is not None else 0.0

    @property
    def has_received(self) -> bool:
        """Whether a message came since the start or the last `forget`."""
        return self._last is not None
