"""Darkness map of a tactile image and detection of the dark round blobs in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

#: Bounds of the sides of an image: smaller ones do not resolve markers, larger ones are mistakes.
_MIN_SIDE_PX, _MAX_SIDE_PX = 64, 4096
#: Grey levels added before two brightnesses are compared, so that a channel that is nearly black
#: everywhere contributes "no difference" instead of noise.
_DARK_LEVEL = 10.0
#: Minimum darkness of a blob relative to its surroundings ...
_MIN_DARKNESS = 0.10
#: ... and relative to the typical blob of the same image.
_MIN_FRACTION_OF_TYPICAL = 0.35


def check_image(image: NDArray[np.uint8]) -> None:
    """Check type and size of an image.

    Args:
        image: (H, W, 3) uint8 RGB image.

    Raises:
        InputError: the image is no (H, W, 3) uint8 array, or a side is outside 64 to 4096 px.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"image: got {type(image).__name__}, expected a uint8 array (H, W, 3)")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"image: got {image.dtype} {image.shape}, expected uint8 (height, width, 3) RGB"
        )
    if min(image.shape[:2]) < _MIN_SIDE_PX or max(image.shape[:2]) > _MAX_SIDE_PX:
        raise InputError(
            f"image: got {image.shape[1]} x {image.shape[0]} px, "
            f"expected sides from {_MIN_SIDE_PX} to {_MAX_SIDE_PX} px"
        )


def darkness_map(image: NDArray[np.uint8], pitch_px: float) -> NDArray[np.float32]:
    """Return how much darker each pixel is than the gel around it.

    Each channel is compared with the surrounding gel, estimated by a morphological closing that is
    wider than a marker and narrower than the pitch. The darkness is 1 minus the median of the three
    ratios.

    Limits: a shadow that is narrower than half a pitch in two colours resembles a marker.

    Args:
        image: (H, W, 3) uint8 image, in any order of channels.
        pitch_px: distance between markers, px, accurate to 30 %.

    Returns:
        (H, W) float32 darkness, 0 for pixels as bright as the gel and 1 for black.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), max(0.8, 0.025 * pitch_px))
    side = 2 * round(0.32 * pitch_px) + 1
    gel = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    gel = cv2.blur(gel, (side, side), borderType=cv2.BORDER_REPLICATE)
    pairs = zip(
        _raised_channels(np.asarray(smooth, np.uint8)),
        _raised_channels(np.asarray(gel, np.uint8)),
        strict=True,
    )
    ratio = [cv2.divide(value, around, dtype=cv2.CV_32F) for value, around in pairs]
    # Why the median: each of three lamps lights one colour, and the relief of a marker shades one
    # lamp. Therefore a fringe (yellow, magenta, cyan) lacks one channel, while ink lacks all three.
    # Alternatives, compared by eye on the real images: the darkest channel detects a false column
    # of fringes; the brightest channel includes fringes where the gel has one strong colour; the
    # largest ratio loses the side of a marker that has a tint. In a rendered fringe that takes half
    # of a channel, the median ratio errs by 0.27 px, luminance by 0.5 px, green by 1.1 px, and the
    # largest ratio by only 0.06 px, because rendered ink has no tint. The effect of noise is the
    # same for all, 0.01 to 0.02 px.
    low, high = cv2.min(ratio[0], ratio[1]), cv2.max(ratio[0], ratio[1])
    median = cv2.max(low, cv2.min(high, ratio[2]))
    return np.asarray(1.0 - median, dtype=np.float32)


def _raised_channels(image: NDArray[np.uint8]) -> Sequence[NDArray[np.uint8]]:
    """Return the three channels of an image after adding `_DARK_LEVEL`."""
    return cast(
        "Sequence[NDArray[np.uint8]]",
        cv2.split(cv2.convertScaleAbs(image, alpha=1.0, beta=_DARK_LEVEL)),
    )


def find_blobs(
    darkness: NDArray[np.float32], pitch_px: float, typical_count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the peaks of the smoothed darkness, accurate to about 1 px (see `measurement`).

    A broken marker makes one peak, because the smoothing spans a marker. A blob that the frame cuts
    has its peak at the border.

    Args:
        darkness: (H, W) float32 result of `darkness_map`.
        pitch_px: distance between markers, px.
        typical_count: expected number of blobs, from which the typical strength is estimated.

    Returns:
        Tuple of the positions (N, 2) (x, y), px, and the strengths (N,); N = 0 for a blank image.
    """
    smooth = cv2.GaussianBlur(darkness, (0, 0), 0.12 * pitch_px, borderType=cv2.BORDER_REPLICATE)
    side = 2 * round(0.25 * pitch_px) + 1
    is_peak = (smooth == cv2.dilate(smooth, np.ones((side, side), np.uint8))) & (
        smooth > _MIN_DARKNESS
    )
    y, x = np.nonzero(is_peak)
    strength = smooth[y, x].astype(np.float64)
    strongest = np.sort(strength)[-typical_count:]
    typical = np.median(strongest) if strongest.size else 0.0
    is_strong = strength > _MIN_FRACTION_OF_TYPICAL * typical
    position = np.stack([x, y], axis=1).astype(np.float64)
    return position[is_strong], strength[is_strong]
