"""Weights of the pixels in the fit of the lights."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OUTSIDE = 0.05  # weight of the pixels outside the interior of a contact: their shape is not known
SMOOTHING_PX = 2.0


def adaptive_weights(predicted: Floats, image: Floats, change: Floats) -> Floats:
    """Return weights that are larger for large residuals, contacts and bright pixels.

    Args:
        predicted: (h, w, 3) predicted pixel values.
        image: (h, w, 3) measured pixel values.
        change: (h, w) change of the image against the reference image; 0 for the reference image.

    Returns:
        (h, w) weights with mean 1.
    """
    bright = image.mean(axis=-1) / max(float(image.mean()), 1e-6)
    error = np.abs(predicted - image).mean(axis=-1)
    weight = bright * (0.2 + _normalised(error) + 2.0 * _normalised(change))
    return np.asarray(weight / weight.mean())


def interior_weights(weight: Floats, inside: Floats) -> Floats:
    """Return weights that are small outside the interior of a contact.

    Args:
        weight: (h, w) weights of the pixels.
        inside: (h, w) from 0 outside to 1 in the interior of the contact.

    Returns:
        (h, w) weights with mean 1.
    """
    reduced = weight * (OUTSIDE + (1.0 - OUTSIDE) * inside)
    return np.asarray(reduced / reduced.mean())


def _normalised(image: Floats) -> Floats:
    """An image, smoothed and divided by its maximum."""
    smooth = cv2.GaussianBlur(image, (0, 0), SMOOTHING_PX)
    return np.asarray(smooth / max(float(smooth.max()), 1e-9))
