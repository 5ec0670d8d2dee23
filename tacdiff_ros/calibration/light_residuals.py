"""Differences of predicted and measured images at the usable pixels, and their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.light_prediction import LightChange, Prediction
from tacdiff_ros.calibration.light_vector import COLOURS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ComparedImage:
    """A measured image, and how its pixels are compared.

    Attributes:
        value: (h, w, 3) measured pixel values, 1 for white.
        free: (h, w) bool, usable pixels.
        strength: weight of the image; its pixels share it.
        error: usual residual of a pixel, of white.
    """

    value: Floats
    free: NDArray[np.bool_]
    strength: float
    error: float


class LightResiduals:
    """Residuals of the reference image and of the presses, in units of their usual errors."""

    def __init__(self, images: Sequence[ComparedImage], tone_mapping: bool) -> None:
        """Weight all pixels of an image alike.

        Args:
            images: reference image, then the presses.
            tone_mapping: whether T(x) = x / (x + 1) is compared instead of x.
        """
        self.images = images
        self._tone_mapping = tone_mapping
        self._measured = [self._tone_mapped(image.value[image.free]) for image in images]
        self.set_weights([np.ones(image.free.shape) for image in images])

    def set_weights(self, weights: Sequence[Floats]) -> None:
        """Set the weights of the pixels.

        Args:
            weights: (h, w) weights of each image, with mean 1.
        """
        self._scale = [
            np.sqrt(image.strength / max(np.count_nonzero(image.free) * COLOURS, 1))
            / image.error
            * np.sqrt(weight[image.free])[:, None]
            for image, weight in zip(self.images, weights, strict=True)
        ]

    def values(self, prediction: Prediction) -> list[Floats]:
        """Return the residuals of each image, flat.

        Args:
            prediction: predicted images.
        """
        return [
            (scale * (self._tone_mapped(value[image.free]) - measured)).ravel()
            for scale, value, image, measured in zip(
                self._scale, prediction.value, self.images, self._measured, strict=True
            )
        ]

    def by_light(self, prediction: Prediction, changes: Sequence[LightChange]) -> list[Floats]:
        """Return the derivatives of each image's residuals by the light vector.

        Args:
            prediction: predicted images.
            changes: derivatives of the shadings by all entries but gamma.

        Returns:
            (entries, residuals) for each image.
        """
        colour = np.stack([change.colour for change in changes])[:, None, :]
        parts = []
        for k, image in enumerate(self.images):
            factor = self._slope(prediction, k)
            own = np.stack([change.images[k][image.free] for change in changes])[..., None]
            columns = factor * prediction.by_shading(k)[image.free] * own
            if k > 0:
                flat = np.stack([change.images[0][image.free] for change in changes])[..., None]
                columns += factor * prediction.by_flat_shading(k)[image.free] * flat
            by_gamma = factor * prediction.by_gamma(k)[image.free]
            gammas = by_gamma * np.eye(COLOURS)[:, None, :]
            parts.append(np.concatenate([columns * colour, gammas]).reshape(-1, by_gamma.size))
        return parts

    def by_press(self, prediction: Prediction, k: int, changes: Sequence[Floats]) -> Floats:
        """Return the derivatives of one press's residuals.

        Args:
            prediction: predicted images.
            k: index of the image, 0 for the reference.
            changes: (h, w, 3) derivatives of the press's shading by each of its parameters.

        Returns:
            (parameters, residuals).
        """
        free = self.images[k].free
        factor = self._slope(prediction, k) * prediction.by_shading(k)[free]
        return np.stack([(factor * change[free]).ravel() for change in changes])

    def _slope(self, prediction: Prediction, k: int) -> Floats:
        """(pixels, 3) derivative of the residuals of image k by its pixel values."""
        if not self._tone_mapping:
            return self._scale[k]
        return self._scale[k] / (prediction.value[k][self.images[k].free] + 1.0) ** 2

    def _tone_mapped(self, value: Floats) -> Floats:
        return value / (value + 1.0) if self._tone_mapping else value
