"""Silence of images after which the motion pauses; longer for a slow camera."""

from __future__ import annotations

from tacdiff_ros.acquisition.safety_limits import SafetyLimits

PAUSE_INTERVALS = 2.0  # silence, in intervals of the image stream, after which motion pauses
PAUSE_TOLERANCE = 0.1  # relative; a smaller adaptation is no low rate
MAX_PAUSE_FRACTION = 0.5  # of `image_age_s`: the pause still comes before the stop


def image_pause_s(limits: SafetyLimits, interval_s: float | None) -> float:
    """Return the silence of images after which motion pauses, s.

    At least `image_pause_s` of the limits. A camera that is slower than that permits would stop
    the motion before each image; therefore two intervals of its stream are waited for, but at most
    half of `image_age_s`.

    Args:
        limits: safety limits.
        interval_s: time between two images, s; None while it is unknown.
    """
    adapted_s = min(PAUSE_INTERVALS * (interval_s or 0.0), MAX_PAUSE_FRACTION * limits.image_age_s)
    return max(limits.image_pause_s, adapted_s)


def low_rate_warning(limits: SafetyLimits, interval_s: float | None) -> str:
    """Return one line if the images are so slow that the pause was adapted; else empty.

    Args:
        limits: safety limits.
        interval_s: time between two images, s; None while it is unknown.
    """
    pause_s = image_pause_s(limits, interval_s)
    if interval_s is None or pause_s <= limits.image_pause_s * (1.0 + PAUSE_TOLERANCE):
        return ""
    stutter = ""
    if pause_s < PAUSE_INTERVALS * interval_s:
        stutter = ", which is less than two images: raise limits.image_age_s"
    return (
        f"low image rate, {1.0 / interval_s:.1f} Hz: motion pauses after "
        f"{1e3 * pause_s:.0f} ms without an image instead of "
        f"{1e3 * limits.image_pause_s:.0f} ms{stutter}"
    )
