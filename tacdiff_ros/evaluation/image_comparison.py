"""Compares two streams of images as they come: what the node and the bag benchmark share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.agreement import Agreement, compare_images
from tacdiff_ros.evaluation.stamp_pairing import StampedPair, StampPairing
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.sensor.marker_grid import MarkerGrid

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ComparedImages:
    """One pair and how well it agrees.

    Attributes:
        pair: both images with their stamps.
        agreement: of the pair.
    """

    pair: StampedPair[Image, Image]
    agreement: Agreement


class ImageComparison:
    """Pairs by stamp, follows the dots of both streams, and compares."""

    def __init__(
        self,
        grid: MarkerGrid | None,
        tolerance_s: float = 0.02,
        patience_s: float = 0.5,
    ) -> None:
        """Begin.

        Args:
            grid: of the dots; None for a gel without.
            tolerance_s: largest distance of the stamps of a pair.
            patience_s: a real image waits so long for a simulated one.
        """
        self.pairing: StampPairing[Image, Image] = StampPairing(
            round(1e9 * tolerance_s), round(1e9 * patience_s)
        )
        self._grid = grid
        self._reference: Image | None = None
        self._trackers: list[MarkerTracker] = []

    @property
    def reference(self) -> Image | None:
        """Untouched sensor, where one was given."""
        return self._reference

    def take_reference(self, image: Image) -> None:
        """The untouched sensor, for contact, baseline and the dots' first places.

        Raises:
            InputError: the grid of dots is not seen clearly.
        """
        if self._grid is not None:
            field = detect_markers(image, self._grid)
            self._trackers = [MarkerTracker(self._grid, field) for _ in range(2)]
        self._reference = np.array(image)

    def add_real(self, stamp_ns: int, image: Image) -> Iterator[ComparedImages]:
        """Take in a real image; comparisons that are sure now.

        Raises:
            InputError: images of different sizes.
        """
        return self._compare(self.pairing.add_real(stamp_ns, image))

    def add_simulated(self, stamp_ns: int, image: Image) -> Iterator[ComparedImages]:
        """Take in a simulated image; comparisons that are sure now.

        Raises:
            InputError: images of different sizes.
        """
        return self._compare(self.pairing.add_simulated(stamp_ns, image))

    def finish(self) -> Iterator[ComparedImages]:
        """No more will come."""
        return self._compare(self.pairing.finish())

    def compare(self, simulated: Image, real: Image) -> Agreement:
        """Of two images that belong together; both streams' dots are followed in this order.

        Raises:
            InputError: images of different sizes.
        """
        dots = self._dots(simulated, real)
        return compare_images(simulated, real, self._reference, dots=dots)

    def _compare(self, pairs: Iterable[StampedPair[Image, Image]]) -> Iterator[ComparedImages]:
        for pair in pairs:
            yield ComparedImages(pair, self.compare(pair.simulated, pair.real))

    def _dots(self, simulated: Image, real: Image) -> tuple[MarkerField, MarkerField] | None:
        if not self._trackers:
            return None
        try:
            return self._trackers[0].track(simulated), self._trackers[1].track(real)
        except InputError:  # an image that shows no gel has no dots, and is compared all the same
            return None
