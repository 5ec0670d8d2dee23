"""The image watch adapts its pause to slow cameras, and notices a stop as before."""

from itertools import pairwise

import numpy as np
import pytest

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.safety import SafetyMonitor
from tacdiff_ros.acquisition.safety_limits import SafetyLimits
from tacdiff_ros.geometry.pose import Pose

LIMITS = SafetyLimits(box_min_mm=(-50.0, -50.0, -50.0), box_max_mm=(50.0, 50.0, 50.0))
TICK_S = 0.01
SHAPE = (240, 320, 3)
EPOCH_NS = 1_700_000_000 * 1_000_000_000


def monitor(**limits: float) -> SafetyMonitor:
    changed = SafetyLimits(**{**LIMITS.model_dump(), **limits})
    return SafetyMonitor(changed, Pose.from_euler([0, 0, 0], [0, 0, 0]))


def steady(rate_hz: float, seconds: float = 5.0, jitter_s: float = 0.0) -> np.ndarray:
    """Arrival times, each up to `jitter_s` from its due time."""
    due_s = np.arange(1, int(seconds * rate_hz)) / rate_hz
    return due_s + np.random.default_rng(0).uniform(-jitter_s, jitter_s, len(due_s))


def paused_ticks(watch: SafetyMonitor, arrivals_s: np.ndarray, end_s: float) -> list[float]:
    """Feed images and tick at 100 Hz; return the times of the ticks that want a pause."""
    pauses, pending = [], list(arrivals_s)
    for tick in range(round(end_s / TICK_S)):
        now_s = tick * TICK_S
        while pending and pending[0] <= now_s:
            arrived_s = pending.pop(0)
            watch.on_image(EPOCH_NS + round(1e9 * arrived_s), SHAPE, 5.0 + arrived_s)
        watch.check_ages(5.0 + now_s)
        if watch.wants_pause(5.0 + now_s):
            pauses.append(now_s)
    return pauses


@pytest.mark.parametrize(
    ("rate_hz", "jitter_s"), [(10, 0.0), (15, 0.0), (18.75, 0.0), (25, 0.0), (10, 0.02), (15, 0.02)]
)
def test_a_steady_stream_causes_no_pause(rate_hz, jitter_s):
    arrivals_s = steady(rate_hz, jitter_s=jitter_s)
    watch = monitor()
    pauses = paused_ticks(watch, arrivals_s, arrivals_s[-1])
    assert [time_s for time_s in pauses if time_s > 0.6] == []  # the rate is known
    assert watch.fault is None


@pytest.mark.parametrize("rate_hz", [10, 15, 25])
def test_a_stream_that_stops_pauses_the_motion_and_then_ends_the_run_within_the_limits(rate_hz):
    arrivals_s = steady(rate_hz)
    watch, stop_s = monitor(), arrivals_s[-1]
    pauses = [time_s for time_s in paused_ticks(watch, arrivals_s, stop_s + 0.38) if time_s > 0.6]
    longest_s = min(max(LIMITS.image_pause_s, 2.0 / rate_hz), 0.5 * LIMITS.image_age_s)
    assert stop_s < pauses[0] < stop_s + longest_s + 1.5 * TICK_S
    assert all(later - earlier < 1.5 * TICK_S for earlier, later in pairwise(pauses))
    assert watch.fault is None
    watch.check_ages(5.0 + stop_s + LIMITS.image_age_s + 1e-3)
    assert watch.fault is not None
    assert watch.fault.cause is Cause.STALE_IMAGES


def test_however_slow_the_stream_the_pause_comes_at_half_of_the_silence_that_ends_the_run():
    watch = monitor(image_age_s=0.3)
    paused_ticks(watch, steady(4), 5.0)
    assert watch.image_pause_s() == pytest.approx(0.15)
    assert "raise limits.image_age_s" in watch.low_rate_warning()


def test_a_longer_pause_of_the_limits_is_kept():
    watch = monitor(image_pause_s=0.35)
    paused_ticks(watch, steady(10), 5.0)
    assert watch.image_pause_s() == 0.35


def test_one_gap_in_a_fast_stream_does_not_lengthen_the_pause():
    arrivals_s = steady(25)
    watch = monitor()
    paused_ticks(watch, np.delete(arrivals_s, slice(60, 66)), arrivals_s[70])
    assert watch.image_pause_s() == pytest.approx(LIMITS.image_pause_s, rel=0.01)


@pytest.mark.parametrize(("rate_hz", "is_low"), [(10, True), (15, True), (25, False), (30, False)])
def test_a_low_rate_is_said_with_both_times(rate_hz, is_low):
    watch = monitor()
    paused_ticks(watch, steady(rate_hz), 4.0)
    text = watch.low_rate_warning()
    assert bool(text) == is_low
    if is_low:
        assert f"{rate_hz:.1f} Hz" in text
        assert f"{2000 / rate_hz:.0f} ms without an image instead of 80 ms" in text
