"""Reads YAML files of settings, and says in one line what is wrong with them."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tacdiff_ros.errors import InputError

LONGEST_QUOTE = 200  # characters of a file that a message repeats

# PyYAML lets these out of values such as the 99th of May, or `!!bool maybe`.
BROKEN_TAGS = (ValueError, KeyError, IndexError, AttributeError, TypeError)

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, settings: type[Settings], kind: str, maximum_bytes: int) -> Settings:
    """Read a file into a pydantic model.

    Args:
        path: YAML file, a mapping of names to values.
        settings: model that the mapping must satisfy.
        kind: what the file is, for messages ("protocol").
        maximum_bytes: a larger file is refused unread.

    Raises:
        InputError: the file is missing, too large, not YAML, or a value in it is unknown, of the
            wrong kind or out of range; the message names the value.
    """
    try:
        size = path.stat().st_size
        text = path.read_text("utf-8") if size <= maximum_bytes else ""
    except OSError as error:
        raise InputError(f"cannot read {kind} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{kind} {path} is not valid YAML: no UTF-8 text") from error
    if size > maximum_bytes:
        raise InputError(f"{kind} {path} is over {maximum_bytes} bytes: not a {kind}")
    return parse_settings(text, settings, f"{kind} {path}")


def parse_settings(text: str, settings: type[Settings], origin: str) -> Settings:
    """Read YAML text into a pydantic model; `origin` opens the messages of `InputError`."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, *BROKEN_TAGS, RecursionError) as error:
        reason = " ".join(str(error).split())[:LONGEST_QUOTE]
        raise InputError(f"{origin} is not valid YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"{origin} holds no mapping of names to values")
    try:
        return settings.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{origin}: {first_complaint(error)}") from error
    except RecursionError as error:
        raise InputError(f"{origin}: a value holds itself (a YAML alias)") from error


def first_complaint(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, in one line with the value's name."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in first["loc"])[:LONGEST_QUOTE]
    if not name:
        return " ".join(message.split())
    given = reprlib.repr(first["input"])[:LONGEST_QUOTE]  # nested aliases would fill the memory
    return " ".join(f"'{name}' is {given}: {message}".split())
