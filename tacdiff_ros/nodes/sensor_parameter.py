"""Loads the sensor model named by a node's parameter `sensor_file`."""

from __future__ import annotations

from pathlib import Path

from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel


def sensor_from(file: str) -> SensorModel:
    """Load a sensor model.

    Args:
        file: path of the sensor file; empty for the package's default sensor.

    Returns:
        Sensor model.

    Raises:
        InputError: the file cannot be read or is not a sensor file.
    """
    return read_sensor(Path(file).expanduser()) if file else default_sensor()


def describe_sensor(model: SensorModel, file: str) -> str:
    """Return which sensor a node works with, for its log.

    Args:
        model: sensor model.
        file: path of the sensor file; empty for the package's default sensor.
    """
    origin = file or "default sensor file of the package: calibrate yours (docs/calibration.md)"
    return f"sensor {model.sensor_id}, checksum {model.checksum[:16]}, {origin}"
