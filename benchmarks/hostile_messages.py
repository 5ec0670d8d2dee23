"""Invalid ROS messages: undecodable bytes, and fields with values out of range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from rosidl_parser.definition import (
    AbstractSequence,
    AbstractString,
    Array,
    BasicType,
    NamespacedType,
)

INTEGERS = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
FLOATS = {
    "not a number": math.nan,
    "infinite": math.inf,
    "huge": 1e300,
    "negative": -1e6,
}
LONG_TEXT = "x" * 100_000
SEQUENCE_LENGTH = 3
MUTATIONS = 20
HEADER = b"\x00\x01\x00\x00"


def hostile_messages(message_type: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and valid messages of a type: its default, and fields out of range."""
    yield "default", message_type()
    for name, value in FLOATS.items():
        message = message_type()
        fill(message, number=value, whole=1, text="x")
        yield f"floats {name}", message
    for name, whole in (("largest", 1), ("smallest", 0)):
        message = message_type()
        fill(message, number=0.0, whole=whole, text=LONG_TEXT)
        yield f"integers {name}, long texts", message


def hostile_bytes(message_type: Any, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield names and byte strings to be sent as serialised messages of a type."""
    random = np.random.default_rng(seed)
    whole = serialize_message(message_type())
    yield "no bytes", b""
    yield "one byte", b"\x00"
    yield "header only", HEADER
    yield "ones", HEADER + b"\xff" * 400
    yield "noise", HEADER + random.bytes(400)
    yield "other byte order", b"\x00\x00\x00\x00" + whole[4:]
    yield "cut", whole[: len(whole) // 2]
    for name, message in hostile_messages(message_type):
        yield name, serialize_message(message)
    for number in range(MUTATIONS):
        mutated = bytearray(whole)
        for index in random.integers(0, len(mutated), 1 + number % 4):
            mutated[index] = int(random.integers(256))
        yield f"mutated {number}", bytes(mutated)


def fill(message: Any, number: float, whole: int, text: str) -> None:
    """Set every field of a message, including nested fields.

    Args:
        message: message to change.
        number: value of all floats.
        whole: 0 for the minimum of all integers, 1 for the maximum.
        text: value of all strings, truncated if a field is bounded.
    """
    names = [name.lstrip("_") for name in message.__slots__ if name != "_check_fields"]
    for name, kind in zip(names, message.SLOT_TYPES, strict=True):
        value = getattr(message, name)
        if isinstance(kind, NamespacedType):
            fill(value, number, whole, text)
        elif isinstance(kind, Array):
            _fill_array(message, name, kind, (number, whole, text))
        elif isinstance(kind, AbstractSequence):
            if isinstance(kind.value_type, BasicType | AbstractString):
                one = _value(kind.value_type, number, whole, text)
                setattr(message, name, [one] * SEQUENCE_LENGTH)
        else:
            setattr(message, name, _value(kind, number, whole, text))


def _fill_array(message: Any, name: str, kind: Array, values: tuple[float, int, str]) -> None:
    if isinstance(kind.value_type, NamespacedType):
        for part in getattr(message, name):
            fill(part, *values)
    else:
        setattr(message, name, [_value(kind.value_type, *values)] * kind.size)


def _value(kind: Any, number: float, whole: int, text: str) -> Any:
    if isinstance(kind, AbstractString):
        return text[: kind.maximum_size] if getattr(kind, "maximum_size", None) else text
    if kind.typename == "boolean":
        return bool(whole)
    if kind.typename in ("float", "double"):
        large = kind.typename == "float" and 1e38 < number < math.inf
        return 1e38 if large else number
    if kind.typename in ("octet", "char"):
        return b"\xff" if kind.typename == "octet" else 255
    return INTEGERS[kind.typename][whole]
