"""Whether images can be calibrated from, with the evidence where they cannot."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import SATURATED, FitImage, value_change
from tacdiff_ros.sensor.sensor_model import SensorModel

MIN_SPREAD = 2.0  # grey levels, of an image that shows anything
MIN_MEAN = 8.0
MAX_SATURATED = 0.03  # of the pixels of an untouched gel
MAX_SATURATED_PRESS = 0.1  # walls that face a light are white sooner; they are left out
MIN_SHARPNESS = 0.5  # of the reference's
MAX_CHANGED = 0.12  # median relative change off the contact
DETAIL_PX = 2.0


def check_image(
    image: NDArray[np.uint8],
    model: SensorModel,
    name: str,
    most_saturated: float = MAX_SATURATED,
) -> None:
    """Size, exposure and content of one image.

    Args:
        image: (H, W, 3) uint8.
        model: tells the size.
        name: of the image, for messages.
        most_saturated: share of pixels that may be white.

    Raises:
        InputError: it is of another size or kind, blank, too dark or saturated.
    """
    size = (model.image.height_px, model.image.width_px)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"{name}: {image.dtype} {image.shape}, expected 8-bit RGB")
    if image.shape[:2] != size:
        raise InputError(
            f"{name} has {image.shape[1]} x {image.shape[0]} pixels, the sensor file says "
            f"{size[1]} x {size[0]}: resize the images, or change image and camera in the file"
        )
    means, deviations = cv2.meanStdDev(image)
    spread, mean = float(deviations.max()), float(means.mean())
    if spread < MIN_SPREAD or mean < MIN_MEAN:
        raise InputError(
            f"{name} is blank: mean {mean:.0f}, spread {spread:.1f} grey levels; are the sensor's "
            "lights on?"
        )
    darker = cv2.inRange(image, np.zeros(3), np.full(3, SATURATED - 1.0))
    saturated = 1.0 - cv2.countNonZero(darker) / darker.size
    if saturated > most_saturated:
        raise InputError(
            f"{name} is saturated in {100 * saturated:.0f} % of its pixels, at most "
            f"{100 * most_saturated:.0f} % are usable: lower the exposure"
        )


def check_press(
    reference: FitImage,
    image: FitImage,
    sharpness: float,
    name: str,
    most_changed: float = MAX_CHANGED,
) -> list[str]:
    """A press against the reference; returns warnings.

    Args:
        reference: the untouched gel.
        image: the press.
        sharpness: of the press over that of the reference.
        name: of the press, for messages.
        most_changed: median relative change that a press may have; calibration presses are small.

    Raises:
        InputError: most of the image changed: another sensor, orientation or exposure.
    """
    free = reference.free & image.free
    changed = np.abs(value_change(reference.value[free], image.value[free])).max(axis=-1)
    median = float(np.median(changed))
    if median > most_changed:
        raise InputError(
            f"{name} does not belong to the reference: half of the image differs from it by over "
            f"{100 * median:.0f} %, expected under {100 * most_changed:.0f} %; same sensor, "
            "exposure and orientation?"
        )
    if sharpness < MIN_SHARPNESS:
        return [
            f"{name} is blurred: it has {100 * sharpness:.0f} % of the reference's detail; hold "
            "still while the image is taken"
        ]
    return []


def detail(image: NDArray[np.uint8]) -> float:
    """Mean strength of what is finer than `DETAIL_PX`, grey levels."""
    grey = image.astype(np.float32).mean(axis=-1)
    fine = cv2.GaussianBlur(grey, (0, 0), 0.5 * DETAIL_PX) - cv2.GaussianBlur(
        grey, (0, 0), DETAIL_PX
    )
    return float(np.sqrt(np.mean(fine**2)))
