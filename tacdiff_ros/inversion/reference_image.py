"""Reference image of the undeformed gel: checks of images against it, and their brightness."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.altered_image import check_pattern
from tacdiff_ros.images.brightness import (
    BrightnessChange,
    at_brightness,
    brightness_change,
    check_brightness_change,
)
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.images.image_checks import check_image, check_press
from tacdiff_ros.markers.detection import detect_markers, has_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]

QUIET_GREY = 4.0  # smoothed change of the image below which nothing touches the gel
QUIET_BLUR_PX = 4.0
# Median relative change of the image, where a fifth of it changed by over 0.11 (`image_checks`):
# images of other sensors reach 0.22 and more in the median, 0.12 and more in that fifth.
MAX_CHANGED = 0.2


def check_reference(model: SensorModel, reference: Image) -> MarkerField | None:
    """Detect the markers of a reference image.

    Args:
        model: sensor model.
        reference: (H, W, 3) uint8 RGB image of the untouched gel.

    Returns:
        The detected markers; None for a gel without markers.

    Raises:
        InputError: the image is not from this sensor, or its markers are not detected.
    """
    check_image(reference, model, "the reference")
    return None if model.markers is None else detect_markers(reference, model.markers.grid)


class ReferenceImage:
    """Image of the undeformed gel with which other images are compared."""

    def __init__(
        self,
        model: SensorModel,
        image: FitImage,
        undeformed: NDArray[np.float64],
        compensate_brightness: bool,
    ) -> None:
        """Store the images.

        Args:
            model: sensor model.
            image: reference image at the fit's size.
            undeformed: (H, W, 3) float64 image of the undeformed gel by the sensor model.
            compensate_brightness: whether images are brought to the reference's brightness.
        """
        self._model, self.image, self._undeformed = model, image, undeformed
        self._compensate_brightness = compensate_brightness

    def check_origin(self, prepared: FitImage, image: Image, name: str) -> list[str]:
        """Check that an image is from this sensor and was not altered.

        Args:
            prepared: the image at the fit's size.
            image: (H, W, 3) uint8 RGB.
            name: name of the image for messages.

        Returns:
            Warnings, empty for a usual image.

        Raises:
            InputError: the image was altered, or shows a gel with markers and the sensor has none.
        """
        if self._model.markers is None and has_markers(image):
            raise InputError(
                f"{name} shows a gel with markers, the sensor file describes one without: use the "
                "sensor file of this gel"
            )
        return check_pattern(self._undeformed, prepared, name)

    def brightness_of(self, prepared: FitImage, name: str, warnings: list[str]) -> BrightnessChange:
        """Compare an image with the reference, and return its brightness relative to it.

        Args:
            prepared: the image at the fit's size.
            name: name of the image for messages.
            warnings: list to which warnings are appended.

        Raises:
            InputError: the image does not belong to the reference, or its brightness changed too
                much to be compensated.
        """
        if not self._compensate_brightness:
            brightness = BrightnessChange.none(prepared)
        else:
            brightness = brightness_change(self.image, prepared)
        warnings += check_brightness_change(brightness, name)
        image = at_brightness(prepared, brightness.gain)
        warnings += check_press(self.image, image, 1.0, name, MAX_CHANGED)
        return brightness

    def is_quiet(self, prepared: FitImage) -> bool:
        """Whether nothing touches the gel."""
        both = (prepared.free & self.image.free).astype(np.float32)
        change = both[..., None] * (prepared.value - self.image.value).astype(np.float32)
        sums = [cv2.GaussianBlur(part, (0, 0), QUIET_BLUR_PX) for part in (change, both)]
        mean = np.abs(sums[0]).max(axis=-1) / np.maximum(sums[1], 0.1)
        return bool(255.0 * float(mean.max()) < QUIET_GREY)
