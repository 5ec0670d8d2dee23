"""Marker positions on the undeformed gel, by the sensor file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import Markers, SensorModel

Floats = NDArray[np.float64]


def lattice_positions_mm(markers: Markers) -> Floats:
    """Positions (rows, columns, 3) of a perfect marker lattice in the frame `gel`, mm.

    z is that of a marker's rim, which the camera sees: half the print's height above the gel.
    """
    column = (np.arange(markers.columns) - (markers.columns - 1) / 2) * markers.pitch_mm[0]
    row = (np.arange(markers.rows) - (markers.rows - 1) / 2) * markers.pitch_mm[1]
    x, y = np.meshgrid(column + markers.centre_mm[0], row + markers.centre_mm[1])
    return np.stack([x, y, np.full_like(x, -0.5 * markers.height_mm)], axis=-1)


def marker_positions_mm(model: SensorModel) -> Floats:
    """Positions (rows, columns, 3) of a sensor's own markers in the frame `gel`, mm.

    Raises:
        InputError: the sensor has no markers.
    """
    if model.markers is None:
        raise InputError("the sensor file has no markers")
    positions = lattice_positions_mm(model.markers)
    offset = parameter_values(model)["markers.offset_mm"]
    positions[..., :2] += offset.reshape(*positions.shape[:2], 2)
    return positions
