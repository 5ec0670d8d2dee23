"""Where fields lie in a serialised ROS message.

Deserialising a message in Python is too slow at a thousand a second when it is as
large as `franka_msgs/FrankaRobotState`. Its layout hardly ever changes, though: it depends only on
the lengths of its strings and sequences. This module finds the offsets once and lets numpy read the
wanted numbers; as long as the lengths stand, the offsets do.

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
    """Offsets of one message's fields.

    Attributes:
        offsets: byte offset of each primitive field by its dotted path, "o_t_ee.pose.position.x".
        size: bytes of the whole message.
        length_offsets: (n,) byte offsets of all string and sequence lengths.
        lengths: (n,) uint32, the lengths for which the offsets hold.
    """

    offsets: dict[str, int]
    size: int
    length_offsets: np.ndarray
    lengths: np.ndarray

    def fits(self, data: bytes) -> bool:
        """Whether the offsets hold for a serialised message."""
        if len(data) != self.size or data[:2] != LITTLE_ENDIAN:
            return False
        raw = np.frombuffer(data, np.uint8)
        parts = raw[self.length_offsets[:, None] + np.arange(4)]
        return bool(np.array_equal(parts.view("<u4").ravel(), self.lengths))


def find_layout(message_type: Any, data: bytes) -> CdrLayout:
    """Layout of one serialised message.

    Args:
        message_type: class of the message.
        data: the message as it came over the wire.

    Raises:
        InputError: the data is no little-endian CDR of that type.
    """
    if data[:2] != LITTLE_ENDIAN:
        raise InputError(
            f"message begins with {data[:2].hex()}; little-endian CDR begins with 0001"
        )
    walk = _Walk(data)
    try:
        walk.message(message_type, "")
    except (struct.error, IndexError) as error:
        raise InputError(
            f"message of {len(data)} bytes is too short for {message_type.__name__}: do both sides "
            "have the same version of its package?"
        ) from error
    return CdrLayout(
        walk.offsets,
        len(data),
        np.array(walk.length_offsets, np.int64),
        np.array(walk.lengths, np.uint32),
    )


class _Walk:
    """Follows a message's definition through its bytes."""

    def __init__(self, data: bytes) -> None:
        self.offsets: dict[str, int] = {}
        self.length_offsets: list[int] = []
        self.lengths: list[int] = []
        self._data = data
        self._at = HEADER_BYTES

    def message(self, message_type: Any, path: str) -> None:
        names = [name.lstrip("_") for name in message_type.__slots__ if name != "_check_fields"]
        for name, kind in zip(names, message_type.SLOT_TYPES, strict=True):
            self._field(kind, f"{path}.{name}" if path else name)

    def _field(self, kind: Any, path: str) -> None:
        if isinstance(kind, BasicType):
            self._primitive(kind.typename, path)
        elif isinstance(kind, AbstractString):
            length = self._length(path)
            self._at += length
        elif isinstance(kind, Array):
            self._elements(kind.value_type, kind.size, path)
        elif isinstance(kind, AbstractSequence):
            self._elements(kind.value_type, self._length(path), path)
        elif isinstance(kind, NamespacedType):
            self.message(_import_message(kind), path)
        else:
            raise InputError(f"field {path} has the type {kind}, which is not supported")

    def _elements(self, kind: Any, count: int, path: str) -> None:
        for index in range(count):
            self._field(kind, f"{path}[{index}]")

    def _primitive(self, typename: str, path: str) -> None:
        size = SIZES[typename]
        self._align(size)
        if self._at + size > len(self._data):
            raise IndexError(path)
        self.offsets[path] = self._at
        self._at += size

    def _length(self, path: str) -> int:
        self._align(4)
        (length,) = struct.unpack_from("<I", self._data, self._at)
        self.length_offsets.append(self._at)
        self.lengths.append(length)
        self._at += 4
        if length > len(self._data):
            raise IndexError(path)
        return int(length)

    def _align(self, size: int) -> None:
        self._at += -(self._at - HEADER_BYTES) % size


def _import_message(kind: NamespacedType) -> Any:
    module = __import__(".".join(kind.namespaces), fromlist=[kind.name])
    return getattr(module, kind.name)
