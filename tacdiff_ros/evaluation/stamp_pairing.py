"""Pairs real and simulated images by their stamps, whatever order they come in."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Real = TypeVar("Real")
Simulated = TypeVar("Simulated")


@dataclass(frozen=True)
class StampedPair(Generic[Real, Simulated]):
    """Two things of nearly one time.

    Attributes:
        real_ns: stamp.
        simulated_ns: stamp.
        real: what came with it.
        simulated: what came with it.
    """

    real_ns: int
    simulated_ns: int
    real: Real
    simulated: Simulated


class StampPairing(Generic[Real, Simulated]):
    """Gives each real image the simulated one that is nearest in time, once that is sure.

    It is sure when a simulated image of its own time or later has come. A real image without one
    within the tolerance, one that waited longer than the patience, and one that came twice are
    counted as unpaired. Memory is bounded by `most`.
    """

    def __init__(self, tolerance_ns: int, patience_ns: int, most: int = 256) -> None:
        """Pair within a tolerance.

        Args:
            tolerance_ns: largest distance of two stamps.
            patience_ns: a real image waits until one so much later has come.
            most: images of each kind that are kept.
        """
        self._tolerance_ns, self._patience_ns, self._most = tolerance_ns, patience_ns, most
        self._real: list[tuple[int, Real]] = []
        self._simulated: list[tuple[int, Simulated]] = []
        self.unpaired = 0
        self.paired = 0

    def add_real(self, stamp_ns: int, real: Real) -> Iterator[StampedPair[Real, Simulated]]:
        """Take in a real image; pairs that are sure now."""
        _insert(self._real, stamp_ns, real)
        yield from self._settle()

    def add_simulated(
        self, stamp_ns: int, simulated: Simulated
    ) -> Iterator[StampedPair[Real, Simulated]]:
        """Take in a simulated image; pairs that are sure now."""
        _insert(self._simulated, stamp_ns, simulated)
        yield from self._settle()

    def finish(self) -> Iterator[StampedPair[Real, Simulated]]:
        """No more will come: what waits is paired or given up."""
        while self._real:
            yield from self._resolve(0)

    def clear(self) -> None:
        """Forget what waits, as after a jump back in time."""
        self._real.clear()
        self._simulated.clear()

    def _settle(self) -> Iterator[StampedPair[Real, Simulated]]:
        newest_simulated = self._simulated[-1][0] if self._simulated else None
        k = 0
        while k < len(self._real):
            stamp = self._real[k][0]
            sure = newest_simulated is not None and newest_simulated >= stamp
            late = self._real[-1][0] - stamp > self._patience_ns
            if sure or late or len(self._real) > self._most:
                yield from self._resolve(k)
            else:
                k += 1
        self._forget_old()

    def _resolve(self, k: int) -> Iterator[StampedPair[Real, Simulated]]:
        stamp, real = self._real.pop(k)
        nearest = self._nearest(stamp)
        if nearest is None:
            self.unpaired += 1
            return
        self.paired += 1
        yield StampedPair(stamp, nearest[0], real, nearest[1])

    def _nearest(self, stamp_ns: int) -> tuple[int, Simulated] | None:
        after = bisect.bisect_left(self._simulated, stamp_ns, key=_stamp)
        near = self._simulated[max(after - 1, 0) : after + 1]
        best = min(near, key=lambda entry: abs(entry[0] - stamp_ns), default=None)
        if best is None or abs(best[0] - stamp_ns) > self._tolerance_ns:
            return None
        return best

    def _forget_old(self) -> None:
        """Simulated images that no real one to come within the patience can need."""
        if self._simulated:
            oldest = self._simulated[-1][0] - self._patience_ns - self._tolerance_ns
            del self._simulated[: bisect.bisect_left(self._simulated, oldest, key=_stamp)]
        del self._simulated[: max(0, len(self._simulated) - self._most)]


def _stamp(entry: tuple[int, object]) -> int:
    return entry[0]


def _insert(entries: list[tuple[int, Real]], stamp_ns: int, value: Real) -> None:
    """In order of stamps; a second one of the same stamp replaces the first."""
    k = bisect.bisect_left(entries, stamp_ns, key=_stamp)
    if k < len(entries) and entries[k][0] == stamp_ns:
        entries[k] = (stamp_ns, value)
    else:
        entries.insert(k, (stamp_ns, value))
