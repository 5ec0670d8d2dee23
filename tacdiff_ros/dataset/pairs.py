"""Training samples of a dataset: pairs of network input and image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.dataset.map_coding import MM_STEPS, NOCS_STEPS, decode_length, decode_nocs
from tacdiff_ros.dataset.reader import SampleReader, reference_array

Stored = tuple[NDArray[np.generic], ...]
# Names of the stored arrays that each kind of network input consists of.
ARRAYS = {"nocs": ("nocs",), "depth": ("depth",), "nocs+light": ("nocs", "light")}
DIVISORS = {"nocs": NOCS_STEPS, "depth": MM_STEPS, "light": 255.0}
CACHE_BYTES = 6_000_000_000


class SamplePairs:
    """Network inputs (C, H, W) float32 and images (3, H, W) uint8 of the samples of a split.

    Samples that were read are cached in memory in their stored types, up to a limit.

    Attributes:
        divisors: full-scale value of every stored map, which decoding divides by.
    """

    def __init__(self, reader: SampleReader, kind: str, cache_bytes: int = CACHE_BYTES) -> None:
        """Select the arrays of a kind of input.

        Args:
            reader: samples of a split.
            kind: kind of network input: nocs, depth or nocs+light.
            cache_bytes: size limit of the cache, bytes.
        """
        self._reader = reader
        self._names = (*ARRAYS[kind], "rgb")
        self.divisors = tuple(DIVISORS[name] for name in ARRAYS[kind])
        self._cache: dict[int, Stored] = {}
        self._free_cache_bytes = cache_bytes

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._reader)

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Network input (C, H, W) float32 and image (3, H, W) uint8 of a sample."""
        stored = self._read(number)
        return _network_input(self._names, stored), _channels_first(stored[-1]).astype(np.uint8)

    def stored(self, number: int) -> Stored:
        """Return a sample in its stored types.

        Args:
            number: index of the sample.

        Returns:
            Maps (H, W, C) uint8 or uint16, and then the image (H, W, 3) uint8.
        """
        stored = self._read(number)
        return (*(_with_channels(array) for array in stored[:-1]), stored[-1].astype(np.uint8))

    def _read(self, number: int) -> Stored:
        stored = self._cache.get(number)
        if stored is None:
            stored = tuple(self._reader.array(number, name) for name in self._names)
            size = sum(array.nbytes for array in stored)
            if size <= self._free_cache_bytes:
                self._free_cache_bytes -= size
                self._cache[number] = stored
        return stored


def reference_pair(
    reader: SampleReader, kind: str
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the network input and the image of the undeformed gel.

    Args:
        reader: reader of the dataset; its split does not matter.
        kind: kind of network input: nocs, depth or nocs+light.

    Returns:
        (C, H, W) float32 input, and (3, H, W) uint8 image.
    """
    names = (*ARRAYS[kind], "rgb")
    stored = tuple(reference_array(reader.dataset, reader.checksum, name) for name in names)
    return _network_input(names, stored), _channels_first(stored[-1]).astype(np.uint8)


def _network_input(names: tuple[str, ...], stored: Stored) -> NDArray[np.float32]:
    """(C, H, W) network input of stored maps; the last array is the image and is ignored."""
    parts = [
        _channels_first(_decode(name, array))
        for name, array in zip(names[:-1], stored[:-1], strict=True)
    ]
    return np.ascontiguousarray(np.concatenate(parts), np.float32)


def _decode(name: str, stored: NDArray[np.generic]) -> NDArray[np.float32]:
    """(H, W, C) values of a stored map."""
    if name == "nocs":
        return decode_nocs(stored)
    if name == "depth":
        return _with_channels(decode_length(stored))
    return np.asarray(stored, np.float32) / np.float32(DIVISORS[name])


def _with_channels(values: NDArray[Any]) -> NDArray[Any]:
    """(H, W, C) of a map (H, W, C), or (H, W) with one channel."""
    return values[..., None] if values.ndim == 2 else values


def _channels_first(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """(C, H, W) of a map (H, W, C)."""
    return np.ascontiguousarray(values.transpose(2, 0, 1))
