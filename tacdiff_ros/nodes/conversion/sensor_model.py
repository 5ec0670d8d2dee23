"""Converts sensor models and fit residuals into ROS messages."""

from __future__ import annotations

import hashlib
from typing import Any

from tacdiff_ros.msg import Residual
from tacdiff_ros.msg import SensorModel as SensorModelMessage
from tacdiff_ros.sensor.sensor_file import format_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

# Suffix of a figure's name in the core: unit of the message, and factor from one to the other.
SI_CONVERSIONS = {"_px": ("px", 1.0), "_mm": ("m", 1e-3), "_grey": ("", 1.0 / 255.0)}


def to_residuals(figures: dict[str, float]) -> list[Any]:
    """Convert the figures of a fit into `Residual` messages in SI units.

    Args:
        figures: values by name; a suffix of `SI_CONVERSIONS` in a name gives the unit of the value.

    Returns:
        One message per figure, whose name has no suffix.
    """
    messages = []
    for name, value in figures.items():
        symbol, factor, title = "", 1.0, name
        for suffix, (si_symbol, si_factor) in SI_CONVERSIONS.items():
            if name.endswith(suffix):
                symbol, factor, title = si_symbol, si_factor, name.removesuffix(suffix)
        messages.append(Residual(name=title, value=float(value) * factor, unit=symbol))
    return messages


def to_sensor_model(
    model: SensorModel, figures: dict[str, float], stamp: Any, frame_id: str
) -> SensorModelMessage:
    """Convert a sensor model into a message that contains the complete sensor file.

    Args:
        model: calibrated sensor.
        figures: residuals of the calibration by name; see `to_residuals`.
        stamp: time of the calibration.
        frame_id: frame of the sensor's camera.

    Returns:
        Message with the text of the sensor file and its SHA-256 checksum.
    """
    text = format_sensor(model)
    message = SensorModelMessage(
        sensor_id=model.sensor_id,
        yaml=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        residuals=to_residuals(figures),
    )
    message.header.stamp = stamp
    message.header.frame_id = frame_id
    return message
