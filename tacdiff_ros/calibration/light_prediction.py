"""Images predicted from light images: the reference image by the lights, presses by the ratio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.light_images import LightImageSet
from tacdiff_ros.calibration.light_vector import LightVector

Floats = NDArray[np.float64]

DARKEST = 1e-4


def predicted_images(
    lights: LightVector, vector: Floats, reference: Floats, images: Sequence[LightImageSet]
) -> list[Floats]:
    """Predict the reference image by the lights, and presses by the ratio of the shadings.

    Args:
        lights: parametrisation of the lights.
        vector: light vector.
        reference: (h, w, 3) reference image, 1 for white.
        images: light images of the undeformed gel, then of the presses.

    Returns:
        (h, w, 3) pixel values of the reference image and of the presses, 1 for white.
    """
    radiance, ambient = lights.radiance(vector), lights.ambient(vector)
    inverse = 1.0 / lights.gamma(vector)
    flat, *presses = (np.maximum(image.combined(radiance, ambient), DARKEST) for image in images)
    return [flat**inverse, *(reference * (press / flat) ** inverse for press in presses)]


def with_light(images: LightImageSet, perturbed: Floats, light: int) -> LightImageSet:
    """Return light images with those of one light replaced.

    Args:
        images: light images of a surface.
        perturbed: (K, h, w) light images of the same surface under other placements.
        light: index of the light.
    """
    replaced = images.light.copy()
    replaced[light] = perturbed[light]
    return LightImageSet(replaced, images.ambient)
