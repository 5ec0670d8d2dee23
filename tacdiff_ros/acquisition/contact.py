"""Contact detection from tactile images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_SIZE = (80, 60)  # width, height, px; averages the noise, resolves contacts above 1 mm


class ImageContact:
    """Detects contact by the difference between an image and the reference image.

    The measure is the 99th percentile of the absolute difference of the downscaled images, in
    grey levels. It rises with the first indentation at any position, and noise hardly changes it.
    Limits: if ambient light passes through the gel, switching on a lamp can look like contact.
    """

    def __init__(self) -> None:
        """Start without a reference image."""
        self._sum: NDArray[np.float32] | None = None
        self._count = 0

    def add_reference(self, image: NDArray[np.uint8]) -> None:
        """Add one image of the untouched sensor to the mean that serves as the reference image.

        Args:
            image: (H, W, 3) uint8 image.
        """
        reduced = _reduce(image)
        self._sum = reduced if self._sum is None else self._sum + reduced
        self._count += 1

    def clear(self) -> None:
        """Discard the reference image."""
        self._sum, self._count = None, 0

    def change(self, image: NDArray[np.uint8]) -> float:
        """Return the difference between an image and the reference image.

        Args:
            image: (H, W, 3) uint8 image.

        Returns:
            Difference in grey levels; 0 without a reference image.
        """
        if self._sum is None:
            return 0.0
        return float(np.percentile(np.abs(_reduce(image) - self._sum / self._count), 99))


def _reduce(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return cv2.resize(image, WORKING_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
