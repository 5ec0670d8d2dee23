"""Time of capture of camera images on the monotonic clock."""

from __future__ import annotations

MAX_FIRST_AGE_S = 0.5  # plausible age of the first image of a stream
FUTURE_TOLERANCE_S = 2e-3
CLOCK_DRIFT = 1e-3  # maximum relative drift of the driver's clock, s/s


class CaptureClock:
    """Uses the driver's time stamps while they are plausible, and the time of arrival otherwise.

    V4L2 stamps a buffer on the monotonic clock when its first data arrives, and OpenCV returns the
    stamp as CAP_PROP_POS_MSEC (modules/videoio/src/cap_v4l.cpp). Other back ends and versions
    return 0, a position in the stream, or another clock's time.

    Attributes:
        complaint: reason why the driver's time stamps are not used; empty while they are.
        lag_s: additional delay of the newest image relative to the stream's minimum, s; None
            without time stamps of the driver.
    """

    def __init__(self) -> None:
        """Start before the first image of a stream."""
        self.complaint = ""
        self.lag_s: float | None = None
        self._last: tuple[float, float] | None = None
        self._min_age_s = 0.0

    def captured_s(self, driver_ms: float, arrived_s: float) -> float:
        """Return the time of capture of a new image.

        Args:
            driver_ms: driver's time stamp, ms.
            arrived_s: monotonic time of the arrival, s.

        Returns:
            Monotonic time, s.
        """
        stamp_s = 1e-3 * driver_ms
        self.complaint = self.complaint or self._complaint(stamp_s, arrived_s)
        if self.complaint:
            self.lag_s = None
            return arrived_s
        age_s = arrived_s - stamp_s
        if self._last is None:
            self._min_age_s = age_s
        else:
            drift_s = CLOCK_DRIFT * (arrived_s - self._last[1])
            self._min_age_s = min(self._min_age_s + drift_s, age_s)
        self.lag_s = age_s - self._min_age_s
        self._last = stamp_s, arrived_s
        return stamp_s

    def _complaint(self, stamp_s: float, arrived_s: float) -> str:
        if stamp_s <= 0.0:
            return "the driver gives no time stamps"
        if self._last is None and not abs(arrived_s - stamp_s) <= MAX_FIRST_AGE_S:
            return (
                f"the driver's time stamps are {arrived_s - stamp_s:.1f} s from the arrival: they "
                "are not on the monotonic clock"
            )
        early_s = stamp_s - arrived_s
        if early_s > FUTURE_TOLERANCE_S:
            return f"the driver's time stamps are {1e3 * early_s:.0f} ms in the future"
        if self._last is not None and stamp_s <= self._last[0]:
            return "the driver's time stamps do not increase"
        return ""
