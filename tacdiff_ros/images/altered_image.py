"""Whether an image was altered on its way: colours exchanged, rotated, mirrored.

The three lamps stand at different sides, so the colour pattern of an untouched gel tells its
orientation and the order of its colours.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.fit_image import MIN_BRIGHTNESS, FitImage

Floats = NDArray[np.float64]

# Alterations of an (h, w, 3) image, each the inverse of itself. A mirror image left to right is
# left out, because the pattern of a Mini is nearly symmetric to its middle column.
ALTERATIONS: dict[str, Callable[[Floats], Floats]] = {
    "has its red and blue exchanged: convert it from BGR to RGB": lambda v: v[..., ::-1],
    "is rotated by 180 degrees: rotate it back": lambda v: v[::-1, ::-1],
    "is upside down: mirror it": lambda v: v[::-1],
    "is rotated by 180 degrees, with red and blue exchanged": lambda v: v[::-1, ::-1, ::-1],
}
WIDTH_PX = 40  # of the reduced patterns
# Correlations of patterns: images of one sensor over 0.94, of other Minis over 0.9, altered ones
# at most 0.82.
MIN_ALTERED, MARGIN, MIN_USUAL = 0.85, 0.1, 0.5


def check_pattern(expected: Floats, image: FitImage, name: str) -> list[str]:
    """Check the pattern of an image against that of the sensor.

    Args:
        expected: (h, w, 3) pixel values of the untouched gel by the sensor model.
        image: image of the same size.
        name: name of the image for messages.

    Returns:
        Warnings, empty for a usual image.

    Raises:
        InputError: the image has the pattern of an altered image of this sensor.
    """
    sensor, measured = _pattern(expected), _pattern(image.smooth)
    as_it_is = _correlation(sensor, measured)
    altered = {
        what: _correlation(_pattern(alter(expected)), measured)
        for what, alter in ALTERATIONS.items()
    }
    best = max(altered, key=altered.__getitem__)
    if altered[best] > max(MIN_ALTERED, as_it_is + MARGIN):
        raise InputError(
            f"{name} {best} (its pattern and the sensor's have a correlation of "
            f"{altered[best]:.2f} then, {as_it_is:.2f} as it is)"
        )
    if as_it_is < MIN_USUAL:
        return [
            f"{name} does not look like this sensor: their patterns have a correlation of "
            f"{as_it_is:.2f}, usually over 0.9: is the sensor file that of this sensor?"
        ]
    return []


def _pattern(value: Floats) -> Floats:
    """Logarithms of a reduced image, without each colour's mean."""
    height, width = value.shape[:2]
    size = WIDTH_PX, max(round(WIDTH_PX * height / width), 1)
    small = cv2.resize(np.ascontiguousarray(value), size, interpolation=cv2.INTER_AREA)
    pattern = np.log(np.maximum(small, MIN_BRIGHTNESS))
    return np.asarray(pattern - pattern.mean(axis=(0, 1)))


def _correlation(a: Floats, b: Floats) -> float:
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.sum(a * b)) / norm if norm > 0.0 else 1.0
