"""Images of touches as the fit of lights looks at them: smaller, and without the dots."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.markers.marker_field import MarkerField

Floats = NDArray[np.float64]

FIT_WIDTH_PX = 160
HALO = 1.45  # of a dot's diameter: fringes end there
SMOOTHING = 0.012  # of the image's width, of the reference between the dots
MIN_FRACTION = 0.5  # of a fit pixel that must be free of dots
SATURATED = 254
WHITE = 255
MIN_BRIGHTNESS = 0.02  # of white, of what changes are taken relative to


@dataclass(frozen=True)
class FitImage:
    """An image without its dots, h x w pixels.

    Attributes:
        value: (h, w, 3), 1 for white; the mean of the pixels that are free of dots.
        free: (h, w) bool, where enough of them are, and none is saturated.
    """

    value: Floats
    free: NDArray[np.bool_]

    @property
    def smooth(self) -> Floats:
        """(h, w, 3) with gaps filled from around and noise taken out."""
        weight = self.free.astype(np.float64)
        sigma = SMOOTHING * self.value.shape[1]
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        filled = cv2.GaussianBlur(self.value * weight[..., None], (0, 0), sigma)
        return np.asarray(filled / np.maximum(total, 1e-9)[..., None])


@dataclass(frozen=True)
class FitImageSettings:
    """What is kept of an image.

    Attributes:
        width_px: about, of the fit's images.
        halo: of a dot's diameter, within which pixels are left out.
        saturated: value from which pixels are left out; 256 keeps all.
    """

    width_px: int = FIT_WIDTH_PX
    halo: float = HALO
    saturated: int = SATURATED


def fit_size(width_px: int, height_px: int, wanted_px: int = FIT_WIDTH_PX) -> tuple[int, int]:
    """Width and height of the fit's images: a whole share of the image's, or all of it."""
    share = _share(width_px, wanted_px)
    return width_px // share, height_px // share


def fit_image(
    image: NDArray[np.uint8],
    dots: MarkerField | None,
    settings: FitImageSettings | None = None,
) -> FitImage:
    """An image at the fit's size; dots None for a gel without them."""
    settings = settings or FitImageSettings()
    free = ~marker_mask(image.shape[:2], dots, settings.halo)
    if settings.saturated <= WHITE:
        free &= (image < settings.saturated).all(axis=-1)
    share = _share(image.shape[1], settings.width_px)
    height, width = (side // share for side in image.shape[:2])
    inside = np.s_[: height * share, : width * share]
    weight = free[inside].astype(np.float32)
    masked = image[inside] * (weight / np.float32(WHITE))[..., None]
    size = width, height
    share_free = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA))  # of each block
    mean = np.asarray(cv2.resize(masked, size, interpolation=cv2.INTER_AREA))
    value = mean / np.maximum(share_free, np.float32(1e-6))[..., None]
    return FitImage(value.astype(np.float64), share_free >= MIN_FRACTION)


def value_change(before: Floats, after: Floats) -> Floats:
    """(..., 3) change of pixel values, 1 for white, relative to those before."""
    return np.asarray(after / np.maximum(before, MIN_BRIGHTNESS) - 1.0)


def marker_mask(
    shape: tuple[int, ...], dots: MarkerField | None, halo: float = HALO
) -> NDArray[np.bool_]:
    """(H, W) pixels of dots and their fringes."""
    mask = np.zeros(shape[:2], np.uint8)
    if dots is None:
        return mask.astype(bool)
    found = dots.found
    for (x, y), size in zip(dots.position_px[found], dots.diameter_px[found], strict=True):
        centre = (round(float(x) * 16), round(float(y) * 16))
        cv2.circle(mask, centre, round(8.0 * halo * float(size)), 1, -1, cv2.LINE_8, 4)
    return mask.astype(bool)


def _share(width_px: int, wanted_px: int) -> int:
    return max(width_px // wanted_px, 1)
