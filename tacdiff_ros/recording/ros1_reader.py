"""Reader of ROS 1 bags with bounded records and decompression.

Limits: rosbags keeps the index of all messages in memory, about 200 bytes each.
"""

from __future__ import annotations

import bz2
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from rosbags import rosbag1
from rosbags.rosbag1 import reader as rosbag1_reader

from tacdiff_ros.errors import InputError
from tacdiff_ros.recording.bag_checks import MAX_CHUNK_BYTES, MAX_EXPANSION, SMALL_CHUNK_BYTES

MAX_MAGIC_BYTES = 64


class _BoundedFile(BufferedReader):
    """File of which no line or record larger than a chunk is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_CHUNK_BYTES:
            raise InputError(f"a record has {size} bytes, expected up to {MAX_CHUNK_BYTES}")
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return super().readline(MAX_MAGIC_BYTES)


class Ros1Reader(rosbag1.Reader):
    """rosbags' reader, which reads no more index entries and decompresses no more than is safe."""

    def __init__(self, path: Path) -> None:
        """Prepare reading of a .bag file; `open` or a `with` statement opens it."""
        _bound_decompression()
        super().__init__(path)
        self._index_bytes, self._max_index_bytes = 0, path.stat().st_size

    @property
    def bio(self) -> _BoundedFile | None:
        """Open file."""
        return self._file

    @bio.setter
    def bio(self, file: IO[bytes] | None) -> None:
        self._file = _BoundedFile(file.detach()) if isinstance(file, BufferedReader) else None

    def read_index_data(self, pos: int, indexes: Any) -> None:
        """Read one index record; the records of a file are no larger than the file.

        Raises:
            InputError: they are, because the file refers to the same record many times.
        """
        assert self.bio is not None  # noqa: S101
        start = self.bio.tell()
        super().read_index_data(pos, indexes)
        self._index_bytes += self.bio.tell() - start
        if self._index_bytes > self._max_index_bytes:
            raise InputError("its index is damaged: it refers to the same chunk more than once")

    def read_chunk(self) -> Any:
        """Read the header of a chunk.

        Raises:
            InputError: the chunk is too large.
        """
        chunk = super().read_chunk()
        if chunk.datasize > MAX_CHUNK_BYTES:
            raise InputError(
                f"a chunk has {chunk.datasize} bytes, expected up to {MAX_CHUNK_BYTES}"
            )
        return chunk


def _bound_decompression() -> None:
    """Limit rosbags' decompression of a chunk to the limits for rosbag2."""
    decompressors = rosbag1_reader.decompressors
    decompressors["bz2"] = _decompress_bz2
    decompressors["lz4"] = _decompress_lz4


def _decompress_bz2(data: bytes) -> bytes:
    return _checked(bz2.BZ2Decompressor().decompress(data, _limit(data) + 1), data)


def _decompress_lz4(data: bytes) -> bytes:
    from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

    raw = LZ4FrameDecompressor().decompress(data, max_length=_limit(data) + 1)
    return _checked(bytes(raw), data)


def _limit(data: bytes) -> int:
    return min(MAX_CHUNK_BYTES, MAX_EXPANSION * (len(data) + SMALL_CHUNK_BYTES))


def _checked(raw: bytes, data: bytes) -> bytes:
    if len(raw) > _limit(data):
        raise InputError(
            f"a chunk of {len(data)} bytes decompresses to more than {_limit(data)} bytes"
        )
    return raw
