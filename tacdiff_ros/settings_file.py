"""Reads YAML settings files into pydantic models and reports errors in one line."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable, read_text

ROS_PARAMETERS = "ros__parameters"
MAX_QUOTE = 200  # characters of a file quoted in a message
MAX_VALUES = 200_000  # values of a file, aliases expanded; the largest sensor file has half of it
MAX_NESTING = 50
MAX_NUMBER_CHARACTERS = 64

# PyYAML raises these for values such as the 99th of May or `!!bool maybe`.
BROKEN_TAGS = (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError)

# The C loader is ten times as fast; the wheels of PyYAML contain it.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, settings: type[Settings], kind: str, maximum_bytes: int) -> Settings:
    """Read a YAML file into a pydantic model.

    Args:
        path: YAML file with a mapping of names to values.
        settings: class of the model.
        kind: noun phrase that names the file in messages, such as "protocol".
        maximum_bytes: maximum file size, bytes.

    Returns:
        Validated model.

    Raises:
        InputError: the file is missing, too large or not YAML, or a value in it is unknown, of the
            wrong type or out of range; the message names the value.
    """
    text = read_text(path, kind, maximum_bytes)
    return parse_settings(text, settings, f"{kind} {printable(path)}")


def parse_settings(text: str, settings: type[Settings], origin: str) -> Settings:
    """Read YAML text into a pydantic model.

    Args:
        text: YAML text with a mapping of names to values.
        settings: class of the model.
        origin: source of the text, with which error messages begin.

    Returns:
        Validated model.

    Raises:
        InputError: the text is not YAML or not valid for the model; the message names the value.
    """
    content = parse_yaml(text, origin)
    if not isinstance(content, dict):
        raise InputError(f"{origin} holds no mapping of names to values")
    try:
        return settings.model_validate(content)
    except ValidationError as error:
        complaint = first_complaint(error)
        if _has_ros_parameters(content):
            complaint = "this is a parameter file of nodes (ros__parameters): give another file"
        raise InputError(f"{origin}: {complaint}") from error
    except RecursionError as error:
        raise InputError(f"{origin}: a value contains itself (a YAML alias)") from error


def _has_ros_parameters(content: dict[Any, Any]) -> bool:
    """Whether the content is that of a parameter file for nodes."""
    sections = [part for part in content.values() if isinstance(part, dict)]
    inner = [part for section in sections for part in section.values() if isinstance(part, dict)]
    return any(ROS_PARAMETERS in part for part in (*sections, *inner))


def parse_yaml(text: str, origin: str) -> Any:
    """Return the content of untrusted YAML text.

    Args:
        text: YAML text.
        origin: source of the text, with which error messages begin.

    Raises:
        InputError: the text is not YAML, or has a tag that names code, a merge key, a number of
            more than `MAX_NUMBER_CHARACTERS` characters, deeper nesting than `MAX_NESTING`, or more
            values than `MAX_VALUES` after expanding aliases.
    """
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 (a subclass of SafeLoader)
        count = _count_values(content, {}, 0)
    except (yaml.YAMLError, *BROKEN_TAGS, RecursionError) as error:
        raise InputError(f"{origin} is not valid YAML: {one_line(error)}") from error
    if count > MAX_VALUES:
        raise InputError(f"{origin} has over {MAX_VALUES} values after expanding aliases")
    return content


class _Loader(SafeLoader):
    """PyYAML's safe loader without features that expand short text into much data."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse merge keys: nested merges grow exponentially with the nesting depth."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    "merge keys (<<) are not supported: write the values out",
                    key.start_mark,
                )
        super().flatten_mapping(node)

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        """Refuse long numbers: parsing base-60 numbers takes time quadratic in their length."""
        is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if is_number and len(node.value) > MAX_NUMBER_CHARACTERS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a number of over {MAX_NUMBER_CHARACTERS} characters", node.start_mark
            )
        return super().construct_scalar(node)


def _count_values(value: Any, known: dict[int, int], depth: int) -> int:
    """Return the number of values contained in a value, aliases expanded.

    Args:
        value: YAML value.
        known: counts by `id` of the containers visited so far, extended in place.
        depth: nesting depth of the value.

    Raises:
        RecursionError: the nesting is deeper than `MAX_NESTING`, or a value contains itself.
    """
    if not isinstance(value, (dict, list, tuple, set)):
        return 1
    if depth > MAX_NESTING:
        raise RecursionError(
            f"nesting deeper than {MAX_NESTING} levels, or a value that contains itself"
        )
    if id(value) not in known:
        known[id(value)] = 1 + sum(_count_values(part, known, depth + 1) for part in _parts(value))
    return known[id(value)]


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    else:
        yield from value


def first_complaint(error: ValidationError) -> str:
    """Return the first error of a pydantic validation in one line with the name of the value."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    name = printable(".".join(str(part) for part in first["loc"])[:MAX_QUOTE])
    if not name:
        return printable(" ".join(message.split()))
    value = reprlib.repr(first["input"])[:MAX_QUOTE]  # repr of nested aliases could fill memory
    return printable(" ".join(f"'{name}' is {value}: {message}".split()))
