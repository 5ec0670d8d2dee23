"""Exposure of a virtual sensor: an overexposed image carries no information."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.optics.fast.fast_renderer import FastRenderer, FastSettings
from tacdiff_ros.sensor.sensor_model import SensorModel

MAX_VALUE = 0.98  # maximum of the quantile of the reference image's pixel values
QUANTILE = 0.99
PREVIEW = FastSettings(width_px=80, height_px=60, threads=1)


def usable_exposure(model: SensorModel) -> SensorModel:
    """Lower the gain of a sensor whose reference image would be overexposed.

    Args:
        model: sensor model.

    Returns:
        Sensor model with a usable gain; the same model if its gain is usable already.
    """
    gamma = np.array(model.response.gamma)
    reference = FastRenderer(model, PREVIEW).image()
    bright_value = np.quantile(reference, QUANTILE, axis=(0, 1))
    factor = float(np.min((MAX_VALUE / bright_value) ** gamma))
    if factor >= 1.0:
        return model
    gain = tuple(factor * value for value in model.response.gain)
    response = model.response.model_copy(update={"gain": gain})
    return model.model_copy(update={"response": response})
