"""The exposure that a sensor is run at: an untouched gel that is white has nothing to tell."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.sensor.sensor_model import SensorModel

BRIGHTEST = 0.98  # pixel value that most of the untouched gel stays below
MOST = 0.99  # share of an image's values
PREVIEW = RenderSettings(width_px=80, height_px=60, samples=1)


def usable_exposure(model: SensorModel) -> SensorModel:
    """The sensor, its gain lowered where its untouched gel would be white."""
    gamma = np.array(model.response.gamma)
    untouched = Renderer(model).image(PREVIEW)
    brightest = np.quantile(untouched, MOST, axis=(0, 1))
    factor = float(np.min((BRIGHTEST / brightest) ** gamma))
    if factor >= 1.0:
        return model
    gain = tuple(factor * value for value in model.response.gain)
    response = model.response.model_copy(update={"gain": gain})
    return model.model_copy(update={"response": response})
