"""Reads and writes the rig in a parameter file, of which it is the section of all nodes.

A new file holds nothing but the rig. In an existing one only the values of the rig change: comments
and the parameters of single nodes stay.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tacdiff_ros.acquisition.rig_settings import RigSettings
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable, read_text
from tacdiff_ros.output_files import write_file
from tacdiff_ros.settings_file import first_complaint, parse_yaml

MAX_BYTES = 1_000_000
ALL_NODES, PARAMETERS, RIG = "/**/*", "ros__parameters", "rig"
INDENT = " " * 6
HEADER = f"""\
# The rig, for all nodes and commands: rig_file:=THIS_FILE of the launch files, `tacdiff doctor
# --rig-file THIS_FILE`. Written by `tacdiff rig`; lengths in mm, angles in rad.
{ALL_NODES}:
  {PARAMETERS}:
    {RIG}:
"""
COMMENTS = {
    "mount_position_mm": "frame gel in the end effector frame (O_T_EE)",
    "indenter_position_mm": "tip of the indenter in the robot base frame",
    "indenter_rpy_rad": "orientation of frame gel at contact",
    "base_frame": "frame of O_T_EE: the root of the URDF",
    "end_effector_frame": "link of O_T_EE, which the controller must steer",
}
SECTION = re.compile(rf"^ +{RIG}: *(#.*)?$", re.MULTILINE)


def read_rig(path: Path) -> RigSettings:
    """Read the rig of a parameter file.

    Args:
        path: rig file, or a parameter file with a section for all nodes as in the shipped one.

    Raises:
        InputError: the file has no rig, or a value of it is not valid.
    """
    return _parse(read_text(path, "rig file", MAX_BYTES), printable(path))


def write_rig(path: Path, rig: RigSettings) -> None:
    """Write the rig to a new file, or change it in an existing parameter file.

    Args:
        path: rig file or parameter file.
        rig: rig to write.

    Raises:
        InputError: the existing file has no rig that can be changed in place, or the file cannot
            be written.
    """
    values = rig.model_dump(mode="json")
    if path.exists():
        text = read_text(path, "rig file", MAX_BYTES)
        _parse(text, printable(path))
        text = _changed(text, values)
    else:
        lines = (_line(name, value) for name, value in values.items())
        text = HEADER + "".join(f"{line}\n" for line in lines)
    try:
        is_right = _parse(text, printable(path)) == rig
    except InputError:
        is_right = False
    if not is_right:
        listed = ", ".join(f"{name}: {json.dumps(value)}" for name, value in values.items())
        raise InputError(
            f"the rig of {path} cannot be changed in place, expected one value a line below "
            f"'{RIG}:' as in the shipped tacdiff.yaml: enter {listed}"
        )
    write_file(path, text)


def _parse(text: str, origin: str) -> RigSettings:
    content = parse_yaml(text, origin)
    try:
        section: Any = content[ALL_NODES][PARAMETERS][RIG]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{origin} has no rig: expected '{ALL_NODES}: {PARAMETERS}: {RIG}:' as in the shipped "
            "tacdiff.yaml; `tacdiff rig write` makes such a file"
        ) from error
    try:
        return RigSettings.model_validate(section)
    except ValidationError as error:
        raise InputError(f"rig of {origin}: {first_complaint(error)}") from error


def _changed(text: str, values: dict[str, Any]) -> str:
    """Return the text with other values of the first section `rig`."""
    section = SECTION.search(text)
    if section is None:
        return text
    before, lines = text[: section.end()], text[section.end() :].split("\n")[1:]
    inside = 0
    while inside < len(lines) and re.match(rf"{INDENT}\S", lines[inside]):
        inside += 1
    own, after = lines[:inside], lines[inside:]
    for name, value in values.items():
        pattern = re.compile(rf"({INDENT}{name}: *)(\[[^\]#]*\]|\"[^\"]*\"|[^#\s]*)(.*)")
        matches = [(k, match) for k, line in enumerate(own) if (match := pattern.fullmatch(line))]
        if matches:
            number, match = matches[0]
            own[number] = f"{match[1]}{json.dumps(value)}{match[3]}"
        elif value != RigSettings.model_fields[name].default:
            own.append(_line(name, value))
    return "\n".join([before, *own, *after])


def _line(name: str, value: Any) -> str:
    comment = f"  # {COMMENTS[name]}" if name in COMMENTS else ""
    return f"{INDENT}{name}: {json.dumps(value)}{comment}"
