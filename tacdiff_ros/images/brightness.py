"""Brightness of an image relative to its reference: lamps warm up, and exposures drift.

Most of the gel is untouched and flat, so the most frequent ratio of pixel values is the ratio of
brightness. It is found per colour, because the three lamps drift apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import MIN_BRIGHTNESS, FitImage

Floats = NDArray[np.float64]

MAX_GAIN, USUAL_GAIN = 1.25, 1.1  # also as their reciprocals
BIN = 0.005  # of logarithms of ratios
RANGE = 0.7
WIDTH = 0.012  # standard deviation of the weights around the most frequent ratio
NEAR, MIN_FRACTION = 0.03, 0.3  # fraction of the pixels that must be within NEAR of it
REFINEMENTS = 3
MAX_PIXELS = 20_000
COLOURS = ("red", "green", "blue")


def relative_brightness(reference: FitImage, image: FitImage) -> Floats:
    """Return the ratio of an image's brightness to that of its reference.

    Args:
        reference: image of the untouched gel.
        image: image of the same size.

    Returns:
        (3,) ratio of each colour; ones where no ratio is frequent, as under a contact that covers
        most of the gel.
    """
    usable = reference.free & image.free & (reference.value > MIN_BRIGHTNESS).all(axis=-1)
    before, after = reference.value[usable], image.value[usable]
    thinning = max(len(before) // MAX_PIXELS, 1)
    ratio = np.log(
        np.maximum(after[::thinning], MIN_BRIGHTNESS) / before[::thinning], dtype=np.float64
    )
    frequent = [_mode(ratio[:, colour]) for colour in range(3)]
    if any(fraction < MIN_FRACTION for _, fraction in frequent):
        return np.ones(3)
    return np.exp([value for value, _ in frequent])


def at_brightness(image: FitImage, gain: Floats) -> FitImage:
    """Return an image at the brightness of its reference.

    Args:
        image: image.
        gain: (3,) result of `relative_brightness`.
    """
    return FitImage(image.value / gain, image.free)


def check_brightness(gain: Floats, name: str) -> list[str]:
    """Check that the brightness of an image is near that of its reference.

    Args:
        gain: (3,) result of `relative_brightness`.
        name: name of the image for messages.

    Returns:
        Warnings, empty for a usual difference.

    Raises:
        InputError: the difference is too large to be compensated.
    """
    max_gain = float(np.exp(np.abs(np.log(gain)).max()))
    if max_gain <= USUAL_GAIN:
        return []
    percent = 100.0 * (gain - 1.0)
    changes = ", ".join(f"{colour} {percent[k]:+.0f} %" for k, colour in enumerate(COLOURS))
    line = f"{name}: exposure or light changed since the reference ({changes})"
    if max_gain > MAX_GAIN:
        raise InputError(
            f"{line}, expected at most {100.0 * (MAX_GAIN - 1.0):.0f} %: lock the exposure and "
            "take a new reference"
        )
    return [f"{line}; it was compensated: a new reference is better"]


def _mode(values: Floats) -> tuple[float, float]:
    """Most frequent value, and the fraction of the values near it."""
    if not len(values):
        return 0.0, 0.0
    counts, edges = np.histogram(values, bins=round(2 * RANGE / BIN), range=(-RANGE, RANGE))
    smooth = np.convolve(counts, [1, 2, 3, 2, 1], mode="same")
    peak = float(edges[int(np.argmax(smooth))]) + 0.5 * BIN
    for _ in range(REFINEMENTS):
        weight = np.exp(-0.5 * ((values - peak) / WIDTH) ** 2)
        peak = float(np.sum(weight * values) / max(float(np.sum(weight)), 1e-12))
    return peak, float(np.mean(np.abs(values - peak) < NEAR))
