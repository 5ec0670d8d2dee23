"""Pairing of real and simulated images by their time stamps, in any order of arrival."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Real = TypeVar("Real")
Simulated = TypeVar("Simulated")


@dataclass(frozen=True)
class StampedPair(Generic[Real, Simulated]):
    """A real and a simulated item with nearly equal stamps.

    Attributes:
        real_ns: time stamp of the real item, ns.
        simulated_ns: time stamp of the simulated item, ns.
        real: real item, such as an image.
        simulated: simulated item.
    """

    real_ns: int
    simulated_ns: int
    real: Real
    simulated: Simulated


class StampPairing(Generic[Real, Simulated]):
    """Assigns to each real image the simulated image that is nearest in time.

    A pair is final when a simulated image of the same or a later time has arrived, or when the real
    image has waited longer than the patience. A real image without a simulated one within the
    tolerance is counted as unpaired. A second image of the same stamp replaces the first.

    Attributes:
        paired: number of real images that were paired.
        unpaired: number of real images that were not.
    """

    def __init__(self, tolerance_ns: int, patience_ns: int, max_images: int = 256) -> None:
        """Set the limits of the pairing.

        Args:
            tolerance_ns: largest difference of the stamps of a pair, ns.
            patience_ns: waiting time of a real image, measured by the stamps of later real images,
                ns.
            max_images: number of waiting images of each kind, which bounds the memory.
        """
        self._tolerance_ns, self._patience_ns = tolerance_ns, patience_ns
        self._max_images = max_images
        self._real: list[tuple[int, Real]] = []
        self._simulated: list[tuple[int, Simulated]] = []
        self.unpaired = 0
        self.paired = 0

    def add_real(self, stamp_ns: int, real: Real) -> Iterator[StampedPair[Real, Simulated]]:
        """Add a real image, and yield the pairs that are now final.

        Args:
            stamp_ns: time stamp of the image, ns.
            real: image.
        """
        _insert(self._real, stamp_ns, real)
        yield from self._final_pairs()

    def add_simulated(
        self, stamp_ns: int, simulated: Simulated
    ) -> Iterator[StampedPair[Real, Simulated]]:
        """Add a simulated image, and yield the pairs that are now final.

        Args:
            stamp_ns: time stamp of the image, ns.
            simulated: image.
        """
        _insert(self._simulated, stamp_ns, simulated)
        yield from self._final_pairs()

    def finish(self) -> Iterator[StampedPair[Real, Simulated]]:
        """Yield the pairs of all waiting real images at the end of the streams."""
        while self._real:
            yield from self._pair(0)

    def clear(self) -> None:
        """Discard all waiting images, for example after a jump of the clock back in time."""
        self._real.clear()
        self._simulated.clear()

    def _final_pairs(self) -> Iterator[StampedPair[Real, Simulated]]:
        """Pair the real images that need not wait any longer."""
        newest_simulated = self._simulated[-1][0] if self._simulated else None
        k = 0
        while k < len(self._real):
            stamp = self._real[k][0]
            final = newest_simulated is not None and newest_simulated >= stamp
            late = self._real[-1][0] - stamp > self._patience_ns
            if final or late or len(self._real) > self._max_images:
                yield from self._pair(k)
            else:
                k += 1
        self._discard_old()

    def _pair(self, k: int) -> Iterator[StampedPair[Real, Simulated]]:
        """Remove the waiting real image k, and yield its pair if it has one."""
        stamp, real = self._real.pop(k)
        nearest = self._nearest(stamp)
        if nearest is None:
            self.unpaired += 1
            return
        self.paired += 1
        simulated_ns, simulated = nearest
        yield StampedPair(real_ns=stamp, simulated_ns=simulated_ns, real=real, simulated=simulated)

    def _nearest(self, stamp_ns: int) -> tuple[int, Simulated] | None:
        """Stamp and image of the nearest simulated image; None if none is within the tolerance."""
        after = bisect.bisect_left(self._simulated, stamp_ns, key=_stamp)
        near = self._simulated[max(after - 1, 0) : after + 1]
        best = min(near, key=lambda entry: abs(entry[0] - stamp_ns), default=None)
        if best is None or abs(best[0] - stamp_ns) > self._tolerance_ns:
            return None
        return best

    def _discard_old(self) -> None:
        """Discard simulated images that are too old to be paired with a later real image."""
        if self._simulated:
            oldest = self._simulated[-1][0] - self._patience_ns - self._tolerance_ns
            del self._simulated[: bisect.bisect_left(self._simulated, oldest, key=_stamp)]
        del self._simulated[: max(0, len(self._simulated) - self._max_images)]


def _stamp(entry: tuple[int, object]) -> int:
    return entry[0]


def _insert(entries: list[tuple[int, Real]], stamp_ns: int, value: Real) -> None:
    """Insert a value in the order of stamps; it replaces an earlier value of the same stamp."""
    k = bisect.bisect_left(entries, stamp_ns, key=_stamp)
    if k < len(entries) and entries[k][0] == stamp_ns:
        entries[k] = (stamp_ns, value)
    else:
        entries.insert(k, (stamp_ns, value))
