"""Sensor files: readable, commented YAML of a `SensorModel`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import write_file
from tacdiff_ros.resources import config_path
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.settings_file import parse_settings, read_settings

MAXIMUM_BYTES = 1024 * 1024  # all that can be set takes 750 kB
HEADER = """\
# One tactile sensor unit. Lengths in mm, angles in degrees, in the frame gel: origin in the middle
# of the untouched contact surface, x to the right of the image, y down, z off the camera.
"""
COMMENT_COLUMN = 44


def default_sensor() -> SensorModel:
    """The model in `config/sensors/gelsight_mini.yaml`: a plausible GelSight Mini, no real unit."""
    return read_sensor(config_path("sensors/gelsight_mini.yaml"))


def read_sensor(path: Path) -> SensorModel:
    """Read a sensor file.

    Raises:
        InputError: it cannot be read, or a value in it is unknown, of the wrong kind or impossible.
    """
    return read_settings(path, SensorModel, "sensor file", MAXIMUM_BYTES)


def parse_sensor(text: str, origin: str = "sensor file") -> SensorModel:
    """Read the text of a sensor file; errors as in `read_sensor`."""
    if len(text) > MAXIMUM_BYTES:
        raise InputError(f"{origin} is over {MAXIMUM_BYTES} bytes: not a sensor file")
    return parse_settings(text, SensorModel, origin)


def write_sensor(model: SensorModel, path: Path) -> None:
    """Write a sensor file that reads back as the same model; an old one is replaced at once.

    Raises:
        InputError: the file cannot be written.
    """
    write_file(path, format_sensor(model))


def format_sensor(model: SensorModel) -> str:
    """YAML text of a model with the meaning of every value beside it."""
    return HEADER + "\n".join(_lines(model, 0)) + "\n"


def _lines(part: BaseModel, depth: int) -> list[str]:
    lines = []
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        lines += _entry(name, value, field.description, depth)
    return lines


def _entry(name: str, value: Any, meaning: str | None, depth: int) -> list[str]:
    margin = "  " * depth
    comment = f"# {meaning}" if meaning else ""
    if isinstance(value, BaseModel):
        title = f"{margin}{name}:"
        about = (type(value).__doc__ or "").split("\n")[0]
        return [f"{title:<{COMMENT_COLUMN}}# {about}", *_lines(value, depth + 1)]
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        items = [line for item in value for line in _item(item, depth + 1)]
        return [f"{margin}{name}:".ljust(COMMENT_COLUMN if comment else 0) + comment, *items]
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        rows = [f"{margin}  - {_flow(row)}" for row in value]
        return [f"{margin}{name}:".ljust(COMMENT_COLUMN if comment else 0) + comment, *rows]
    text = f"{margin}{name}: {_flow(value)}"
    return [f"{text:<{COMMENT_COLUMN}}{comment}".rstrip() if comment else text]


def _item(item: BaseModel, depth: int) -> list[str]:
    """An element of a list: short ones in one line, others as a block."""
    margin = "  " * depth
    given = {name: getattr(item, name) for name in type(item).model_fields}
    if len(given) <= 3 or "row" in given:
        given = {k: v for k, v in given.items() if v is not None}
        return [f"{margin}- {{{', '.join(f'{k}: {_flow(v)}' for k, v in given.items())}}}"]
    lines = _lines(item, depth + 1)
    return [f"{margin}- {lines[0].lstrip()}", *lines[1:]]


def _flow(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return f"[{', '.join(_flow(part) for part in value)}]"
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, str):
        return f'"{value}"'
    return str(value)


def _decimal(value: float) -> str:
    """Shortest text that reads back as the same number, and that YAML takes for a number."""
    text = repr(value)
    if "e" in text and "." not in text:  # YAML 1.1 wants the point: 1.0e-05
        text = text.replace("e", ".0e")
    return text
