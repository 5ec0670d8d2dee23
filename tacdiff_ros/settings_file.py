"""Reads YAML files of settings, and says in one line what is wrong with them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable, read_text

MAX_QUOTE = 200  # characters of a file that a message repeats
MAX_VALUES = 200_000  # of a file, aliases written out; the largest sensor file has half of it
MAX_NESTING = 50
MAX_NUMBER_CHARACTERS = 64

# PyYAML lets these out of values such as the 99th of May, or `!!bool maybe`.
BROKEN_TAGS = (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError)

# The same loader in C is ten times as fast; wheels of PyYAML have it.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

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
    text = read_text(path, kind, maximum_bytes)
    return parse_settings(text, settings, f"{kind} {printable(path)}")


def parse_settings(text: str, settings: type[Settings], origin: str) -> Settings:
    """Read YAML text into a pydantic model; `origin` opens the messages of `InputError`."""
    content = parse_yaml(text, origin)
    if not isinstance(content, dict):
        raise InputError(f"{origin} holds no mapping of names to values")
    try:
        return settings.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{origin}: {first_complaint(error)}") from error
    except RecursionError as error:
        raise InputError(f"{origin}: a value holds itself (a YAML alias)") from error


def parse_yaml(text: str, origin: str) -> Any:
    """Content of YAML text from outside; `origin` opens the messages.

    Raises:
        InputError: no YAML, a tag that names code, a merge key, a number of more characters than
            any has, deeper nesting than `MAX_NESTING`, or more values than `MAX_VALUES` once
            aliases are written out.
    """
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 (it derives from the safe one)
        count = _count_values(content, {}, 0)
    except (yaml.YAMLError, *BROKEN_TAGS, RecursionError) as error:
        raise InputError(f"{origin} is not valid YAML: {one_line(error)}") from error
    if count > MAX_VALUES:
        raise InputError(f"{origin} holds over {MAX_VALUES} values, its aliases written out")
    return content


class _Loader(SafeLoader):
    """PyYAML's safe loader, without what makes much out of little."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse merge keys: mappings that merge mappings grow with every level."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, "merge keys (<<) are not read: write the values out", key.start_mark
                )
        super().flatten_mapping(node)

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        """Refuse endless numbers: those in base 60 take the square of their length in time."""
        is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if is_number and len(node.value) > MAX_NUMBER_CHARACTERS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a number of over {MAX_NUMBER_CHARACTERS} characters", node.start_mark
            )
        return super().construct_scalar(node)


def _count_values(value: Any, known: dict[int, int], depth: int) -> int:
    """Number of values below one, aliases written out; what `known` has counted is not entered."""
    if not isinstance(value, (dict, list, tuple, set)):
        return 1
    if depth > MAX_NESTING:
        raise RecursionError(f"values nested over {MAX_NESTING} deep, or a value that holds itself")
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
    """The first thing that pydantic found wrong, in one line with the value's name."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    name = printable(".".join(str(part) for part in first["loc"])[:MAX_QUOTE])
    if not name:
        return printable(" ".join(message.split()))
    given = reprlib.repr(first["input"])[:MAX_QUOTE]  # nested aliases would fill the memory
    return printable(" ".join(f"'{name}' is {given}: {message}".split()))
