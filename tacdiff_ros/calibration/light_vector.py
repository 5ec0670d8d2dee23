"""The lights, ambient light and gamma of a sensor as one vector to fit.

Numbers are unbounded: lengths, radiances and exponents as logarithms of their ratio to the start,
places and angles as differences in units of their usual spread. So priors and steps are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.parameters import Values, parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]
MIN_HEIGHT_MM = 0.7

# usual spread of real units around the start
PLACE_MM, HEIGHT, ANGLE_RAD, LENGTH, EXPONENT = 2.0, 0.3, 0.17, 0.35, 0.4
RADIANCE, AMBIENT, GAMMA = 0.7, 0.7, 0.04

KINDS = 7  # numbers of a light's placement
COLOURS = 3


@dataclass(frozen=True)
class LightVector:
    """K lights around a start: (7 K placement, by kind, then 3 K + 3 + 3 colour numbers)."""

    start: Values
    is_strip: NDArray[np.bool_]

    @classmethod
    def of(cls, model: SensorModel) -> LightVector:
        """Around a model."""
        strips = np.array([light.kind == "strip" for light in model.lights], bool)
        return cls(parameter_values(model), strips)

    @property
    def lights(self) -> int:
        """Number of lights, K."""
        return len(self.is_strip)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return KINDS * self.lights + COLOURS * self.lights + 2 * COLOURS

    def kind(self, number: int) -> slice:
        """Where one kind of placement of all lights is."""
        return slice(number * self.lights, (number + 1) * self.lights)

    @property
    def radiance_part(self) -> slice:
        """Where the radiances are, light by light."""
        return slice(KINDS * self.lights, (KINDS + COLOURS) * self.lights)

    @property
    def ambient_part(self) -> slice:
        """Where the ambient light is."""
        return slice(self.size - 2 * COLOURS, self.size - COLOURS)

    @property
    def gamma_part(self) -> slice:
        """Where gamma is."""
        return slice(self.size - COLOURS, self.size)

    def placement(self, vector: Floats) -> Values:
        """Values of the lights' placement."""
        x, y, height, azimuth, tilt, length, exponent = (vector[self.kind(k)] for k in range(KINDS))
        centre = self.start["lights.centre_mm"]
        high = np.maximum(-centre[:, 2] * np.exp(HEIGHT * height), MIN_HEIGHT_MM)
        wide = np.maximum(self.start["lights.exponent"] * np.exp(EXPONENT * exponent), 1.0)
        return {
            "lights.centre_mm": np.stack(
                [centre[:, 0] + PLACE_MM * x, centre[:, 1] + PLACE_MM * y, -high], axis=-1
            ),
            "lights.azimuth_rad": self.start["lights.azimuth_rad"] + ANGLE_RAD * azimuth,
            "lights.tilt_rad": self.start["lights.tilt_rad"] + ANGLE_RAD * np.clip(tilt, -4, 4),
            "lights.half_length_mm": self.start["lights.half_length_mm"] * np.exp(LENGTH * length),
            "lights.exponent": np.where(self.is_strip, np.minimum(wide, 60.0), 1.0),
        }

    def radiance(self, vector: Floats) -> Floats:
        """(K, 3)."""
        start = self.start["lights.radiance"]
        own = vector[self.radiance_part].reshape(start.shape)
        return np.asarray(np.maximum(start, 1e-3 * start.max()) * np.exp(RADIANCE * own))

    def ambient(self, vector: Floats) -> Floats:
        """(3,) radiance from all around."""
        start = np.maximum(self.start["gel.ambient"], 1e-3)
        return np.asarray(start * np.exp(AMBIENT * vector[self.ambient_part]))

    def gamma(self, vector: Floats) -> Floats:
        """(3,)."""
        return np.asarray(self.start["response.gamma"] * np.exp(GAMMA * vector[self.gamma_part]))

    def values(self, vector: Floats) -> Values:
        """All fitted values by name."""
        return {
            **self.placement(vector),
            "lights.radiance": self.radiance(vector),
            "gel.ambient": self.ambient(vector),
            "response.gamma": self.gamma(vector),
        }

    def deviations(self, vector: Floats, deviation: Floats) -> Values:
        """Standard deviations by name, to first order."""
        before = self.values(vector)
        spread = {name: np.zeros_like(value) for name, value in before.items()}
        for number in range(self.size):
            moved = vector.copy()
            moved[number] += 1e-4
            for name, value in self.values(moved).items():
                spread[name] += ((value - before[name]) / 1e-4 * deviation[number]) ** 2
        return {name: np.sqrt(value) for name, value in spread.items()}

    def model(self, model: SensorModel, vector: Floats) -> SensorModel:
        """A model with the vector's lights."""
        return with_parameter_values(model, self.values(vector))
