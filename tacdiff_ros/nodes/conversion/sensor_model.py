"""Sensor models and residuals as messages."""

from __future__ import annotations

import hashlib
from typing import Any

from tacdiff_ros.msg import Residual
from tacdiff_ros.msg import SensorModel as SensorModelMessage
from tacdiff_ros.sensor.sensor_file import format_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

# Ending of a figure's name in the core: unit of the message, and what it is multiplied by.
UNITS = {"_px": ("px", 1.0), "_mm": ("m", 1e-3), "_grey": ("", 1.0 / 255.0)}


def to_residuals(figures: dict[str, float]) -> list[Any]:
    """Figures whose names end in their units as `Residual` messages in SI units."""
    messages = []
    for name, value in figures.items():
        unit, factor, title = "", 1.0, name
        for ending, (symbol, scale) in UNITS.items():
            if name.endswith(ending):
                unit, factor, title = symbol, scale, name.removesuffix(ending)
        messages.append(Residual(name=title, value=float(value) * factor, unit=unit))
    return messages


def to_sensor_model(
    model: SensorModel, figures: dict[str, float], stamp: Any, frame_id: str
) -> SensorModelMessage:
    """A sensor model as a message that carries its whole file."""
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
