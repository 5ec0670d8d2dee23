"""Crop and reduction of a camera's whole frames to the images of the sensor file."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_model import Image as ImageSection
from tacdiff_ros.sensor.sensor_model import SensorModel

RAW_SIZE = (3280, 2464)  # width and height of a GelSight Mini's whole frame, px
MAX_BORDER_FRACTION = 0.45
MAX_ASPECT_CHANGE = 0.05  # relative; a whole frame of a Mini differs by 0.002


@dataclass(frozen=True)
class Crop:
    """Crop of whole frames; images of the final size pass unchanged.

    Attributes:
        size: width and height of the final images, px.
        border_fraction: fraction of a frame that is cropped at each side.
        for_all_sizes: whether it applies to larger frames of every size, not only to `RAW_SIZE`.
    """

    size: tuple[int, int]
    border_fraction: float
    for_all_sizes: bool = False

    def reduce(self, image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        """Crop and reduce a whole frame; other images pass unchanged.

        Args:
            image: (H, W, 3) or (H, W) uint8 image.
            name: name of the image for messages.

        Raises:
            InputError: the cropped frame is smaller than the final image or has another aspect.
        """
        whole = (image.shape[1], image.shape[0])
        if whole == self.size or not (whole == RAW_SIZE or self.for_all_sizes):
            return image
        inner = [side - 2 * int(side * self.border_fraction) for side in whole]
        aspect = inner[0] * self.size[1] / (inner[1] * self.size[0])
        is_small = inner[0] < self.size[0] or inner[1] < self.size[1]
        if is_small or abs(aspect - 1.0) > MAX_ASPECT_CHANGE:
            raise InputError(
                f"{name} has {whole[0]} x {whole[1]} pixels, {inner[0]} x {inner[1]} after the "
                f"crop of {self.border_fraction:.3g} at each side, expected at least "
                f"{self.size[0]} x {self.size[1]} with the same aspect: give whole frames of the "
                "camera"
            )
        return crop_and_resize(image, self.size, self.border_fraction)

    def to_sensor(self, image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        """Crop and reduce a whole frame, and refuse other images that are not of the final size.

        Args:
            image: (H, W, 3) uint8 image.
            name: name of the image for messages.

        Raises:
            InputError: the image is neither of the final size nor a frame that can be cropped.
        """
        reduced = self.reduce(image, name)
        if (reduced.shape[1], reduced.shape[0]) != self.size:
            raise InputError(other_size(reduced, self.size, name))
        return reduced


def sensor_crop(model: SensorModel, given: float | None = None) -> Crop:
    """Return the crop of a sensor file, or the given one, which applies to frames of all sizes.

    Args:
        model: sensor model.
        given: fraction that is cropped at each side; None for that of the sensor file.

    Raises:
        InputError: the fraction is out of range.
    """
    size = (model.image.width_px, model.image.height_px)
    return given_crop(size, model.image.border_fraction, given)


def default_crop(given: float | None = None) -> Crop:
    """Return the crop without a sensor file, to 320 x 240.

    Args:
        given: fraction that is cropped at each side; None for that of the driver.

    Raises:
        InputError: the fraction is out of range.
    """
    section = ImageSection()
    return given_crop((section.width_px, section.height_px), section.border_fraction, given)


def given_crop(size: tuple[int, int], border_fraction: float, given: float | None) -> Crop:
    """Return a crop, which a given fraction replaces for frames of all sizes.

    Args:
        size: width and height of the final images, px.
        border_fraction: fraction that is cropped at each side of frames of `RAW_SIZE`.
        given: fraction that replaces it; None for none.

    Raises:
        InputError: the fraction is out of range.
    """
    if given is None:
        return Crop(size, border_fraction)
    if not 0.0 <= given < MAX_BORDER_FRACTION:
        raise InputError(f"--crop is {given:g}, expected 0 to under {MAX_BORDER_FRACTION}")
    return Crop(size, given, for_all_sizes=True)


def other_size(image: NDArray[np.uint8], size: tuple[int, int], name: str) -> str:
    """Return the message on an image that has not the size of the sensor file's images.

    Args:
        image: (H, W, 3) image.
        size: expected width and height, px.
        name: name of the image.
    """
    return (
        f"{name} has {image.shape[1]} x {image.shape[0]} pixels, the sensor file says "
        f"{size[0]} x {size[1]}: is it of another sensor? Whole frames of a camera need its crop "
        f"(--crop FRACTION of each side, border_fraction of the driver; frames of {RAW_SIZE[0]} x "
        f"{RAW_SIZE[1]} are cropped without); do not only resize them"
    )


def crop_and_resize(
    image: NDArray[np.uint8], size: tuple[int, int], border_fraction: float
) -> NDArray[np.uint8]:
    """Crop an image at each side and resize it by area averaging.

    Args:
        image: (H, W, 3) or (H, W) uint8 image.
        size: width and height of the result, px.
        border_fraction: fraction of the image that is cropped at each side.

    Returns:
        (height, width, 3) or (height, width) uint8 image.
    """
    height, width = image.shape[:2]
    x, y = int(width * border_fraction), int(height * border_fraction)
    inner = image[y : height - y, x : width - x]
    return np.asarray(cv2.resize(inner, size, interpolation=cv2.INTER_AREA), np.uint8)
