"""Comparison of a stream of simulated images with a stream of real images.

The comparator node and the replay of recordings both use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.agreement import Agreement, RealImage, compare_with
from tacdiff_ros.evaluation.image_metrics import WindowMeans, check_pair
from tacdiff_ros.evaluation.stamp_pairing import StampedPair, StampPairing
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.sensor.marker_grid import MarkerGrid

Image = NDArray[np.uint8]

SIMULATED, REAL = 0, 1  # streams, each with a tracker of its own
MAX_AHEAD = 2  # waiting real images that are prepared while the simulator is at work on them


@dataclass(frozen=True)
class ComparedImages:
    """A pair of images and its metrics.

    Attributes:
        pair: simulated and real image with their stamps.
        agreement: metrics of the pair.
    """

    pair: StampedPair[Image, Image]
    agreement: Agreement


@dataclass(frozen=True)
class _PreparedImage:
    """A real image with its statistics and markers."""

    statistics: RealImage
    markers: MarkerField | None

    @property
    def image(self) -> Image:
        return self.statistics.means.image


class ImageComparison:
    """Pairs images by their stamps, tracks the markers of both streams, and compares.

    What a comparison needs of a real image alone is computed when that image arrives, before its
    simulated image does; not of more than `MAX_AHEAD` images, so that a slow simulator costs
    nothing.
    """

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
        self._reference: WindowMeans | None = None
        self._ahead: dict[int, _PreparedImage] = {}  # by stamp, ns
        self._trackers: list[MarkerTracker] = []

    @property
    def reference(self) -> Image | None:
        """(H, W, 3) uint8 reference image; None if none was taken."""
        return None if self._reference is None else self._reference.image

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
        self._reference = WindowMeans.of(np.array(image))
        self._ahead.clear()

    def add_real(self, stamp_ns: int, image: Image) -> Iterator[ComparedImages]:
        """Add a real image, and yield the comparisons of pairs that are now final.

        Args:
            stamp_ns: time stamp of the image, ns.
            image: (H, W, 3) uint8 RGB.

        Raises:
            InputError: images differ in size.
        """
        self._ahead = {k: v for k, v in self._ahead.items() if k < stamp_ns}  # time may go back
        if len(self._ahead) < MAX_AHEAD:
            self._ahead[stamp_ns] = self._prepare(image)
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
        return self._agreement(simulated, self._prepare(real))

    def _compare(self, pairs: Iterable[StampedPair[Image, Image]]) -> Iterator[ComparedImages]:
        for pair in pairs:
            prepared = self._ahead.get(pair.real_ns)
            self._ahead = {k: v for k, v in self._ahead.items() if k > pair.real_ns}
            if prepared is None or prepared.image is not pair.real:
                prepared = self._prepare(pair.real)
            yield ComparedImages(pair, self._agreement(pair.simulated, prepared))

    def _prepare(self, real: Image) -> _PreparedImage:
        return _PreparedImage(RealImage.of(real, self._reference), self._markers_of(real, REAL))

    def _agreement(self, simulated: Image, real: _PreparedImage) -> Agreement:
        check_pair(simulated, real.image)
        rendered = None if real.markers is None else self._markers_of(simulated, SIMULATED)
        markers = None if rendered is None or real.markers is None else (rendered, real.markers)
        return compare_with(real.statistics, simulated, markers=markers)

    def _markers_of(self, image: Image, stream: int) -> MarkerField | None:
        """Markers of an image of a stream; None for a gel without them, and before the reference.

        An image without visible markers has none either, and is compared without them.
        """
        if not self._trackers:
            return None
        try:
            return self._trackers[stream].track(image)
        except InputError:
            return None
