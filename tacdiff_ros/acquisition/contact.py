"""Does the sensor touch the indenter yet?"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_SIZE = (80, 60)  # pixels; averages away the noise, keeps every contact above 1 mm


class ImageContact:
    """Finds contact as the change of the image from the untouched sensor.

    The measure is the 99th percentile of the absolute difference of reduced images, in grey
    levels: it grows with the first imprint, wherever that is, and not with noise.
    Limits: a light that is switched on in the room can look like a touch if the gel leaks light.
    """

    def __init__(self) -> None:
        """Start without a reference."""
        self._sum: NDArray[np.float32] | None = None
        self._count = 0

    def add_reference(self, image: NDArray[np.uint8]) -> None:
        """Average in one image (H, W, 3) of the untouched sensor."""
        reduced = _reduce(image)
        self._sum = reduced if self._sum is None else self._sum + reduced
        self._count += 1

    def clear(self) -> None:
        """Forget the reference."""
        self._sum, self._count = None, 0

    def change(self, image: NDArray[np.uint8]) -> float:
        """Difference of an image (H, W, 3) from the reference in grey levels; 0 without one."""
        if self._sum is None:
            return 0.0
        return float(np.percentile(np.abs(_reduce(image) - self._sum / self._count), 99))


def _reduce(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return cv2.resize(image, WORKING_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
