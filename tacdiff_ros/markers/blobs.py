"""Dark round spots of a tactile image: a map of darkness and the places where it peaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

#: An image side outside these is no tactile image: too coarse for dots, or a mistake.
_MIN_SIDE_PX, _MAX_SIDE_PX = 64, 4096
#: Grey levels added before two brightnesses are compared: a channel that is nearly black
#: everywhere then says "no difference" instead of noise.
_DARK_LEVEL = 10.0
#: A spot is at least this much darker than its surroundings ...
_MIN_DARKNESS = 0.10
#: ... and this fraction as dark as the usual spot of the same image.
_MIN_FRACTION_OF_TYPICAL = 0.35


def check_image(image: NDArray[np.uint8]) -> None:
    """Raise InputError unless `image` is (H, W, 3) uint8 with sides from 64 to 4096 px."""
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
    """How much darker than the gel around it every pixel is: (H, W), 0 as bright, 1 black.

    image: (H, W, 3) uint8, any order of channels. pitch_px: distance between dots, good to 30 %.
    Each channel is compared with the gel around it, a morphological closing wider than a dot and
    narrower than the pitch, and the middle one of the three ratios counts.
    Limit: a shadow narrower than half a pitch in two colours looks like a dot here.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), max(0.8, 0.025 * pitch_px))
    side = 2 * round(0.32 * pitch_px) + 1
    gel = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    gel = cv2.blur(gel, (side, side), borderType=cv2.BORDER_REPLICATE)
    pairs = zip(
        _lifted(np.asarray(smooth, np.uint8)), _lifted(np.asarray(gel, np.uint8)), strict=True
    )
    ratio = [cv2.divide(part, around, dtype=cv2.CV_32F) for part, around in pairs]
    # Why the middle one: each of three lamps lights one colour and a dot's relief shades one
    # lamp, so a fringe (yellow, magenta, cyan) lacks one channel while ink lacks all three.
    # Compared by eye on the real images: the darkest channel sees a false column of fringes; the
    # brightest takes in fringes where the gel has one strong colour; the largest ratio loses
    # the side of a dot that has a tint. In a rendered fringe that takes half of a channel the
    # middle ratio errs by 0.27 px, luminance by 0.5, green by 1.1, but the largest ratio by 0.06:
    # rendered ink has no tint. Noise is alike in all, 0.01 to 0.02 px.
    low, high = cv2.min(ratio[0], ratio[1]), cv2.max(ratio[0], ratio[1])
    middle = cv2.max(low, cv2.min(high, ratio[2]))
    return np.asarray(1.0 - middle, dtype=np.float32)


def _lifted(image: NDArray[np.uint8]) -> Sequence[NDArray[np.uint8]]:
    """The three channels, each value raised by the dark level."""
    return cast(
        "Sequence[NDArray[np.uint8]]",
        cv2.split(cv2.convertScaleAbs(image, alpha=1.0, beta=_DARK_LEVEL)),
    )


def find_blobs(
    darkness: NDArray[np.float32], pitch_px: float, typical_count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Peaks of the smoothed darkness: positions (N, 2) px (x, y) and strengths (N,).

    Broken dots count once, since the smoothing spans a dot. Positions are good to about 1 px
    (see `marker_measure`). typical_count: spots expected, to know the usual strength. A blank
    image gives none. A spot that the frame cuts is kept, with its peak on the border.
    """
    smooth = cv2.GaussianBlur(darkness, (0, 0), 0.12 * pitch_px, borderType=cv2.BORDER_REPLICATE)
    side = 2 * round(0.25 * pitch_px) + 1
    peak = (smooth == cv2.dilate(smooth, np.ones((side, side), np.uint8))) & (
        smooth > _MIN_DARKNESS
    )
    y, x = np.nonzero(peak)
    strength = smooth[y, x].astype(np.float64)
    usual = np.sort(strength)[-typical_count:]
    keep = strength > _MIN_FRACTION_OF_TYPICAL * (np.median(usual) if usual.size else 0.0)
    position = np.stack([x, y], axis=1).astype(np.float64)
    return position[keep], strength[keep]
