"""Layout of a dataset's arrays on disk, which is checked before Zarr opens any of them.

Zarr takes codecs, shapes and chunk sizes from JSON files next to the data. Those of format 2 may
select pickle, which executes code, and files of either format may request terabytes of memory.
Therefore only arrays as `store.write_group` writes them are read: format 3, one file (shard) per
array, one Blosc chunk per sample.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import open_input, printable, read_json

MAX_METADATA_BYTES = 2**20
MAX_FILE_BYTES = 2**40
MAX_SIDE = 8192  # pixels or vertices along one axis
MAX_SAMPLES = 65_536  # samples of a trial
MAX_SAMPLE_BYTES = 128 * 2**20  # size of one sample of one array
# Types and axes of every array: S samples, H rows, W columns; a digit is a fixed length.
LAYOUT: dict[str, tuple[str, str]] = {
    "rgb": ("uint8", "SHW3"),
    "light": ("uint8", "SHW3"),
    "nocs": ("uint16", "SHW3"),
    "depth": ("uint16", "SHW"),
    "indentation": ("uint16", "SHW"),
    "shear": ("int16", "SHW2"),
    "contact": ("bool uint8", "SHW"),
    "position_mm": ("float32", "SHW3"),
    "pressure_mpa": ("float32", "SHW"),
    "traction_mpa": ("float32", "SHW2"),
    "force_n": ("float64", "S3"),
    "torque_n_mm": ("float64", "S3"),
    "pose": ("float64", "S4"),
    "phase": ("uint8", "S"),
    "penetration_mm": ("float64", "S"),
    "converged": ("bool uint8", "S"),
}
SHARDING, CHUNK_CODECS = "sharding_indexed", ["bytes", "blosc"]
INDEX_CODECS = ["bytes", "crc32c"]
INDEX_ENTRY_BYTES, CHECKSUM_BYTES = 16, 4
# Two versions, flags, type size; then decoded bytes, block bytes, compressed bytes.
BLOSC_HEADER = struct.Struct("<4BIII")


@dataclass(frozen=True)
class ArrayFile:
    """One array on disk.

    Attributes:
        folder: folder with the array's metadata.
        shape: samples along the first axis.
        dtype: type of the values.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def sample_bytes(self) -> int:
        """Size of one sample in memory, bytes."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def shard(self) -> Path:
        """Path of the file that contains all samples."""
        return self.folder.joinpath("c", *["0"] * len(self.shape))


def read_node(folder: Path, kind: str) -> dict[str, Any]:
    """Return the metadata of a Zarr group or array of format 3.

    Args:
        folder: folder that contains a `zarr.json`.
        kind: "group" or "array".

    Returns:
        Content of `zarr.json`.

    Raises:
        InputError: the file is missing, is no JSON, or describes another format or kind.
    """
    content = read_json(folder / "zarr.json", "metadata", MAX_METADATA_BYTES)
    if not isinstance(content, dict) or content.get("zarr_format") != 3:
        raise InputError(f"{printable(folder)} is no Zarr {kind} of format 3")
    if content.get("node_type") != kind or not isinstance(content.get("attributes", {}), dict):
        raise InputError(f"{printable(folder)} is no Zarr {kind}")
    return content


def check_arrays(folder: Path, sizes: Any) -> None:
    """Check all arrays of a group.

    Args:
        folder: folder of the group.
        sizes: file size in bytes of every array by its name, as the group's attributes state.

    Raises:
        InputError: an array has an unknown name, another type, shape or codec than `store` writes,
            a file of another size, or a chunk that would not decode to one sample.
    """
    if not isinstance(sizes, Mapping) or not all(name in LAYOUT for name in sizes):
        raise InputError(f"{printable(folder)} is missing or damaged (unknown array names)")
    axes: dict[str, int] = {}
    for name, size in sizes.items():
        array = _array_file(folder, name, axes)
        _check_shard(array, size, folder)


def _array_file(folder: Path, name: str, axes: dict[str, int]) -> ArrayFile:
    """Read and check an array's metadata; `axes` collects the axis lengths common to all arrays."""
    path = folder / name
    try:
        content = read_node(path, "array")
        types, letters = LAYOUT[name]
        if content["data_type"] not in types.split():
            raise ValueError(f"its type is {str(content['data_type'])[:80]!r}, expected {types}")
        shape = _checked_shape(content["shape"], letters, axes)
        array = ArrayFile(path, shape, np.dtype(content["data_type"]))
        _check_metadata(content, array)
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{printable(path)} is missing or damaged ({error})") from error
    return array


def _checked_shape(shape: Any, letters: str, axes: dict[str, int]) -> tuple[int, ...]:
    """Return a shape after comparing it with the layout and with the axes of other arrays."""
    if len(shape) != len(letters) or not all(type(length) is int for length in shape):
        raise ValueError(f"shape {str(shape)[:80]}, expected axes {letters}")
    for letter, length in zip(letters, shape, strict=True):
        max_length = MAX_SAMPLES if letter == "S" else MAX_SIDE
        if not 1 <= length <= max_length:
            raise ValueError(f"shape {str(shape)[:80]}: {length}, expected 1 to {max_length}")
        expected = int(letter) if letter.isdigit() else axes.setdefault(letter, length)
        if length != expected:
            raise ValueError(f"shape {str(shape)[:80]}: {letter} is {length}, expected {expected}")
    return tuple(shape)


def _check_metadata(content: dict[str, Any], array: ArrayFile) -> None:
    """Raise a ValueError unless chunks and codecs are those that `store.write_group` writes."""
    (sharding,) = content["codecs"]
    inner = sharding["configuration"]
    keys = content["chunk_key_encoding"]
    expected = {
        "chunk grid": (content["chunk_grid"]["name"], "regular"),
        "shard": (content["chunk_grid"]["configuration"]["chunk_shape"], list(array.shape)),
        "chunk keys": (keys["name"], "default"),
        "key separator": (keys.get("configuration", {}).get("separator", "/"), "/"),
        "codec": (sharding["name"], SHARDING),
        "chunk": (inner["chunk_shape"], [1, *array.shape[1:]]),
        "chunk codecs": (_names(inner["codecs"]), CHUNK_CODECS),
        "index codecs": (_names(inner["index_codecs"]), INDEX_CODECS),
        "index": (inner.get("index_location", "end"), "end"),
        "storage transformers": (content.get("storage_transformers") or [], []),
    }
    for name, (actual, required) in expected.items():
        if actual != required:
            raise ValueError(f"its {name} is {str(actual)[:80]!r}, expected {required}")
    if array.sample_bytes > MAX_SAMPLE_BYTES:
        raise ValueError(
            f"a sample has {array.sample_bytes} bytes, expected up to {MAX_SAMPLE_BYTES}"
        )


def _names(codecs: Any) -> list[str]:
    return [codec["name"] for codec in codecs]


def _check_shard(array: ArrayFile, stated_bytes: Any, folder: Path) -> None:
    """Raise an InputError unless a shard's size and its chunks' decoded sizes are as expected."""
    actual_bytes = 0
    if array.shard.exists():
        with open_input(array.shard, "array", MAX_FILE_BYTES) as opened:
            actual_bytes = opened.seek(0, 2)
            if actual_bytes == stated_bytes and _chunks_are_samples(opened, actual_bytes, array):
                return
    reason = f"{actual_bytes} bytes, expected {str(stated_bytes)[:20]}"
    if actual_bytes and actual_bytes == stated_bytes:
        reason = "its chunks do not decode to one sample each"
    raise InputError(
        f"{printable(array.folder)} is missing or damaged: {reason}; delete {printable(folder)} "
        "and run `tacdiff dataset` again"
    )


def _chunks_are_samples(opened: Any, size: int, array: ArrayFile) -> bool:
    """Whether every chunk lies inside the shard and states that it decodes to one sample."""
    samples = array.shape[0]
    index_bytes = samples * INDEX_ENTRY_BYTES + CHECKSUM_BYTES
    if size < index_bytes:
        return False
    opened.seek(size - index_bytes)
    index: NDArray[np.uint64] = np.frombuffer(opened.read(samples * INDEX_ENTRY_BYTES), "<u8")
    for offset, length in index.reshape(-1, 2).tolist():
        if length < BLOSC_HEADER.size or offset + length > size - index_bytes:
            return False
        opened.seek(offset)
        *_, decoded, _, compressed = BLOSC_HEADER.unpack(opened.read(BLOSC_HEADER.size))
        if decoded != array.sample_bytes or compressed != length:
            return False
    return True
