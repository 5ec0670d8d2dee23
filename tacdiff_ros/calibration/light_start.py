"""Azimuth of the lights from the shading of a press: the start of the light fit.

A slope toward a light is brighter. So the change of each colour, regressed on the slopes under the
press, points to the lights of that colour. The colours of the flat gel would mislead, since narrow
lamps leave the gel beside them dark.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

STEEP = 0.1  # minimum slope of a pixel in the regression
TURNED_RAD = np.radians(25.0)  # rotation from which on the initial lights are rotated
MAX_RAD = np.radians(100.0)
# What an altered image does to the (3, 2) gradients of its colours, undone.
ALTERED: tuple[tuple[str, Callable[[Floats], Floats]], ...] = (
    ("the images seem to have red and blue exchanged: convert them from BGR to RGB", np.flipud),
    (
        "the images seem rotated by 180 degrees: rotate them, or the lights in the sensor file",
        np.negative,
    ),
    ("the images seem upside down: mirror them", lambda g: g * [1.0, -1.0]),
    ("the images seem mirrored left to right: mirror them", lambda g: g * [-1.0, 1.0]),
)


def shading_gradient(change: Floats, slope: Floats, free: NDArray[np.bool_]) -> Floats:
    """Return the relative change of brightness per slope, by linear regression.

    Args:
        change: (h, w, 3) image / reference - 1.
        slope: (h, w, 2) slope of the surface along x and y, positive where it faces +x and +y.
        free: (h, w) bool, pixels to use.

    Returns:
        (3, 2) derivatives of each colour's relative brightness by the slopes along x and y.
    """
    chosen = free & (np.linalg.norm(slope, axis=-1) > STEEP)
    design = np.column_stack([slope[chosen], np.ones(int(chosen.sum()))])
    solution = np.linalg.lstsq(design, change[chosen], rcond=None)[0]
    return np.asarray(solution[:2].T)


def rotated_lights(model: SensorModel, gradients: list[Floats]) -> tuple[SensorModel, float]:
    """Rotate the lights of a model about z so that they agree with the measured shading.

    Rotations under 25 degrees are left to the light fit.

    Args:
        model: sensor model whose lights have known order and colours.
        gradients: (3, 2) result of `shading_gradient` of each press.

    Returns:
        The model with rotated lights, and the measured rotation, rad.

    Raises:
        InputError: the light comes from about the opposite side of the model's lights, because of
            exchanged colours or another orientation.
    """
    gradient = np.mean(gradients, axis=0)
    rotation = _rotation(model, gradient)
    if abs(rotation) > MAX_RAD:
        raise InputError(
            f"the light's direction differs from the sensor file's by {np.degrees(rotation):.0f} "
            f"degrees: {_alteration(model, gradient)}"
        )
    if abs(rotation) < TURNED_RAD:
        return model, rotation
    cosine, sine = float(np.cos(rotation)), float(np.sin(rotation))
    lights = []
    for light in model.lights:
        x, y, z = light.centre_mm
        centre = (cosine * x - sine * y, sine * x + cosine * y, z)
        azimuth = float((light.azimuth_deg + np.degrees(rotation) + 180.0) % 360.0 - 180.0)
        lights.append(light.model_copy(update={"centre_mm": centre, "azimuth_deg": azimuth}))
    return model.model_copy(update={"lights": tuple(lights)}), rotation


def _alteration(model: SensorModel, gradient: Floats) -> str:
    """Likeliest reason for light from another side, and what to do.

    Args:
        model: sensor model with the expected directions.
        gradient: (3, 2) measured result of `shading_gradient`.
    """
    expected = _directions(model)
    agreement = {what: float(np.sum(expected * altered(gradient))) for what, altered in ALTERED}
    return max(agreement, key=agreement.__getitem__)


def _rotation(model: SensorModel, gradient: Floats) -> float:
    """Mean rotation from the model's to the measured directions of the lights of a colour, rad.

    Args:
        model: sensor model with the expected directions.
        gradient: (3, 2) measured result of `shading_gradient`.
    """
    expected = _directions(model)
    complex_measured = gradient[:, 0] + 1j * gradient[:, 1]
    complex_expected = expected[:, 0] + 1j * expected[:, 1]
    return float(np.angle(np.sum(complex_measured * complex_expected.conj())))


def _directions(model: SensorModel) -> Floats:
    """(3, 2) horizontal directions of each colour's light, expected by the model."""
    expected = np.zeros((3, 2))
    for light in model.lights:
        x, y, z = light.centre_mm
        colour = np.array(light.radiance) / max(float(np.sum(light.radiance)), 1e-9)
        expected += colour[:, None] * np.array([x, y]) / np.linalg.norm([x, y, z])
    return expected
