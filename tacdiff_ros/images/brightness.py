"""Brightness of an image relative to its reference: lamps warm up, and exposures drift.

Most of the gel is untouched and flat, so the most frequent ratio of pixel values is the ratio of
brightness. It is found per colour, because the three lamps drift apart. A lamp that moves or ages
changes the ratio over the image, slowly: a polynomial in the position follows it where it brings
more pixels to the reference than one ratio does.

Limits: changes over less than half of the image, and of a press that covers most of it, cannot be
told from a press.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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
ORDER = 2  # of the polynomial
MAX_FIELD_PIXELS = 1_500
FIELD_WIDTHS = (0.05, 0.04, 0.03, 0.02, WIDTH, WIDTH)  # of the weights, one a step
MAX_REFINEMENT = 0.06  # of the logarithm of the gain: more is an error of the prediction
MIN_GAIN_OF_FRACTION = 0.03  # fraction of the pixels that the polynomial must add


@dataclass(frozen=True)
class BrightnessChange:
    """Brightness of an image relative to its reference.

    Attributes:
        gain: (h, w, 3) ratio of each pixel and colour.
        fraction: fraction of the pixels that have this ratio within 3 % in all colours: those that
            no press changes.
        is_known: whether that fraction is large enough; if not, `gain` is 1.
        median: (3,) median ratio of each colour, changes by a press included.
        is_unwanted: whether the image is used as it is.
    """

    gain: Floats
    fraction: float
    is_known: bool
    median: Floats
    is_unwanted: bool = False

    @classmethod
    def none(cls, image: FitImage) -> BrightnessChange:
        """Return no change, for an image that is used as it is."""
        return cls(np.ones(image.value.shape), 1.0, True, np.ones(3), is_unwanted=True)

    @property
    def mean(self) -> Floats:
        """(3,) geometric mean over the image of each colour."""
        return np.asarray(np.exp(np.log(self.gain).mean(axis=(0, 1))))

    @property
    def variation(self) -> float:
        """Range over the image, largest / smallest - 1, of the colour that varies most."""
        high, low = self.gain.max(axis=(0, 1)), self.gain.min(axis=(0, 1))
        return float((high / low).max() - 1.0)


def brightness_change(reference: FitImage, image: FitImage) -> BrightnessChange:
    """Estimate how the brightness of an image differs from its reference, by colour and position.

    Args:
        reference: image of the untouched gel.
        image: image of the same size.
    """
    ratio, pixels = _log_ratio(reference, image, MAX_FIELD_PIXELS)
    shape = reference.free.shape
    if not len(ratio):
        return BrightnessChange(np.ones((*shape, 3)), 0.0, False, np.ones(3))
    basis = _polynomials(shape)
    at = basis.reshape(-1, basis.shape[-1])[pixels]
    even = np.zeros((basis.shape[-1], 3))
    even[0] = [_mode(ratio[:, colour])[0] for colour in range(3)]
    uneven = _fitted(ratio, at, even)
    fractions = [_near(ratio - at @ terms) for terms in (even, uneven)]
    is_uneven = fractions[1] > fractions[0] + MIN_GAIN_OF_FRACTION
    best, best_fraction = (uneven if is_uneven else even), fractions[is_uneven]
    is_known = best_fraction >= MIN_FRACTION
    gain = np.exp(basis @ best) if is_known else np.ones((*shape, 3))
    return BrightnessChange(gain, best_fraction, is_known, np.exp(np.median(ratio, axis=0)))


def refined_brightness(
    change: BrightnessChange, predicted: Floats, image: FitImage
) -> BrightnessChange:
    """Estimate the brightness of an image again, relative to a prediction of it.

    A press darkens and lights the gel around it by shadows and reflected light, which the first
    estimate takes for a change of brightness of some per cent; the prediction contains them. A
    prediction that asks for more than that is not used.

    Args:
        change: first estimate; it stays if it is not known, or 1 because it is not wanted.
        predicted: (h, w, 3) predicted pixel values at the brightness of the reference.
        image: image as it was taken.
    """
    if not change.is_known or change.is_unwanted:
        return change
    refined = brightness_change(FitImage(predicted, image.free), image)
    is_near = np.abs(np.log(refined.gain / change.gain)).max() < MAX_REFINEMENT
    return refined if refined.is_known and is_near else change


def relative_brightness(reference: FitImage, image: FitImage) -> Floats:
    """Return the ratio of an image's brightness to that of its reference.

    Args:
        reference: image of the untouched gel.
        image: image of the same size.

    Returns:
        (3,) ratio of each colour; ones where no ratio is frequent, as under a contact that covers
        most of the gel.
    """
    ratio, _ = _log_ratio(reference, image, MAX_PIXELS)
    frequent = [_mode(ratio[:, colour]) for colour in range(3)]
    if any(fraction < MIN_FRACTION for _, fraction in frequent):
        return np.ones(3)
    return np.exp([value for value, _ in frequent])


def at_brightness(image: FitImage, gain: Floats) -> FitImage:
    """Return an image at the brightness of its reference; what gets brighter than white is white.

    Args:
        image: image.
        gain: (3,) result of `relative_brightness`, or (h, w, 3) that of `brightness_change`.
    """
    return FitImage(np.minimum(image.value / gain, 1.0), image.free)


def check_brightness_change(change: BrightnessChange, name: str) -> list[str]:
    """Check that the brightness of an image is near that of its reference, or can be compensated.

    Args:
        change: result of `brightness_change`.
        name: name of the image for messages.

    Returns:
        Warnings, empty for a usual difference.

    Raises:
        InputError: the difference is too large to be compensated, or the press covers so much of
            the gel that it cannot be told from the press.
    """
    if change.is_known:
        return check_brightness(change.gain, name)
    if np.abs(np.log(change.median)).max() > np.log(USUAL_GAIN):
        raise InputError(
            f"{name}: exposure or light changed since the reference ({_percent(change.median)} in "
            "the median), which cannot be told from the press here: lock the exposure and take a "
            "new reference"
        )
    return [
        f"{name}: the press covers so much of the gel that a change of light since the reference "
        "cannot be told from it: take a reference shortly before"
    ]


def check_brightness(gain: Floats, name: str) -> list[str]:
    """Check that the brightness of an image is near that of its reference.

    Args:
        gain: (3,) result of `relative_brightness`, or (h, w, 3) that of `brightness_change`.
        name: name of the image for messages.

    Returns:
        Warnings, empty for a usual difference.

    Raises:
        InputError: the difference is too large to be compensated.
    """
    max_gain = float(np.exp(np.abs(np.log(gain)).max()))
    if max_gain <= USUAL_GAIN:
        return []
    log = np.log(gain).reshape(-1, 3)
    strongest = np.exp(log[np.abs(log).argmax(axis=0), np.arange(3)])
    line = f"{name}: exposure or light changed since the reference ({_percent(strongest)})"
    if max_gain > MAX_GAIN:
        raise InputError(
            f"{line}, expected at most {100.0 * (MAX_GAIN - 1.0):.0f} %: lock the exposure and "
            "take a new reference"
        )
    return [f"{line}; it was compensated: a new reference is better"]


def _log_ratio(
    reference: FitImage, image: FitImage, max_pixels: int
) -> tuple[Floats, NDArray[np.intp]]:
    """Logarithms (n, 3) of the ratio of image to reference, and the (n,) pixels they are from.

    Pixels that show the gel in both images are thinned out to about `max_pixels`.
    """
    usable = reference.free & image.free & (reference.value > MIN_BRIGHTNESS).all(axis=-1)
    pixels = np.flatnonzero(usable)
    pixels = pixels[:: max(len(pixels) // max_pixels, 1)]
    before, after = (part.value.reshape(-1, 3)[pixels] for part in (reference, image))
    return np.log(np.maximum(after, MIN_BRIGHTNESS) / before), pixels


def _percent(gain: Floats) -> str:
    return ", ".join(f"{name} {100.0 * (gain[k] - 1.0):+.0f} %" for k, name in enumerate(COLOURS))


@lru_cache(maxsize=8)
def _polynomials(shape: tuple[int, int]) -> Floats:
    """(h, w, terms) monomials of the position, from -1 to 1, by increasing order."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return np.stack([x**i * y ** (n - i) for n in range(ORDER + 1) for i in range(n + 1)], axis=-1)


def _fitted(ratio: Floats, at: Floats, start: Floats) -> Floats:
    """Polynomial terms (terms, 3) of the most frequent ratio.

    Iteratively reweighted least squares: pixels that a press has changed get no weight.
    """
    terms = start
    ridge = 1e-6 * len(at) * np.eye(at.shape[1])
    for width in FIELD_WIDTHS:
        weight = np.exp(-0.5 * ((ratio - at @ terms) / width) ** 2)
        weighted = at[:, :, None] * weight[:, None, :]
        matrices = np.einsum("ntc,ns->cts", weighted, at, optimize=True) + ridge
        right = np.einsum("ntc,nc->ct", weighted, ratio)
        terms = np.linalg.solve(matrices, right[..., None])[..., 0].T
    return terms


def _near(residual: Floats) -> float:
    """Fraction of the residuals (n, 3) that are below `NEAR` in all colours."""
    return float(np.mean(np.abs(residual).max(axis=-1) < NEAR)) if len(residual) else 0.0


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
