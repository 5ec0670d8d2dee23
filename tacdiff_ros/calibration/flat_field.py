"""Flat field of a sensor: measured over rendered reference image, as a grid of ratios."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.sensor.sensor_model import FlatField, SensorModel

ROWS, COLUMNS = 36, 48
MIN_RATIO, MAX_RATIO = 0.02, 50.0

Floats = NDArray[np.float64]


def with_flat_field(model: SensorModel, reference: FitImage) -> SensorModel:
    """Return the model with the flat field that makes its undeformed gel match a reference image.

    Args:
        model: sensor model with fitted lights; its present flat field is ignored.
        reference: reference image at the fit's size.
    """
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    linear = model.response.model_copy(update={"gamma": (1.0, 1.0, 1.0)})
    plain = {"markers": None, "flat_field": None, "response": linear}
    height, width = reference.free.shape
    renderer = Renderer(model.model_copy(update=plain))
    rendered = renderer.image(RenderSettings(width, height, shadows=False)).astype(np.float64)
    ratio = reference.smooth ** np.array(model.response.gamma) / np.maximum(rendered, 1e-6)
    values = np.clip(_sampled_on_grid(ratio), MIN_RATIO, MAX_RATIO)
    rows = tuple(tuple(tuple(map(float, rgb)) for rgb in row) for row in values)
    return model.model_copy(update={"flat_field": FlatField.model_validate({"values": rows})})


def _sampled_on_grid(image: Floats) -> Floats:
    """(ROWS, COLUMNS, 3) samples of an image (h, w, 3), from edge to edge."""
    height, width = image.shape[:2]
    x = np.linspace(-0.5, width - 0.5, COLUMNS, dtype=np.float32)
    y = np.linspace(-0.5, height - 0.5, ROWS, dtype=np.float32)
    across, down = np.meshgrid(x, y)
    sampled = cv2.remap(
        image.astype(np.float32), across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return sampled.astype(np.float64)
