"""Where light comes from, by how a press is shaded: the start of the lights' fit.

A slope toward a light is brighter. So the change of each colour, regressed on the slopes under the
press, points to the lights of that colour; the flat gel's tint would mislead, since narrow lamps
leave the gel beside them dark.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

STEEP = 0.1  # slope from which a pixel counts
TURNED_RAD = np.radians(25.0)  # start of the lights is turned when they are farther off
MAX_RAD = np.radians(100.0)


def shading_gradient(change: Floats, slope: Floats, free: NDArray[np.bool_]) -> Floats:
    """(3, 2) relative brightening of each colour per slope toward x and y.

    Args:
        change: (h, w, 3) of image / reference - 1.
        slope: (h, w, 2) of the surface, positive where it faces that way.
        free: (h, w) bool, pixels to use.
    """
    chosen = free & (np.linalg.norm(slope, axis=-1) > STEEP)
    design = np.column_stack([slope[chosen], np.ones(int(chosen.sum()))])
    solution = np.linalg.lstsq(design, change[chosen], rcond=None)[0]
    return np.asarray(solution[:2].T)


def rotated_lights(model: SensorModel, gradients: list[Floats]) -> tuple[SensorModel, float]:
    """The model with its lights turned about z to where shading says they are, and the turn in rad.

    Args:
        model: its lights have an order and a colour each.
        gradients: of the presses, from `shading_gradient`.

    Raises:
        InputError: light comes from about the opposite side of what the file says.
    """
    turn = _turn(model, np.mean(gradients, axis=0))
    if abs(turn) > MAX_RAD:
        raise InputError(
            f"light comes from elsewhere than the sensor file says, by {np.degrees(turn):.0f} "
            "degrees: the images look rotated; rotate them, or the lights of the file"
        )
    if abs(turn) < TURNED_RAD:
        return model, turn
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    lights = []
    for light in model.lights:
        x, y, z = light.centre_mm
        centre = (cosine * x - sine * y, sine * x + cosine * y, z)
        azimuth = float((light.azimuth_deg + np.degrees(turn) + 180.0) % 360.0 - 180.0)
        lights.append(light.model_copy(update={"centre_mm": centre, "azimuth_deg": azimuth}))
    return model.model_copy(update={"lights": tuple(lights)}), turn


def _turn(model: SensorModel, gradient: Floats) -> float:
    """Mean turn from where the file has the lights of a colour to where they are, in rad."""
    expected = np.zeros((3, 2))
    for light in model.lights:
        x, y, z = light.centre_mm
        colour = np.array(light.radiance) / max(float(np.sum(light.radiance)), 1e-9)
        expected += colour[:, None] * np.array([x, y]) / np.linalg.norm([x, y, z])
    complex_seen = gradient[:, 0] + 1j * gradient[:, 1]
    complex_expected = expected[:, 0] + 1j * expected[:, 1]
    return float(np.angle(np.sum(complex_seen * complex_expected.conj())))
