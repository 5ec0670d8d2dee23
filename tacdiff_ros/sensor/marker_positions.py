"""Marker positions on the undeformed gel according to the sensor file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import Markers, SensorModel

Floats = NDArray[np.float64]


def lattice_positions_mm(markers: Markers) -> Floats:
    """Returns the positions of the nominal marker lattice in the frame `gel`.

    z is that of the visible edge of a marker: half of the print's height above the gel.

    Args:
        markers: markers of a sensor file.

    Returns:
        (rows, columns, 3) positions of the markers, mm.
    """
    column = (np.arange(markers.columns) - (markers.columns - 1) / 2) * markers.pitch_mm[0]
    row = (np.arange(markers.rows) - (markers.rows - 1) / 2) * markers.pitch_mm[1]
    x, y = np.meshgrid(column + markers.centre_mm[0], row + markers.centre_mm[1])
    return np.stack([x, y, np.full_like(x, -0.5 * markers.height_mm)], axis=-1)


def marker_positions_mm(model: SensorModel) -> Floats:
    """Returns the positions of a sensor's markers, with their offsets, in the frame `gel`.

    Args:
        model: sensor model.

    Returns:
        (rows, columns, 3) positions of the markers, mm.

    Raises:
        InputError: the sensor has no markers.
    """
    if model.markers is None:
        raise InputError("the sensor file has no markers: add a section `markers` to it")
    positions = lattice_positions_mm(model.markers)
    offset = parameter_values(model)["markers.offset_mm"]
    positions[..., :2] += offset.reshape(*positions.shape[:2], 2)
    return positions
