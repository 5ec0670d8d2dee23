"""Does a sensor file belong to the sensor of an image? Its markers tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel


def marker_mismatch_px(model: SensorModel, image: NDArray[np.uint8]) -> float | None:
    """Return the median distance of the markers of an image from those of a sensor file.

    A press moves the markers near it by pixels, and the median marker by less than one.

    Args:
        model: sensor model.
        image: (H, W, 3) uint8 RGB image, of the undeformed gel or of a press.

    Returns:
        Median distance, px; None for a sensor file without markers.

    Raises:
        InputError: the markers cannot be detected.
    """
    if model.markers is None:
        return None
    measured = detect_markers(image, model.markers.grid).position_px
    expected = project(parameter_values(model), marker_positions_mm(model))
    return float(np.nanmedian(np.linalg.norm(measured - expected, axis=-1)))
