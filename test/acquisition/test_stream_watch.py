"""What a stream of messages is told to be wrong with."""

from __future__ import annotations

from tacdiff_ros.acquisition.faults import Cause
from tacdiff_ros.acquisition.stream_watch import StreamWatch


def watch() -> StreamWatch:
    return StreamWatch("image", 0.2, Cause.STALE_IMAGES, 0.05)


def test_images_without_stamp_are_named_as_such_and_not_as_late():
    stream = watch()
    assert stream.receive(0, 100.0) is None
    fault = stream.receive(0, 100.04)
    assert fault.cause is Cause.STALE_IMAGES
    assert "the image carries no stamp (header.stamp is 0)" in fault.detail


def test_a_clock_may_start_at_zero():
    stream = watch()
    assert [stream.receive(k * 40_000_000, 100 + 0.04 * k) for k in range(5)] == [None] * 5
