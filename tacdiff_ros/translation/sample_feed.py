"""Brings samples to the device that trains, quickly enough for a graphics card.

Samples of a dataset are read once, by several processes, and stay on the card as they are stored
(8 and 16 bits) where they fit; there they are turned into the network's numbers. What does not fit
is read by those processes all the time. A processor is fed by this process, which keeps up.

Limits: a dataset that others change meanwhile is read as it was, or as it is.
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

MAX_CARD_FRACTION = 0.4  # of its free memory, for samples; the rest is for the training
MAX_READERS = 16
READ_AT_ONCE = 16  # samples, by each process


class Pairs(Protocol):
    """Samples to train on."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Maps (C, H, W) float32 and image (3, H, W) uint8 of a sample."""
        ...


class StoredPairs(Pairs, Protocol):
    """Samples that can be had as they are stored.

    Attributes:
        divisors: by which stored maps are divided, one each.
    """

    divisors: tuple[float, ...]

    def stored(self, number: int) -> tuple[NDArray[Any], ...]:
        """Maps (H, W, C) uint8 or uint16, and the image (H, W, 3) uint8."""
        ...


class SampleFeed:
    """Batches of samples on a device, in any order, as often as wanted."""

    def __init__(self, pairs: Pairs, device: str, readers: int = 0) -> None:
        """Samples and where they go.

        Args:
            pairs: samples.
            device: `cpu` or `cuda`.
            readers: processes that read; 0 for none on a processor, for enough on a card.
        """
        self._pairs, self._device = pairs, device
        self._divisors = getattr(pairs, "divisors", None)
        on_card = device != "cpu" and self._divisors is not None
        self._readers = readers or (min(MAX_READERS, os.cpu_count() or 1) if on_card else 0)
        self._kept: list[Tensor] | None = None
        if on_card and self._size() < MAX_CARD_FRACTION * torch.cuda.mem_get_info()[0]:
            self._kept = self._read_all()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._pairs)

    def batches(self, numbers: Iterable[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Maps (N, C, H, W) float32 and images (N, 3, H, W) uint8 of samples by their numbers."""
        if self._kept is not None:
            for batch in numbers:
                index = torch.as_tensor(batch, device=self._device)
                yield self._decoded([values.index_select(0, index) for values in self._kept])
            return
        with closing(self._read(batch_sampler=numbers, pin_memory=self._device != "cpu")) as read:
            for parts in read:
                yield self._decoded([part.to(self._device, non_blocking=True) for part in parts])

    def _read(self, **options: Any) -> Generator[list[Tensor], None, None]:
        """Batches as they are read; no process is left over, however it ends."""
        samples = _Samples(self._pairs, self._divisors is not None)
        batches = iter(DataLoader(samples, num_workers=self._readers, **options))
        try:
            yield from batches
        finally:
            if self._readers:
                batches._shutdown_workers()  # type: ignore[attr-defined]  # an error keeps it alive

    def _size(self) -> int:
        """Bytes of all samples as they are stored."""
        first = cast(StoredPairs, self._pairs).stored(0) if len(self._pairs) else ()
        return len(self._pairs) * sum(array.nbytes for array in first)

    def _read_all(self) -> list[Tensor]:
        kept: list[Tensor] = []
        done = 0
        for parts in self._read(batch_size=READ_AT_ONCE, shuffle=False):
            if not kept:
                sizes = [(len(self._pairs), *part.shape[1:]) for part in parts]
                kept = [
                    torch.empty(size, dtype=part.dtype, device=self._device)
                    for size, part in zip(sizes, parts, strict=True)
                ]
            for values, part in zip(kept, parts, strict=True):
                values[done : done + len(part)].copy_(part)
            done += len(parts[0])
        return kept

    def _decoded(self, parts: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps and images, in the layout that networks are quickest with."""
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
    """Samples as torch wants them."""

    def __init__(self, pairs: Pairs, stored: bool) -> None:
        self._pairs, self._stored = pairs, stored

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> tuple[NDArray[Any], ...]:
        if not self._stored:
            return self._pairs[number]
        return tuple(_signed(array) for array in cast(StoredPairs, self._pairs).stored(number))


def _signed(array: NDArray[Any]) -> NDArray[Any]:
    """The bits of 16-bit numbers as torch has them in all versions."""
    return array.view(np.int16) if array.dtype == np.uint16 else array


def _unsigned(values: Tensor) -> Tensor:
    return values.to(torch.int32) & 0xFFFF if values.dtype == torch.int16 else values
