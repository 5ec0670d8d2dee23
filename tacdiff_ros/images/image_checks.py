"""Checks whether images are usable for calibration and inversion."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import other_size
from tacdiff_ros.images.fit_image import MIN_BRIGHTNESS, SATURATED, FitImage, value_change
from tacdiff_ros.sensor.sensor_model import SensorModel

MIN_STDDEV = 2.0  # grey levels; lower for blank images
MIN_MEAN = 8.0  # grey levels; lower for dark images
MAX_SATURATED = 0.03  # fraction of the pixels of a reference image
MAX_SATURATED_PRESS = 0.1  # fraction of the pixels of a press, whose lit walls saturate earlier
MIN_SHARPNESS = 0.5  # ratio of fine detail to that of the reference image
MAX_CHANGED = 0.12  # median relative change over the image
# The fifth of the image that changed least, over that median: a press leaves some of the gel as it
# was, even if it covers most of it.
STILL_FRACTION, STILL_CHANGE = 0.2, 0.55
# Scales of the relief of a contact in a reduced image, and of the ratio of press to reference: 1.2
# and more for real presses.
RELIEF_PX, RELIEF_PERCENTILE, MIN_RELIEF = (2.0, 8.0), 98.0, 0.85
# Scales of a contact in the ratio of a reference image to the untouched gel of the sensor file. The
# change is 0.25 and more in a press (a hundred times the median), 0.05 for an untouched gel, and
# 0.15 for one of another sensor, but there only three times the median.
CONTACT_PX, CONTACT_PERCENTILE = (3.0, 20.0), 98.0
MIN_CONTACT_CHANGE, MIN_CONTACT_RATIO = 0.15, 6.0
MIN_COLOUR = 0.5  # mean difference of the colours, grey levels; lower for grey images
DETAIL_PX = 2.0  # upper scale of fine detail


def check_image(
    image: NDArray[np.uint8],
    model: SensorModel,
    name: str,
    max_saturated: float = MAX_SATURATED,
) -> None:
    """Check size, exposure and content of one image.

    Args:
        image: (H, W, 3) uint8 RGB image.
        model: sensor model with the expected size.
        name: name of the image for messages.
        max_saturated: permitted fraction of saturated pixels.

    Raises:
        InputError: the image has another size or type, or is blank, too dark or saturated.
    """
    size = (model.image.height_px, model.image.width_px)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"{name}: {image.dtype} {image.shape}, expected 8-bit RGB")
    if image.shape[:2] != size:
        raise InputError(other_size(image, (size[1], size[0]), name))
    means, sigmas = cv2.meanStdDev(image)
    sigma, mean = float(sigmas.max()), float(means.mean())
    if sigma < MIN_STDDEV or mean < MIN_MEAN:
        raise InputError(
            f"{name} is blank: mean {mean:.0f}, standard deviation {sigma:.1f} grey levels, "
            f"expected at least {MIN_MEAN:.0f} and {MIN_STDDEV:.0f}: switch on the sensor's lights"
        )
    colour = float(np.abs(np.diff(image[::4, ::4].astype(np.int16), axis=-1)).mean())
    if colour < MIN_COLOUR:
        raise InputError(
            f"{name} is grey: its colours differ by {colour:.1f} grey levels, expected colour "
            "images: was it converted from colour?"
        )
    unsaturated = cv2.inRange(image, np.zeros(3), np.full(3, SATURATED - 1.0))
    saturated = 1.0 - cv2.countNonZero(unsaturated) / unsaturated.size
    if saturated > max_saturated:
        raise InputError(
            f"{name} is saturated in {100 * saturated:.0f} % of its pixels, expected at most "
            f"{100 * max_saturated:.0f} %: lower the exposure"
        )


def check_order(reference: FitImage, image: FitImage, name: str) -> None:
    """Check that the press and not the reference image shows a contact.

    Args:
        reference: reference image.
        image: image of the press, at the reference's brightness.
        name: name of the press for messages.

    Raises:
        InputError: the reference image has more relief than the press.
    """
    for line in order_warnings(reference, image, name):
        raise InputError(line)


def order_warnings(reference: FitImage, image: FitImage, name: str) -> list[str]:
    """Return a line if the reference image and not the other one seems to show a contact.

    Args:
        reference: reference image.
        image: other image, at the reference's brightness.
        name: name of the other image.
    """
    before, after = _relief(reference), _relief(image)
    if after >= MIN_RELIEF * before:
        return []
    return [
        f"{name} shows less relief than the reference ({100 * after / before:.0f} %): are the "
        "two exchanged? The reference is an image of the untouched gel"
    ]


def contact_warnings(undeformed: NDArray[np.float64], reference: FitImage) -> list[str]:
    """Return a line if a reference image seems to show a contact.

    Args:
        undeformed: (h, w, 3) image of the undeformed gel by the sensor file.
        reference: reference image at the same size.
    """
    ratio = np.log(np.maximum(reference.smooth, MIN_BRIGHTNESS)) - np.log(
        np.maximum(undeformed, MIN_BRIGHTNESS)
    )
    fine, coarse = (cv2.GaussianBlur(ratio, (0, 0), sigma) for sigma in CONTACT_PX)
    change = np.abs(fine - coarse).max(axis=-1)[reference.free]
    local, usual = np.percentile(change, [CONTACT_PERCENTILE, 50.0])
    if local < MIN_CONTACT_CHANGE or local < MIN_CONTACT_RATIO * usual:
        return []
    return [
        f"a part of the reference image differs by {100 * local:.0f} % from the untouched gel of "
        "the sensor file: does something touch the gel in it? Take it without contact"
    ]


def _relief(image: FitImage) -> float:
    """Amplitude of the logarithm of an image at the scales of a contact."""
    logarithm = np.log(np.maximum(image.smooth, MIN_BRIGHTNESS)).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(logarithm, (0, 0), sigma) for sigma in RELIEF_PX)
    return float(np.percentile(np.abs(fine - coarse)[image.free], RELIEF_PERCENTILE))


def check_press(
    reference: FitImage,
    image: FitImage,
    sharpness: float,
    name: str,
    max_changed: float = MAX_CHANGED,
) -> list[str]:
    """Check that the image of a press belongs to a reference image and is sharp.

    Args:
        reference: reference image.
        image: image of the press.
        sharpness: ratio of the fine detail of the press to that of the reference image.
        name: name of the press for messages.
        max_changed: permitted median of the relative change where little of the image is as it
            was; calibration presses are small.

    Returns:
        Warnings, empty for a sharp image.

    Raises:
        InputError: most of the image changed, because of another sensor, orientation or exposure.
    """
    free = reference.free & image.free
    changed = np.abs(value_change(reference.value[free], image.value[free])).max(axis=-1)
    still, median = (float(part) for part in np.quantile(changed, [STILL_FRACTION, 0.5]))
    if median > max_changed and still > STILL_CHANGE * max_changed:
        raise InputError(
            f"{name} does not belong to the reference: half of the image differs from it by over "
            f"{100 * median:.0f} %, expected under {100 * max_changed:.0f} %: use the same sensor, "
            "exposure and orientation"
        )
    if sharpness < MIN_SHARPNESS:
        return [
            f"{name} is blurred: it has {100 * sharpness:.0f} % of the reference's fine detail, "
            f"expected at least {100 * MIN_SHARPNESS:.0f} %: hold the sensor still during exposure"
        ]
    return []


def fine_detail_rms(image: NDArray[np.uint8]) -> float:
    """Return the RMS amplitude of the detail at scales around and below `DETAIL_PX`.

    Args:
        image: (H, W, 3) uint8 image.

    Returns:
        RMS of a difference of Gaussians, grey levels.
    """
    grey = image.astype(np.float32).mean(axis=-1)
    fine = cv2.GaussianBlur(grey, (0, 0), 0.5 * DETAIL_PX) - cv2.GaussianBlur(
        grey, (0, 0), DETAIL_PX
    )
    return float(np.sqrt(np.mean(fine**2)))
