"""Sensor files: commented YAML of a `SensorModel`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import write_file
from tacdiff_ros.resources import config_path
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.settings_file import parse_settings, read_settings

MAX_FILE_BYTES = 1024 * 1024  # a file with every value set takes 750 kB
HEADER = """\
# One tactile sensor instance. Lengths in mm, angles in degrees, in the frame gel: origin at the
# centre of the undeformed contact surface, x to the right of the image, y down, z away from the
# camera.
"""
COMMENT_COLUMN = 44


def default_sensor() -> SensorModel:
    """Returns the model of `config/sensors/gelsight_mini.yaml`, a plausible GelSight Mini.

    Its values are nominal: they do not describe a particular sensor.
    """
    return read_sensor(config_path("sensors/gelsight_mini.yaml"))


def read_sensor(path: Path) -> SensorModel:
    """Reads a sensor file.

    Args:
        path: path of the YAML file.

    Returns:
        The sensor model.

    Raises:
        InputError: the file cannot be read, or it has an unknown field or an invalid value.
    """
    return read_settings(path, SensorModel, "sensor file", MAX_FILE_BYTES)


def parse_sensor(text: str, origin: str = "sensor file") -> SensorModel:
    """Parses the text of a sensor file.

    Args:
        text: content of the file, YAML.
        origin: name of the source for error messages.

    Returns:
        The sensor model.

    Raises:
        InputError: the text is too long, or has an unknown field or an invalid value.
    """
    if len(text) > MAX_FILE_BYTES:
        raise InputError(
            f"{origin} has {len(text)} characters, expected up to {MAX_FILE_BYTES}: it is no "
            "sensor file"
        )
    return parse_settings(text, SensorModel, origin)


def write_sensor(model: SensorModel, path: Path) -> None:
    """Writes a sensor file that reads back as the same model, replacing an old file atomically.

    Args:
        model: sensor model.
        path: path of the file.

    Raises:
        InputError: the file cannot be written.
    """
    write_file(path, format_sensor(model))


def format_sensor(model: SensorModel) -> str:
    """Returns the YAML text of a model, with the description of every value as a comment."""
    return HEADER + "\n".join(_lines(model, 0)) + "\n"


def _lines(part: BaseModel, depth: int) -> list[str]:
    """Returns the lines of all fields of a section."""
    lines = []
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        lines += _entry(name, value, field.description, depth)
    return lines


def _entry(name: str, value: Any, description: str | None, depth: int) -> list[str]:
    """Returns the lines of one field: a section, a list of sections, a table or a plain value."""
    margin = "  " * depth
    comment = f"# {description}" if description else ""
    if isinstance(value, BaseModel):
        title = f"{margin}{name}:"
        summary = (type(value).__doc__ or "").split("\n")[0]
        return [_commented(title, f"# {summary}"), *_lines(value, depth + 1)]
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        items = [line for item in value for line in _item(item, depth + 1)]
        return [_commented(f"{margin}{name}:", comment), *items]
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        rows = [f"{margin}  - {_flow(row)}" for row in value]
        return [_commented(f"{margin}{name}:", comment), *rows]
    return [_commented(f"{margin}{name}: {_flow(value)}", comment)]


def _commented(text: str, comment: str) -> str:
    """Text with a comment in the column of comments, or one space after longer text."""
    return f"{text} ".ljust(COMMENT_COLUMN) + comment if comment else text


def _item(item: BaseModel, depth: int) -> list[str]:
    """Returns the lines of one element of a list: one line for short elements, else a block."""
    margin = "  " * depth
    fields = {name: getattr(item, name) for name in type(item).model_fields}
    if len(fields) <= 3 or "row" in fields:
        fields = {k: v for k, v in fields.items() if v is not None}
        return [f"{margin}- {{{', '.join(f'{k}: {_flow(v)}' for k, v in fields.items())}}}"]
    lines = _lines(item, depth + 1)
    return [f"{margin}- {lines[0].lstrip()}", *lines[1:]]


def _flow(value: Any) -> str:
    """Returns a value in the flow style of YAML, on one line."""
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
    """Returns the shortest text that reads back as the same number and is a number in YAML 1.1."""
    text = repr(value)
    if "e" in text and "." not in text:  # YAML 1.1 requires the point: 1.0e-05
        text = text.replace("e", ".0e")
    return text
