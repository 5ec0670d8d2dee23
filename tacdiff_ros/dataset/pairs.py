"""Samples as a network takes them: maps in, image out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.dataset.map_coding import MM_STEPS, NOCS_STEPS, decode_length, decode_nocs
from tacdiff_ros.dataset.reader import SampleReader, untouched_array

Stored = tuple[NDArray[np.generic], ...]
# A kind of input, and the arrays that it is made of.
ARRAYS = {"nocs": ("nocs",), "depth": ("depth",), "nocs+light": ("nocs", "light")}
DIVISORS = {"nocs": NOCS_STEPS, "depth": MM_STEPS, "light": 255.0}
KEPT_BYTES = 6_000_000_000


class SamplePairs:
    """Maps (C, H, W) float32 and images (3, H, W) uint8 of the samples of a split.

    What was read is kept in memory up to a bound, as it is stored.

    Attributes:
        divisors: by which stored maps are divided, one each.
    """

    def __init__(self, reader: SampleReader, kind: str, kept_bytes: int = KEPT_BYTES) -> None:
        """Of a kind of input: nocs, depth or nocs+light."""
        self._reader = reader
        self._names = (*ARRAYS[kind], "rgb")
        self.divisors = tuple(DIVISORS[name] for name in ARRAYS[kind])
        self._kept: dict[int, Stored] = {}
        self._room = kept_bytes

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._reader)

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """A sample's maps and image."""
        stored = self._read(number)
        return _maps(self._names, stored), _upright(stored[-1]).astype(np.uint8)

    def stored(self, number: int) -> Stored:
        """A sample's maps (H, W, C) and image (H, W, 3) uint8, as they are stored."""
        stored = self._read(number)
        return (*(_with_channels(array) for array in stored[:-1]), stored[-1].astype(np.uint8))

    def _read(self, number: int) -> Stored:
        stored = self._kept.get(number)
        if stored is None:
            stored = tuple(self._reader.array(number, name) for name in self._names)
            size = sum(array.nbytes for array in stored)
            if size <= self._room:
                self._room -= size
                self._kept[number] = stored
        return stored


def reference_pair(
    reader: SampleReader, kind: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Maps and image of the untouched sensor."""
    names = (*ARRAYS[kind], "rgb")
    stored = tuple(untouched_array(reader.dataset, reader.checksum, name) for name in names)
    return _maps(names, stored), _upright(stored[-1]).astype(np.uint8)


def _maps(names: tuple[str, ...], stored: Stored) -> NDArray[np.float32]:
    parts = [
        _upright(_decoded(name, array)) for name, array in zip(names[:-1], stored[:-1], strict=True)
    ]
    return np.ascontiguousarray(np.concatenate(parts), np.float32)


def _decoded(name: str, stored: NDArray[np.generic]) -> NDArray[np.float32]:
    if name == "nocs":
        return decode_nocs(stored)
    if name == "depth":
        return _with_channels(decode_length(stored))
    return np.asarray(stored, np.float32) / np.float32(DIVISORS[name])


def _with_channels(values: NDArray[Any]) -> NDArray[Any]:
    return values[..., None] if values.ndim == 2 else values


def _upright(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.ascontiguousarray(values.transpose(2, 0, 1))
