"""Loading of training samples onto the training device, fast enough for a GPU.

If all samples of a dataset fit into GPU memory, several processes read them once, and they stay
there in their stored 8 and 16 bit types; batches are decoded on the GPU. Otherwise these processes
read the samples again for every batch. For training on the CPU this process reads them itself.

Limits: if another process changes the dataset during the training, a batch may contain the old or
the new samples.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

MAX_GPU_MEMORY_FRACTION = 0.4  # samples in free GPU memory; the rest is for the training
MAX_READERS = 16
READ_BATCH = 16  # samples that a process reads before it passes them on


class Pairs(Protocol):
    """Training samples: pairs of network input and image."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Input (C, H, W) float32 and image (3, H, W) uint8 of a sample."""
        ...


class StoredPairs(Pairs, Protocol):
    """Training samples that are also available in their stored types.

    Attributes:
        divisors: full-scale value of every stored map, which decoding divides by.
    """

    divisors: tuple[float, ...]

    def stored(self, number: int) -> tuple[NDArray[Any], ...]:
        """Maps (H, W, C) uint8 or uint16, and then the image (H, W, 3) uint8, of a sample."""
        ...


class SampleFeed:
    """Supplies batches of samples on a device, in any order and any number of times."""

    def __init__(self, pairs: Pairs, device: str, readers: int = 0) -> None:
        """Read all samples into GPU memory if they fit.

        Args:
            pairs: training samples.
            device: `cpu` or `cuda`.
            readers: number of reader processes; 0: none for `cpu`, one per core for `cuda`.
        """
        self._pairs, self._device = pairs, device
        self._divisors = getattr(pairs, "divisors", None)
        on_gpu = device != "cpu" and self._divisors is not None
        self._readers = readers or (min(MAX_READERS, os.cpu_count() or 1) if on_gpu else 0)
        self._cached: list[Tensor] | None = None
        if on_gpu and self._stored_bytes() < (
            MAX_GPU_MEMORY_FRACTION * torch.cuda.mem_get_info()[0]
        ):
            self._cached = self._read_all()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._pairs)

    def batches(self, numbers: Iterable[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of samples on the device.

        Args:
            numbers: sample indices of every batch.

        Returns:
            Inputs (N, C, H, W) float32 and images (N, 3, H, W) uint8 of every batch.
        """
        if self._cached is not None:
            for batch in numbers:
                index = torch.as_tensor(batch, device=self._device)
                yield self._decode([values.index_select(0, index) for values in self._cached])
            return
        with closing(self._read(batch_sampler=numbers, pin_memory=self._device != "cpu")) as read:
            for parts in read:
                yield self._decode([part.to(self._device, non_blocking=True) for part in parts])

    def _read(self, **options: Any) -> Generator[list[Tensor], None, None]:
        """Yield batches in their stored types; the reader processes end with the generator."""
        samples = _Samples(self._pairs, self._divisors is not None)
        batches = iter(DataLoader(samples, num_workers=self._readers, **options))
        try:
            yield from batches
        finally:
            if self._readers:
                # The traceback of an error keeps the iterator alive, and it keeps its processes.
                batches._shutdown_workers()  # type: ignore[attr-defined]

    def _stored_bytes(self) -> int:
        """Number of bytes of all samples in their stored types."""
        first = cast(StoredPairs, self._pairs).stored(0) if len(self._pairs) else ()
        return len(self._pairs) * sum(array.nbytes for array in first)

    def _read_all(self) -> list[Tensor]:
        """All samples in their stored types on the device, one tensor for each array."""
        cached: list[Tensor] = []
        done = 0
        for parts in self._read(batch_size=READ_BATCH, shuffle=False):
            if not cached:
                shapes = [(len(self._pairs), *part.shape[1:]) for part in parts]
                cached = [
                    torch.empty(shape, dtype=part.dtype, device=self._device)
                    for shape, part in zip(shapes, parts, strict=True)
                ]
            for values, part in zip(cached, parts, strict=True):
                values[done : done + len(part)].copy_(part)
            done += len(parts[0])
        return cached

    def _decode(self, parts: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs and images of a batch, in the memory layout that convolutions are fastest with."""
        if self._divisors is None:
            maps, images = parts
        else:
            decoded = [
                _unsigned(part).float() / divisor
                for part, divisor in zip(parts[:-1], self._divisors, strict=True)
            ]
            maps = torch.cat(decoded, dim=-1).permute(0, 3, 1, 2)
            images = parts[-1].permute(0, 3, 1, 2)
        layout = torch.channels_last
        return maps.contiguous(memory_format=layout), images.contiguous(memory_format=layout)


class _Samples(Dataset[Any]):
    """Adapter from `Pairs` to PyTorch's `Dataset`, in decoded or stored types."""

    def __init__(self, pairs: Pairs, stored: bool) -> None:
        self._pairs, self._stored = pairs, stored

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> tuple[NDArray[Any], ...]:
        if not self._stored:
            return self._pairs[number]
        return tuple(_signed(array) for array in cast(StoredPairs, self._pairs).stored(number))


def _signed(array: NDArray[Any]) -> NDArray[Any]:
    """Reinterpret uint16 as int16: older versions of PyTorch have no uint16."""
    return array.view(np.int16) if array.dtype == np.uint16 else array


def _unsigned(values: Tensor) -> Tensor:
    """Undo `_signed`; the result is int32."""
    return values.to(torch.int32) & 0xFFFF if values.dtype == torch.int16 else values
