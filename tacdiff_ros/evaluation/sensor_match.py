"""Does a sensor file belong to the sensor of an image? Its markers tell."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel


def marker_mismatch_px(model: SensorModel, markers: MarkerField | None) -> float | None:
    """Return the median distance of the markers of an image from those of a sensor file.

    A press moves the markers near it by pixels, and the median marker by less than one.

    Args:
        model: sensor model.
        markers: markers of an image, of the undeformed gel or of a press; None without markers.

    Returns:
        Median distance, px; None without markers.
    """
    if model.markers is None or markers is None or not markers.found.any():
        return None
    expected = project(parameter_values(model), marker_positions_mm(model))
    return float(np.nanmedian(np.linalg.norm(markers.position_px - expected, axis=-1)))
