"""Images that were lost are counted from the stamps of those that came."""

import numpy as np
import pytest

from tacdiff_ros.recording.stream_gaps import WINDOW, StreamGaps


def count_lost(stamps_ns) -> int:
    gaps = StreamGaps()
    for stamp_ns in stamps_ns:
        gaps.add(int(stamp_ns))
    return gaps.lost


def camera(count: int, rate_hz: float, jitter: float, seed: int) -> np.ndarray:
    """Stamps of a camera whose intervals scatter by a share of the period."""
    random = np.random.default_rng(seed)
    period_ns = 1e9 / rate_hz
    jitter_ns = jitter * period_ns * random.uniform(-1, 1, count)
    return (10**18 + np.arange(count) * period_ns + jitter_ns).astype(np.int64)


@pytest.mark.parametrize("rate_hz", [25.0, 30.0, 60.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_camera_with_jitter_has_lost_nothing(rate_hz, seed):
    assert count_lost(camera(500, rate_hz, 0.2, seed)) == 0


@pytest.mark.parametrize("seed", range(10))
def test_every_dropped_image_is_counted(seed):
    """Single images and bursts of up to eight are taken out at random."""
    random = np.random.default_rng(seed)
    stamps = camera(1000, 25.0, 0.1, seed)
    keep = np.ones(1000, bool)
    for start in random.choice(np.arange(50, 980, 12), 25, replace=False):
        keep[start : start + random.integers(1, 9)] = False
    assert count_lost(stamps[keep]) == np.count_nonzero(~keep)


def test_nothing_is_guessed_before_the_rate_is_known():
    stamps = camera(WINDOW, 25.0, 0.0, 0)
    assert count_lost(np.delete(stamps, [3, 4, 5])) == 0


def test_a_clock_set_back_costs_no_image():
    stamps = camera(200, 25.0, 0.05, 3)
    stamps[100:] -= 3_600_000_000_000
    assert count_lost(stamps) == 0


def test_an_image_delivered_twice_is_no_loss():
    stamps = camera(100, 25.0, 0.05, 4)
    assert count_lost(np.repeat(stamps, 2)) == 0
