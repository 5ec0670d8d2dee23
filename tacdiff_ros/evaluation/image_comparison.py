"""Comparison of a stream of simulated images with a stream of real images.

The comparator node and the replay of recordings both use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.agreement import Agreement, compare_images
from tacdiff_ros.evaluation.image_metrics import WindowMeans
from tacdiff_ros.evaluation.stamp_pairing import StampedPair, StampPairing
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.sensor.marker_grid import MarkerGrid

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ComparedImages:
    """A pair of images and its metrics.

    Attributes:
        pair: simulated and real image with their stamps.
        agreement: metrics of the pair.
    """

    pair: StampedPair[Image, Image]
    agreement: Agreement


class ImageComparison:
    """Pairs images by their stamps, tracks the markers of both streams, and compares."""

    def __init__(
        self,
        grid: MarkerGrid | None,
        tolerance_s: float = 0.02,
        patience_s: float = 0.5,
    ) -> None:
        """Set up the pairing; a reference image may follow.

        Args:
            grid: grid of the markers; None for a gel without markers.
            tolerance_s: largest difference of the stamps of a pair, s.
            patience_s: time that a real image waits for a simulated one, s.
        """
        self.pairing: StampPairing[Image, Image] = StampPairing(
            round(1e9 * tolerance_s), round(1e9 * patience_s)
        )
        self._grid = grid
        self._reference: Image | None = None
        self._reference_means: WindowMeans | None = None
        self._trackers: list[MarkerTracker] = []

    @property
    def reference(self) -> Image | None:
        """(H, W, 3) uint8 reference image; None if none was taken."""
        return self._reference

    def take_reference(self, image: Image) -> None:
        """Set the reference image, for the contact, the baseline and the markers' first positions.

        Args:
            image: (H, W, 3) uint8 RGB image of the undeformed gel.

        Raises:
            InputError: the grid of markers is not detected completely.
        """
        if self._grid is not None:
            field = detect_markers(image, self._grid)
            self._trackers = [MarkerTracker(self._grid, field) for _ in range(2)]
        self._reference, self._reference_means = np.array(image), None

    def add_real(self, stamp_ns: int, image: Image) -> Iterator[ComparedImages]:
        """Add a real image, and yield the comparisons of pairs that are now final.

        Args:
            stamp_ns: time stamp of the image, ns.
            image: (H, W, 3) uint8 RGB.

        Raises:
            InputError: images differ in size.
        """
        return self._compare(self.pairing.add_real(stamp_ns, image))

    def add_simulated(self, stamp_ns: int, image: Image) -> Iterator[ComparedImages]:
        """Add a simulated image, and yield the comparisons of pairs that are now final.

        Args:
            stamp_ns: time stamp of the image, ns.
            image: (H, W, 3) uint8 RGB.

        Raises:
            InputError: images differ in size.
        """
        return self._compare(self.pairing.add_simulated(stamp_ns, image))

    def finish(self) -> Iterator[ComparedImages]:
        """Yield the comparisons of the remaining pairs at the end of both streams."""
        return self._compare(self.pairing.finish())

    def compare(self, simulated: Image, real: Image) -> Agreement:
        """Compare the images of a pair.

        Markers are tracked from call to call, so that pairs must come in the order of time.

        Args:
            simulated: (H, W, 3) uint8 RGB.
            real: (H, W, 3) uint8 RGB.

        Returns:
            Metrics of the simulated image.

        Raises:
            InputError: images differ in size.
        """
        markers = self._track_markers(simulated, real)
        reference = self._reference
        if reference is not None and self._reference_means is None:
            self._reference_means = WindowMeans.of(reference)
        return compare_images(
            simulated, real, reference, markers=markers, reference_means=self._reference_means
        )

    def _compare(self, pairs: Iterable[StampedPair[Image, Image]]) -> Iterator[ComparedImages]:
        for pair in pairs:
            yield ComparedImages(pair, self.compare(pair.simulated, pair.real))

    def _track_markers(
        self, simulated: Image, real: Image
    ) -> tuple[MarkerField, MarkerField] | None:
        """Markers of both images; None for a gel without markers and before the reference."""
        if not self._trackers:
            return None
        try:
            return self._trackers[0].track(simulated), self._trackers[1].track(real)
        except InputError:  # an image without visible markers is compared without them
            return None
