"""Agreement of a simulated tactile image with the real one.

The baseline is the reference image: a simulation that ignores the contact would render it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.image_metrics import (
    ImageScore,
    PairScores,
    WindowMeans,
    check_pair,
)
from tacdiff_ros.markers.marker_field import MarkerField

Image = NDArray[np.uint8]
CHANGED_GREY = 8.0  # change, mean over channels, above which a pixel belongs to the contact
BLUR_PX = 2.0  # sigma of the blur of the change; sensor noise is one or two grey levels
MIN_CONTACT_PX = 50  # number of changed pixels below which there is no contact


@dataclass(frozen=True)
class Agreement:
    """Metrics of one simulated image, compared with the real one.

    Attributes:
        whole: metrics over all pixels.
        contact: metrics over the pixels of the contact; None without contact.
        background_whole: metrics of the reference image in place of the simulated one, over all
            pixels; None without a reference image.
        background_contact: metrics of the reference image over the pixels of the contact; None
            without contact.
        contact_pixels: number of pixels of the contact; 0 without contact.
        markers_compared: number of markers that are detected in both images.
        marker_rms_px: RMS distance of these markers, px; NaN if there are none.
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
        """PSNR in the contact minus that of the reference image, dB; NaN without contact."""
        if self.contact is None or self.background_contact is None:
            return float("nan")
        return self.contact.psnr_db - self.background_contact.psnr_db


@dataclass(frozen=True)
class RealImage:
    """A real image with what its comparison needs whatever the simulated image is.

    Attributes:
        means: image and statistics of its windows.
        reference: (H, W, 3) uint8 reference image; None if there is none.
        baseline: errors of the reference image; None without it.
        changed: (H, W) bool, pixels that differ from the reference image; None without it.
    """

    means: WindowMeans
    reference: Image | None
    baseline: PairScores | None
    changed: NDArray[np.bool_] | None

    @classmethod
    def of(cls, real: Image, reference: WindowMeans | None = None) -> RealImage:
        """Prepare the comparison of a real image.

        Args:
            real: (H, W, 3) uint8 RGB.
            reference: reference image with its statistics.

        Raises:
            InputError: images differ in size or type.
        """
        if reference is None:
            check_pair(real, real)
            return cls(WindowMeans.of(real), None, None, None)
        check_pair(reference.image, real)
        means = WindowMeans.of(real)
        baseline = PairScores.of(reference, means)
        return cls(means, reference.image, baseline, changed_pixels(real, reference.image))


def compare_images(
    simulated: Image,
    real: Image,
    reference: Image | None = None,
    contact: NDArray[np.bool_] | None = None,
    markers: tuple[MarkerField, MarkerField] | None = None,
) -> Agreement:
    """Compare a simulated with a real image.

    Args:
        simulated: (H, W, 3) uint8 RGB.
        real: (H, W, 3) uint8 RGB.
        reference: (H, W, 3) uint8 reference image; without it there are no metrics of the contact
            and no baseline.
        contact: (H, W) bool, True for pixels of the contact; default: the pixels where either image
            differs from the reference image.
        markers: markers of the simulated and of the real image.

    Returns:
        Metrics of the simulated image.

    Raises:
        InputError: images differ in size or type, or markers belong to different grids.
    """
    check_pair(simulated, real)
    if reference is not None:
        check_pair(reference, real)
    means = None if reference is None else WindowMeans.of(reference)
    return compare_with(RealImage.of(real, means), simulated, contact, markers)


def compare_with(
    real: RealImage,
    simulated: Image,
    contact: NDArray[np.bool_] | None = None,
    markers: tuple[MarkerField, MarkerField] | None = None,
) -> Agreement:
    """Compare a simulated image with a prepared real one; see `compare_images`.

    Args:
        real: real image.
        simulated: (H, W, 3) uint8 RGB.
        contact: (H, W) bool, True for pixels of the contact.
        markers: markers of the simulated and of the real image.

    Raises:
        InputError: images differ in size or type, or markers belong to different grids.
    """
    check_pair(simulated, real.means.image)
    scores = PairScores.of(WindowMeans.of(simulated), real.means)
    whole = scores.whole()
    count, rms_px = (0, float("nan")) if markers is None else marker_error_px(*markers)
    if real.reference is None or real.baseline is None or real.changed is None:
        return Agreement(
            whole=whole,
            contact=None,
            background_whole=None,
            background_contact=None,
            contact_pixels=0,
            markers_compared=count,
            marker_rms_px=rms_px,
        )
    if contact is None:
        contact = changed_pixels(simulated, real.reference) | real.changed
    pixels = int(np.count_nonzero(contact))
    has_contact = pixels >= MIN_CONTACT_PX
    return Agreement(
        whole=whole,
        contact=scores.over(contact) if has_contact else None,
        background_whole=real.baseline.whole(),
        background_contact=real.baseline.over(contact) if has_contact else None,
        contact_pixels=pixels if has_contact else 0,
        markers_compared=count,
        marker_rms_px=rms_px,
    )


def changed_pixels(image: Image, reference: Image) -> NDArray[np.bool_]:
    """Return the pixels that differ from the reference image by more than noise.

    Args:
        image: (H, W, 3) uint8 RGB.
        reference: (H, W, 3) uint8 RGB reference image.

    Returns:
        (H, W) bool.
    """
    difference = cv2.absdiff(image, reference).astype(np.float32)
    change = cv2.transform(difference, np.full((1, 3), 1 / 3, np.float32))
    return np.asarray(cv2.GaussianBlur(change, (0, 0), BLUR_PX) > CHANGED_GREY)


def marker_error_px(simulated: MarkerField, real: MarkerField) -> tuple[int, float]:
    """Compare the positions of the markers that are detected in both images.

    Args:
        simulated: markers of the simulated image.
        real: markers of the real image.

    Returns:
        Number of compared markers, and the RMS distance of their positions, px; NaN if there are
        none.

    Raises:
        InputError: the grids have different sizes.
    """
    if simulated.position_px.shape != real.position_px.shape:
        raise InputError(
            f"markers of grids {simulated.found.shape} and {real.found.shape}: expected one size"
        )
    both = simulated.found & real.found
    if not both.any():
        return 0, float("nan")
    difference = simulated.position_px[both] - real.position_px[both]
    return int(both.sum()), float(np.sqrt((difference**2).sum(axis=-1).mean()))


def side_by_side(simulated: Image, real: Image, gain: int = 4) -> Image:
    """Join the real image, the simulated image and their amplified difference.

    Args:
        simulated: (H, W, 3) uint8 RGB.
        real: (H, W, 3) uint8 RGB.
        gain: factor of the difference; equal pixels are mid-grey.

    Returns:
        (H, 3 W, 3) uint8 RGB.

    Raises:
        InputError: images differ in size or type.
    """
    check_pair(simulated, real)
    difference = gain * (simulated.astype(np.int16) - real) + 128
    return np.concatenate([real, simulated, np.clip(difference, 0, 255).astype(np.uint8)], axis=1)
