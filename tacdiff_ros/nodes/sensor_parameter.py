"""The sensor that a node's parameter `sensor_file` names."""

from __future__ import annotations

from pathlib import Path

from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel


def sensor_from(file: str) -> SensorModel:
    """Sensor model of a file, or the package's default one where the name is empty.

    Raises:
        InputError: the file cannot be read or is no sensor file.
    """
    return read_sensor(Path(file).expanduser()) if file else default_sensor()
