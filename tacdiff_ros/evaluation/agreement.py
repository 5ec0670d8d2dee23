"""How well a simulated tactile image agrees with the real one, beside "nothing happened"."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.image_metrics import (
    ImageScore,
    check_pair,
    score_images,
    ssim_map,
)
from tacdiff_ros.markers.marker_field import MarkerField

Image = NDArray[np.uint8]
CHANGED_GREY = 8.0  # mean over channels, above which a pixel is touched
BLUR_PX = 2.0  # of the change; sensor noise is a grey level or two
MIN_CONTACT_PX = 50


@dataclass(frozen=True)
class Agreement:
    """One simulated image beside the real one.

    Attributes:
        whole: over all pixels.
        contact: over the pixels that the touch changes; None where it changes none.
        background_whole: of the untouched image in place of the simulated one; None without one.
        background_contact: the same over the contact.
        contact_pixels: number of pixels in the contact.
        markers_compared: dots that are found in both images.
        marker_rms_px: RMS distance of these; NaN where there are none.
    """

    whole: ImageScore
    contact: ImageScore | None
    background_whole: ImageScore | None
    background_contact: ImageScore | None
    contact_pixels: int
    markers_compared: int
    marker_rms_px: float

    @property
    def contact_gain_db(self) -> float:
        """PSNR in the contact above that of "nothing happened"; NaN without contact."""
        if self.contact is None or self.background_contact is None:
            return float("nan")
        return self.contact.psnr_db - self.background_contact.psnr_db


def compare_images(
    simulated: Image,
    real: Image,
    reference: Image | None = None,
    contact: NDArray[np.bool_] | None = None,
    dots: tuple[MarkerField, MarkerField] | None = None,
) -> Agreement:
    """Compare.

    Args:
        simulated: (H, W, 3) uint8.
        real: (H, W, 3) uint8, the same size.
        reference: the untouched sensor; without it there is no contact and no baseline.
        contact: (H, W), where the touch is; default: where either image differs from the reference.
        dots: of the simulated and the real image.

    Raises:
        InputError: images of different sizes or kinds, or dots of different grids.
    """
    check_pair(simulated, real)
    alike = ssim_map(simulated, real)
    whole = score_images(simulated, real, alike=alike)
    count, rms = (0, float("nan")) if dots is None else marker_error_px(*dots)
    if reference is None:
        return Agreement(whole, None, None, None, 0, count, rms)
    check_pair(reference, real)
    if contact is None:
        contact = touched_pixels(simulated, reference) | touched_pixels(real, reference)
    pixels = int(np.count_nonzero(contact))
    seen = pixels >= MIN_CONTACT_PX
    still = ssim_map(reference, real)
    return Agreement(
        whole=whole,
        contact=score_images(simulated, real, contact, alike) if seen else None,
        background_whole=score_images(reference, real, alike=still),
        background_contact=score_images(reference, real, contact, still) if seen else None,
        contact_pixels=pixels if seen else 0,
        markers_compared=count,
        marker_rms_px=rms,
    )


def touched_pixels(image: Image, reference: Image) -> NDArray[np.bool_]:
    """(H, W) pixels that differ from the untouched sensor by more than noise."""
    away = cv2.absdiff(image, reference).astype(np.float32)
    change = cv2.transform(away, np.full((1, 3), 1 / 3, np.float32))
    return np.asarray(cv2.GaussianBlur(change, (0, 0), BLUR_PX) > CHANGED_GREY)


def marker_error_px(simulated: MarkerField, real: MarkerField) -> tuple[int, float]:
    """Dots that both images show, and the RMS distance of their places; NaN for none.

    Raises:
        InputError: grids of different sizes.
    """
    if simulated.position_px.shape != real.position_px.shape:
        raise InputError(
            f"dots of grids {simulated.found.shape} and {real.found.shape}: expected one size"
        )
    both = simulated.found & real.found
    if not both.any():
        return 0, float("nan")
    apart = simulated.position_px[both] - real.position_px[both]
    return int(both.sum()), float(np.sqrt((apart**2).sum(axis=-1).mean()))


def side_by_side(simulated: Image, real: Image, gain: int = 4) -> Image:
    """(H, 3 W, 3) uint8: real, simulated, and the difference enlarged around mid-grey."""
    check_pair(simulated, real)
    difference = gain * (simulated.astype(np.int16) - real) + 128
    return np.concatenate([real, simulated, np.clip(difference, 0, 255).astype(np.uint8)], axis=1)
