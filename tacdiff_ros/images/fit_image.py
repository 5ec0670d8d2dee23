"""Reduced images without markers, on which lights and surfaces are fitted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.markers.marker_field import MarkerField

Floats = NDArray[np.float64]

FIT_WIDTH_PX = 160
HALO = 1.45  # diameter of the excluded disc around a marker and its fringes, in marker diameters
SMOOTHING = 0.012  # sigma of the smoothing between the markers, in image widths
MIN_FRACTION = 0.5  # of a reduced pixel that must be free of markers
SATURATED = 254
WHITE = 255
MIN_BRIGHTNESS = 0.02  # of white; lower bound of the denominator of relative changes
CENTRE_BITS = 4  # fractional bits of the discs' centres and radii in OpenCV


@dataclass(frozen=True)
class FitImage:
    """A reduced image without markers, h x w pixels.

    Attributes:
        value: (h, w, 3) float64 mean over the usable image pixels of each reduced pixel, 1 for
            white.
        free: (h, w) bool, true where enough pixels are free of markers and not saturated.
    """

    value: Floats
    free: NDArray[np.bool_]

    @cached_property
    def smooth(self) -> Floats:
        """(h, w, 3) image after smoothing, with gaps filled from their surroundings."""
        weight = self.free.astype(np.float64)
        sigma = SMOOTHING * self.value.shape[1]
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        filled = cv2.GaussianBlur(self.value * weight[..., None], (0, 0), sigma)
        return np.asarray(filled / np.maximum(total, 1e-9)[..., None])


@dataclass(frozen=True)
class FitImageSettings:
    """Size of the reduced images and criteria for usable pixels.

    Attributes:
        width_px: approximate width of the reduced images, px.
        halo: diameter of the excluded disc around a marker, in marker diameters.
        saturated: grey level from which pixels are excluded; 256 keeps all.
    """

    width_px: int = FIT_WIDTH_PX
    halo: float = HALO
    saturated: int = SATURATED


def fit_size(width_px: int, height_px: int, wanted_px: int = FIT_WIDTH_PX) -> tuple[int, int]:
    """Return the size of the reduced images, a whole fraction of the image's size.

    Args:
        width_px: width of the image, px.
        height_px: height of the image, px.
        wanted_px: approximate width of the reduced image, px.

    Returns:
        Width and height of the reduced image, px.
    """
    reduction = _reduction(width_px, wanted_px)
    return width_px // reduction, height_px // reduction


def fit_image(
    image: NDArray[np.uint8],
    markers: MarkerField | None,
    settings: FitImageSettings | None = None,
) -> FitImage:
    """Reduce an image by averaging the pixels that are free of markers.

    Args:
        image: (H, W, 3) uint8 RGB image.
        markers: markers in the image; None for a gel without markers.
        settings: size and criteria; None for the defaults.

    Returns:
        The reduced image.
    """
    settings = settings or FitImageSettings()
    free = ~marker_mask(image.shape[:2], markers, settings.halo)
    if settings.saturated <= WHITE:
        free &= (image < settings.saturated).all(axis=-1)
    reduction = _reduction(image.shape[1], settings.width_px)
    return _averaged(image * np.float32(1.0 / WHITE), free, reduction)


def halved(image: FitImage) -> FitImage:
    """Return an image of half the width and height.

    Args:
        image: reduced image.
    """
    return _averaged(image.value, image.free, 2)


def _averaged(value: NDArray[np.floating], free: NDArray[np.bool_], reduction: int) -> FitImage:
    """Means over the free pixels of blocks.

    Args:
        value: (H, W, 3) pixel values, 1 for white.
        free: (H, W) bool, usable pixels.
        reduction: side of the blocks, px.
    """
    height, width = (side // reduction for side in value.shape[:2])
    whole_blocks = np.s_[: height * reduction, : width * reduction]
    weight = free[whole_blocks].astype(np.float32)
    masked = value[whole_blocks].astype(np.float32) * weight[..., None]
    size = width, height
    free_fraction = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA))
    mean = np.asarray(cv2.resize(masked, size, interpolation=cv2.INTER_AREA))
    averaged = mean / np.maximum(free_fraction, np.float32(1e-6))[..., None]
    return FitImage(averaged.astype(np.float64), free_fraction >= MIN_FRACTION)


def value_change(before: Floats, after: Floats) -> Floats:
    """Return the relative change of pixel values.

    Args:
        before: (..., 3) pixel values of the reference, 1 for white.
        after: (..., 3) pixel values, 1 for white.

    Returns:
        (..., 3) change divided by the values before; values below `MIN_BRIGHTNESS` count as that.
    """
    return np.asarray(after / np.maximum(before, MIN_BRIGHTNESS) - 1.0)


def marker_mask(
    shape: tuple[int, ...], markers: MarkerField | None, halo: float = HALO
) -> NDArray[np.bool_]:
    """Return the mask of the pixels of markers and their fringes.

    Args:
        shape: shape of the image, (H, W) or (H, W, 3).
        markers: markers in the image; None for a gel without markers.
        halo: diameter of the masked disc around a marker, in marker diameters.

    Returns:
        (H, W) bool, true at markers.
    """
    mask = np.zeros(shape[:2], np.uint8)
    if markers is None:
        return mask.astype(bool)
    centres, diameters = markers.position_px[markers.found], markers.diameter_px[markers.found]
    scale = 2**CENTRE_BITS
    for (x, y), diameter in zip(centres, diameters, strict=True):
        centre = (round(float(x) * scale), round(float(y) * scale))
        radius = round(0.5 * scale * halo * float(diameter))
        cv2.circle(mask, centre, radius, 1, -1, cv2.LINE_8, CENTRE_BITS)
    return mask.astype(bool)


def _reduction(width_px: int, wanted_px: int) -> int:
    """Return the side of the blocks of pixels that are averaged, px."""
    return max(width_px // wanted_px, 1)
