"""Byte offsets of the fields of a serialised ROS message.

A message as large as `franka_msgs/FrankaRobotState` cannot be deserialised in Python a thousand
times per second. Its byte layout, however, depends only on the lengths of its strings and
sequences, and these hardly ever change. This module computes the offsets once; numpy then reads
the required numbers directly, as long as the lengths are the same.

Format: plain CDR, version 1 (XCDR1), as rmw_fastrtps and rmw_cyclonedds write it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from rosidl_parser.definition import (
    AbstractSequence,
    AbstractString,
    Array,
    BasicType,
    NamespacedType,
)

from tacdiff_ros.errors import InputError

HEADER_BYTES = 4
LITTLE_ENDIAN = b"\x00\x01"
SIZES = {
    **dict.fromkeys(["boolean", "octet", "uint8", "int8", "char"], 1),
    **dict.fromkeys(["uint16", "int16"], 2),
    **dict.fromkeys(["uint32", "int32", "float"], 4),
    **dict.fromkeys(["uint64", "int64", "double"], 8),
}


@dataclass(frozen=True)
class CdrLayout:
    """Byte offsets of the fields of one message.

    Attributes:
        offsets: byte offset of each primitive field by its dotted path, such as
            "o_t_ee.pose.position.x".
        strings: byte offset and length, with the final zero, of each string by its dotted path.
        size: size of the whole message, bytes.
        length_offsets: (n,) int64 byte offsets of the lengths of all strings and sequences.
        lengths: (n,) uint32 lengths of strings and sequences for which the offsets are valid.
    """

    offsets: dict[str, int]
    strings: dict[str, tuple[int, int]]
    size: int
    length_offsets: np.ndarray
    lengths: np.ndarray

    def matches(self, data: bytes) -> bool:
        """Return whether the offsets are valid for a serialised message."""
        if len(data) != self.size or data[:2] != LITTLE_ENDIAN:
            return False
        raw = np.frombuffer(data, np.uint8)
        length_bytes = raw[self.length_offsets[:, None] + np.arange(4)]
        return bool(np.array_equal(length_bytes.view("<u4").ravel(), self.lengths))


def find_layout(message_type: Any, data: bytes) -> CdrLayout:
    """Compute the layout of one serialised message.

    Args:
        message_type: Python class of the message.
        data: serialised message, including the CDR header.

    Returns:
        Layout that is valid for all messages of this type with the same string and sequence
        lengths.

    Raises:
        InputError: the data is not a little-endian CDR message of this type.
    """
    if data[:2] != LITTLE_ENDIAN:
        raise InputError(
            f"message begins with {data[:2].hex()}; little-endian CDR begins with 0001"
        )
    parser = _LayoutParser(data)
    try:
        parser.parse_message(message_type, "")
    except (struct.error, IndexError) as error:
        raise InputError(
            f"message of {len(data)} bytes is too short for {message_type.__name__}: check that "
            "both sides have the same version of its package"
        ) from error
    return CdrLayout(
        offsets=parser.offsets,
        strings=parser.strings,
        size=len(data),
        length_offsets=np.array(parser.length_offsets, np.int64),
        lengths=np.array(parser.lengths, np.uint32),
    )


class _LayoutParser:
    """Traverses the bytes of a message according to the definition of its type.

    Attributes:
        offsets: byte offset of each primitive field by its dotted path.
        strings: byte offset and length of each string by its dotted path.
        length_offsets: byte offsets of the lengths of all strings and sequences.
        lengths: lengths of all strings and sequences.
    """

    def __init__(self, data: bytes) -> None:
        self.offsets: dict[str, int] = {}
        self.strings: dict[str, tuple[int, int]] = {}
        self.length_offsets: list[int] = []
        self.lengths: list[int] = []
        self._data = data
        self._offset = HEADER_BYTES

    def parse_message(self, message_type: Any, path: str) -> None:
        """Traverse all fields of a message; `path` is the dotted path of the message itself."""
        names = [name.lstrip("_") for name in message_type.__slots__ if name != "_check_fields"]
        for name, kind in zip(names, message_type.SLOT_TYPES, strict=True):
            self._field(kind, f"{path}.{name}" if path else name)

    def _field(self, kind: Any, path: str) -> None:
        if isinstance(kind, BasicType):
            self._primitive(kind.typename, path)
        elif isinstance(kind, AbstractString):
            length = self._length(path)
            self.strings[path] = (self._offset, length)
            self._offset += length
        elif isinstance(kind, Array):
            self._elements(kind.value_type, kind.size, path)
        elif isinstance(kind, AbstractSequence):
            self._elements(kind.value_type, self._length(path), path)
        elif isinstance(kind, NamespacedType):
            self.parse_message(_import_message(kind), path)
        else:
            raise InputError(f"field {path} has the type {kind}, which is not supported")

    def _elements(self, kind: Any, count: int, path: str) -> None:
        for index in range(count):
            self._field(kind, f"{path}[{index}]")

    def _primitive(self, typename: str, path: str) -> None:
        size = SIZES[typename]
        self._align(size)
        if self._offset + size > len(self._data):
            raise IndexError(path)
        self.offsets[path] = self._offset
        self._offset += size

    def _length(self, path: str) -> int:
        self._align(4)
        (length,) = struct.unpack_from("<I", self._data, self._offset)
        self.length_offsets.append(self._offset)
        self.lengths.append(length)
        self._offset += 4
        if length > len(self._data):
            raise IndexError(path)
        return int(length)

    def _align(self, size: int) -> None:
        self._offset += -(self._offset - HEADER_BYTES) % size


def _import_message(kind: NamespacedType) -> Any:
    module = __import__(".".join(kind.namespaces), fromlist=[kind.name])
    return getattr(module, kind.name)
