"""Lights, ambient light and gamma of a sensor as one vector of unbounded parameters.

Heights, lengths, exponents, radiances and gamma are logarithms of the ratio to the initial value;
positions and angles are differences from it. Each is in units of its usual spread between sensors,
so that one prior and one step size suit all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.parameters import Values, parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]
MIN_HEIGHT_MM = 0.7

# Usual spread of real sensors around the initial model; logarithms where no unit is given.
POSITION_MM, HEIGHT, ANGLE_RAD, LENGTH, EXPONENT = 2.0, 0.3, 0.17, 0.35, 0.4
RADIANCE, AMBIENT, GAMMA = 0.7, 0.7, 0.04

KINDS = 7  # placement parameters of a light: x, y, height, azimuth, tilt, length, exponent
COLOURS = 3


@dataclass(frozen=True)
class LightVector:
    """Parameters of K lights around an initial model.

    The vector has 7 K placement parameters, ordered by kind, then 3 K radiances, 3 values of the
    ambient light and 3 of gamma; 0 is the initial model.

    Attributes:
        start: parameters of the initial model, as in `parameter_values`.
        is_strip: (K,) bool, whether a light is a strip.
        gamma_spread: usual spread of the logarithm of gamma.
    """

    start: Values
    is_strip: NDArray[np.bool_]
    gamma_spread: float = GAMMA

    @classmethod
    def around(cls, model: SensorModel) -> LightVector:
        """Return the parametrisation around an initial sensor model."""
        strips = np.array([light.kind == "strip" for light in model.lights], bool)
        return cls(parameter_values(model), strips)

    @property
    def light_count(self) -> int:
        """Number of lights, K."""
        return len(self.is_strip)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return KINDS * self.light_count + COLOURS * self.light_count + 2 * COLOURS

    def placement_slice(self, kind: int) -> slice:
        """Return the slice of one kind of placement parameter, light by light.

        Args:
            kind: index of the kind, 0 to 6: x, y, height, azimuth, tilt, length, exponent.
        """
        return slice(kind * self.light_count, (kind + 1) * self.light_count)

    @property
    def radiance_slice(self) -> slice:
        """Slice of the radiances, light by light."""
        return slice(KINDS * self.light_count, (KINDS + COLOURS) * self.light_count)

    @property
    def ambient_slice(self) -> slice:
        """Slice of the ambient light."""
        return slice(self.size - 2 * COLOURS, self.size - COLOURS)

    @property
    def gamma_slice(self) -> slice:
        """Slice of gamma."""
        return slice(self.size - COLOURS, self.size)

    def placement(self, vector: Floats) -> Values:
        """Return positions, directions and shapes of the lights by name."""
        x, y, height, azimuth, tilt, length, exponent = (
            vector[self.placement_slice(kind)] for kind in range(KINDS)
        )
        centre = self.start["lights.centre_mm"]
        height_mm = np.maximum(-centre[:, 2] * np.exp(HEIGHT * height), MIN_HEIGHT_MM)
        width = np.maximum(self.start["lights.exponent"] * np.exp(EXPONENT * exponent), 1.0)
        return {
            "lights.centre_mm": np.stack(
                [centre[:, 0] + POSITION_MM * x, centre[:, 1] + POSITION_MM * y, -height_mm],
                axis=-1,
            ),
            "lights.azimuth_rad": self.start["lights.azimuth_rad"] + ANGLE_RAD * azimuth,
            "lights.tilt_rad": self.start["lights.tilt_rad"] + ANGLE_RAD * np.clip(tilt, -4, 4),
            "lights.half_length_mm": self.start["lights.half_length_mm"] * np.exp(LENGTH * length),
            "lights.exponent": np.where(self.is_strip, np.minimum(width, 60.0), 1.0),
        }

    def radiance(self, vector: Floats) -> Floats:
        """Return (K, 3) radiances of the lights."""
        start = self.start["lights.radiance"]
        own = vector[self.radiance_slice].reshape(start.shape)
        return np.asarray(np.maximum(start, 1e-3 * start.max()) * np.exp(RADIANCE * own))

    def radiance_derivative(self, vector: Floats) -> Floats:
        """Return (K, 3) derivatives of the radiances, each by its own entry of the vector."""
        return RADIANCE * self.radiance(vector)

    def ambient(self, vector: Floats) -> Floats:
        """Return (3,) radiance of the ambient light, which comes from all directions."""
        start = np.maximum(self.start["gel.ambient"], 1e-3)
        return np.asarray(start * np.exp(AMBIENT * vector[self.ambient_slice]))

    def ambient_derivative(self, vector: Floats) -> Floats:
        """Return (3,) derivatives of the ambient light, each by its own entry of the vector."""
        return AMBIENT * self.ambient(vector)

    def gamma(self, vector: Floats) -> Floats:
        """Return (3,) gamma of the camera's response."""
        return np.asarray(
            self.start["response.gamma"] * np.exp(self.gamma_spread * vector[self.gamma_slice])
        )

    def values(self, vector: Floats) -> Values:
        """Return all fitted parameters by name, as in `parameter_values`."""
        return {
            **self.placement(vector),
            "lights.radiance": self.radiance(vector),
            "gel.ambient": self.ambient(vector),
            "response.gamma": self.gamma(vector),
        }

    def stddevs(self, vector: Floats, vector_stddev: Floats) -> Values:
        """Return the standard deviations of all fitted parameters by name, to first order.

        Args:
            vector: (size,) parameter vector.
            vector_stddev: (size,) standard deviations of its entries.
        """
        before = self.values(vector)
        variance = {name: np.zeros_like(value) for name, value in before.items()}
        for index in range(self.size):
            perturbed = vector.copy()
            perturbed[index] += 1e-4
            for name, value in self.values(perturbed).items():
                variance[name] += ((value - before[name]) / 1e-4 * vector_stddev[index]) ** 2
        return {name: np.sqrt(value) for name, value in variance.items()}

    def model(self, model: SensorModel, vector: Floats) -> SensorModel:
        """Return a sensor model with the lights of a vector.

        Args:
            model: sensor model with the other parameters.
            vector: (size,) parameter vector.
        """
        return with_parameter_values(model, self.values(vector))
