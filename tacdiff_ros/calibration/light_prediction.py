"""Images predicted from light images: the reference image by the lights, presses by the ratio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.light_images import LightImageSet
from tacdiff_ros.calibration.light_vector import COLOURS, KINDS, LightVector

Floats = NDArray[np.float64]

DARKEST = 1e-4


@dataclass(frozen=True)
class Prediction:
    """Predicted images of the undeformed gel and of presses, and their derivatives.

    Attributes:
        lights: parametrisation of the lights.
        vector: light vector.
        shading: (h, w, 3) radiance of the undeformed gel, then of the presses.
        value: (h, w, 3) pixel values of the reference image, then of the presses, 1 for white.
    """

    lights: LightVector
    vector: Floats
    shading: tuple[Floats, ...]
    value: tuple[Floats, ...]

    @classmethod
    def of(
        cls, lights: LightVector, vector: Floats, reference: Floats, images: Sequence[LightImageSet]
    ) -> Prediction:
        """Predict the reference image by the lights, and presses by the ratio of the shadings.

        Args:
            lights: parametrisation of the lights.
            vector: light vector.
            reference: (h, w, 3) reference image, 1 for white.
            images: light images of the undeformed gel, then of the presses.
        """
        radiance, ambient = lights.radiance(vector), lights.ambient(vector)
        inverse = 1.0 / lights.gamma(vector)
        shading = tuple(np.maximum(image.combined(radiance, ambient), DARKEST) for image in images)
        flat, *presses = shading
        values = [flat**inverse, *(reference * (press / flat) ** inverse for press in presses)]
        return cls(lights, vector, shading, tuple(values))

    def by_shading(self, k: int) -> Floats:
        """(h, w, 3) derivatives of image k by the shading of its own surface."""
        return np.asarray(self.value[k] / self.lights.gamma(self.vector) / self.shading[k])

    def by_flat_shading(self, k: int) -> Floats:
        """(h, w, 3) derivatives of image k, a press, by the shading of the undeformed gel."""
        return np.asarray(-self.value[k] / self.lights.gamma(self.vector) / self.shading[0])

    def by_gamma(self, k: int) -> Floats:
        """(h, w, 3) derivatives of image k by the light vector's entries for gamma."""
        ratio = self.shading[k] if k == 0 else self.shading[k] / self.shading[0]
        scale = -self.lights.gamma_spread / self.lights.gamma(self.vector)
        return np.asarray(self.value[k] * np.log(ratio) * scale)


@dataclass(frozen=True)
class LightChange:
    """Derivative of the shadings of all surfaces by one entry of the light vector.

    Attributes:
        images: (h, w) derivative for unit colour: of the undeformed gel, then of the presses.
        colour: (3,) colour of the change.
    """

    images: tuple[Floats, ...]
    colour: Floats


def light_changes(
    lights: LightVector,
    vector: Floats,
    images: Sequence[LightImageSet],
    perturbed: Sequence[Sequence[Floats]],
    step: float,
) -> Iterator[LightChange]:
    """Derivatives of the shadings by all entries of the light vector, in order, but for gamma.

    Args:
        lights: parametrisation of the lights.
        vector: light vector.
        images: light images of the undeformed gel, then of the presses.
        perturbed: (K, h, w) images of the lights of each surface, with all placement parameters of
            one kind enlarged by `step`, for each kind.
        step: step of the finite differences.
    """
    radiance = lights.radiance(vector)
    for kind in range(KINDS):
        for light in range(lights.light_count):
            pairs = zip(perturbed[kind], images, strict=True)
            changes = ((other[light] - image.light[light]) / step for other, image in pairs)
            yield LightChange(tuple(changes), radiance[light])
    by_radiance, by_ambient = lights.radiance_derivative(vector), lights.ambient_derivative(vector)
    primaries = np.eye(COLOURS)
    for light in range(lights.light_count):
        own = tuple(image.light[light] for image in images)
        for colour in range(COLOURS):
            yield LightChange(own, by_radiance[light, colour] * primaries[colour])
    ambient = tuple(image.ambient for image in images)
    for colour in range(COLOURS):
        yield LightChange(ambient, by_ambient[colour] * primaries[colour])
