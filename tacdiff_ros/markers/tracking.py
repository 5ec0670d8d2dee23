"""Tracking of the markers of a gel through a video with constant row and column numbers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.blobs import check_image, darkness_map, find_blobs
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.measurement import measure_markers
from tacdiff_ros.sensor.marker_grid import MarkerGrid

#: Largest distance between a blob and the previous position of its marker, in pitches: half a
#: pitch along both axes, beyond which the previous position of another marker is nearer.
_GATE = 0.7
#: Largest distance between a blob and the position predicted by the neighbours of its marker, in
#: pitches, for each pass. Matches farther from the prediction than the first value are revoked; the
#: last pass serves the edges of a contact that starts to slip.
_GATES_AMONG_NEIGHBOURS = (0.3, 0.3, 0.45)
#: Fraction of the markers below which a result is doubtful and the whole image is searched.
_MIN_TRACKED = 0.7
#: Number of unmatched strong blobs that makes a result doubtful, as a fraction of the number of
#: markers along the shorter side.
_DOUBTFUL_BLOBS = 0.5
#: Strength of a strong blob relative to the median blob.
_STRONG = 0.6
#: Minimum fraction of the markers in a reference.
_MIN_REFERENCE = 0.4
#: Fraction of the markers below which a frame counts as lost: its positions are not used to predict
#: those in the next frame.
_LOST = 0.15


class MarkerTracker:
    """Tracker of markers from frame to frame.

    Every position is measured in its own frame, and the previous frame only identifies the markers,
    so that positions do not drift. Row and column numbers are correct while no marker moves by more
    than 0.45 pitch between two frames, in any direction and over any total distance. A lost marker
    is searched at the position that its neighbours' motion predicts. If most markers are lost, or
    many strong blobs are unmatched, the whole image is searched with `detect_markers`.

    Limits: after a jump of the whole gel by half a pitch or more between two frames, or in frames
    without visible markers, the numbers are correct only if `detect_markers` succeeds, which
    requires that every border of the grid is visible.
    """

    def __init__(self, grid: MarkerGrid, reference: MarkerField | None = None) -> None:
        """Set the reference; without one, the first tracked frame becomes the reference.

        Args:
            grid: marker grid of the gel.
            reference: marker field of the undeformed gel; None to detect it in the first frame.

        Raises:
            InputError: the reference has another grid or too few markers.
        """
        self._grid = grid
        self._rest: NDArray[np.float64] | None = None
        self._last: NDArray[np.float64] | None = None
        self._pitch_px = 0.0
        self._lost = True
        if reference is not None:
            self._start(reference)

    def track(self, image: NDArray[np.uint8]) -> MarkerField:
        """Measure the markers of the next frame.

        A later frame without visible markers returns a field without markers and does not end the
        track.

        Args:
            image: (H, W, 3) uint8 RGB image.

        Returns:
            Positions and diameters of the markers in this frame.

        Raises:
            InputError: the image is invalid, or it is the first frame, there is no reference, and
                `detect_markers` fails.
        """
        check_image(image)
        if self._rest is None or self._last is None:
            return self._update(self._start(detect_markers(image, self._grid)))
        if self._lost:
            return self._update(self._search(image) or self._follow(image, self._last)[0])
        field, is_doubtful = self._follow(image, self._last)
        if is_doubtful:
            field = self._better(field, self._search(image))
        return self._update(field)

    def _start(self, field: MarkerField) -> MarkerField:
        """Set the reference positions, or raise an InputError for an unusable field."""
        if field.found.shape != (self._grid.rows, self._grid.columns):
            raise InputError(
                f"marker tracker: the reference has {field.found.shape[0]} x "
                f"{field.found.shape[1]} markers, expected {self._grid.rows} x {self._grid.columns}"
            )
        if field.found_count < _MIN_REFERENCE * field.expected:
            raise InputError(
                f"marker tracker: the reference has {field.found_count} of {field.expected} "
                f"markers, expected at least {100 * _MIN_REFERENCE:.0f} %: take a new reference"
            )
        self._rest = self._last = _complete_lattice(field)
        self._pitch_px = _pitch(self._rest)
        return field

    def _search(self, image: NDArray[np.uint8]) -> MarkerField | None:
        """Return the result of `detect_markers`, or None if it fails."""
        try:
            return detect_markers(image, self._grid)
        except InputError:
            return None

    def _better(self, followed: MarkerField, searched: MarkerField | None) -> MarkerField:
        """Return the field with more markers, the searched one if both have the same number."""
        if searched is not None and searched.found_count >= followed.found_count:
            return searched
        return followed

    def _follow(
        self, image: NDArray[np.uint8], last: NDArray[np.float64]
    ) -> tuple[MarkerField, bool]:
        """Match the blobs of a frame to the markers of the previous one.

        Args:
            image: (H, W, 3) uint8 RGB image.
            last: (rows, columns, 2) previous positions, px.

        Returns:
            Tuple of the field and whether it is doubtful.
        """
        darkness = darkness_map(image, self._pitch_px)
        blobs, strength = find_blobs(darkness, self._pitch_px, self._grid.count)
        match = _match(blobs, last, self._pitch_px)
        is_matched = match >= 0
        markers = measure_markers(darkness, blobs[match[is_matched]], self._pitch_px)
        is_valid = np.zeros(is_matched.shape, bool)
        centre, diameter = np.zeros((*is_matched.shape, 2)), np.zeros(is_matched.shape)
        is_valid[is_matched] = markers.is_valid
        centre[is_matched], diameter[is_matched] = markers.position_px, markers.diameter_px
        unmatched = np.delete(strength, match[is_matched])
        strong = (unmatched > _STRONG * np.median(strength)).sum() if strength.size else 0
        side = min(self._grid.rows, self._grid.columns)
        is_doubtful = is_valid.mean() < _MIN_TRACKED or strong >= _DOUBTFUL_BLOBS * side
        return MarkerField.where(is_valid, centre, diameter), bool(is_doubtful)

    def _update(self, field: MarkerField) -> MarkerField:
        """Store the positions of a frame, with lost markers displaced like their neighbours."""
        if self._rest is None:
            raise RuntimeError("marker tracker: updated before the first field was set")
        self._lost = field.found_count < _LOST * field.expected
        if not self._lost:
            motion = np.where(field.found[..., None], field.position_px - self._rest, 0.0)
            self._last = self._rest + _extrapolate(motion, field.found)
        return field


def _match(
    blobs: NDArray[np.float64], last: NDArray[np.float64], pitch_px: float
) -> NDArray[np.int_]:
    """Assign blobs to markers.

    A marker first gets the blob nearest to its previous position. Matches that contradict the
    motion of the neighbours are revoked, and their markers are searched at the positions that the
    neighbours' motion predicts, among the blobs without a marker.

    Args:
        blobs: (N, 2) positions of the blobs (x, y), px.
        last: (rows, columns, 2) previous positions of the markers, px.
        pitch_px: distance between markers, px.

    Returns:
        (rows, columns) indices of the blobs, -1 for markers without one.
    """
    shape = last.shape[:2]
    match = _mutually_nearest(blobs, last.reshape(-1, 2), _GATE * pitch_px).reshape(shape)
    for gate in _GATES_AMONG_NEIGHBOURS:
        motion = np.zeros_like(last)
        motion[match >= 0] = blobs[match[match >= 0]] - last[match >= 0]
        residual = motion - _neighbour_median(motion, match >= 0)
        max_residual = _GATES_AMONG_NEIGHBOURS[0] * pitch_px
        is_outlier = np.hypot(residual[..., 0], residual[..., 1]) > max_residual
        match[is_outlier] = -1
        unmatched = np.flatnonzero(match.ravel() < 0)
        if unmatched.size == 0:
            break
        unused = np.setdiff1d(np.arange(len(blobs)), match[match >= 0])
        predicted = (last + _extrapolate(motion, match >= 0)).reshape(-1, 2)
        rematch = _mutually_nearest(blobs[unused], predicted[unmatched], gate * pitch_px)
        match.flat[unmatched[rematch >= 0]] = unused[rematch[rematch >= 0]]
    return match


def _mutually_nearest(
    blobs: NDArray[np.float64], positions: NDArray[np.float64], gate_px: float
) -> NDArray[np.int_]:
    """Return the blob (N,) that is the mutually nearest one of each position, -1 for none.

    Args:
        blobs: (M, 2) positions of the blobs (x, y), px.
        positions: (N, 2) positions to match (x, y), px.
        gate_px: upper bound of the distance, px.
    """
    if len(blobs) == 0 or len(positions) == 0:
        return np.full(len(positions), -1)
    distance = np.hypot(
        positions[:, None, 0] - blobs[None, :, 0], positions[:, None, 1] - blobs[None, :, 1]
    )
    blob = np.argmin(distance, axis=1)
    index = np.arange(len(positions))
    is_mutual = np.argmin(distance, axis=0)[blob] == index
    return np.where(is_mutual & (distance[index, blob] < gate_px), blob, -1)


def _neighbour_median(
    motion: NDArray[np.float64], is_known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the median motion of the known markers in each 3 x 3 neighbourhood.

    Args:
        motion: (rows, columns, 2) motion of the markers, px.
        is_known: (rows, columns) whether the motion is known.

    Returns:
        (rows, columns, 2) medians including the marker itself, 0 for unknown markers, px.
    """
    masked = np.where(is_known[..., None], motion, np.nan)
    padded = np.pad(masked, ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    flat = np.sort(windows.reshape(*is_known.shape, 2, 9), axis=-1)  # NaN sorts last
    count = np.isfinite(flat).sum(axis=-1)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    low, high = (np.minimum(i, 8)[..., None] for i in (low, high))
    median = 0.5 * (np.take_along_axis(flat, low, -1) + np.take_along_axis(flat, high, -1))
    return np.where(is_known[..., None], median[..., 0], 0.0)


def _extrapolate(motion: NDArray[np.float64], is_known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill the unknown motion of markers by repeated normalized averaging of neighbours.

    Args:
        motion: (rows, columns, 2) motion of the markers, px.
        is_known: (rows, columns) whether the motion is known.

    Returns:
        (rows, columns, 2) motion of all markers, px; unchanged if all or none is known.
    """
    if is_known.all() or not is_known.any():
        return motion
    kernel = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    known, filled = is_known.astype(np.float64), np.where(is_known[..., None], motion, 0.0)
    for _ in range(sum(is_known.shape)):
        weight = cv2.filter2D(known, -1, kernel, borderType=cv2.BORDER_CONSTANT)
        total = cv2.filter2D(filled * known[..., None], -1, kernel, borderType=cv2.BORDER_CONSTANT)
        is_new = (known == 0.0) & (weight > 0.0)
        filled[is_new] = total[is_new] / weight[is_new][:, None]
        known[is_new] = 1.0
        if known.all():
            break
    return filled


def _pitch(position: NDArray[np.float64]) -> float:
    """Return the mean of the median distances along rows and columns, px."""
    right, down = np.diff(position, axis=1), np.diff(position, axis=0)
    return 0.5 * float(
        np.median(np.hypot(*np.moveaxis(right, -1, 0)))
        + np.median(np.hypot(*np.moveaxis(down, -1, 0)))
    )


def _complete_lattice(field: MarkerField) -> NDArray[np.float64]:
    """Return the positions (rows, columns, 2) of all markers, px.

    Markers that were not found get their position from a quadratic polynomial in row and column,
    plus the extrapolated residuals of the others.
    """
    row, column = np.indices(field.found.shape, dtype=np.float64)
    terms = np.stack(
        [np.ones_like(row), row, column, row * column, row * row, column * column], axis=-1
    )
    is_known = field.found
    coefficients, *_ = np.linalg.lstsq(terms[is_known], field.position_px[is_known], rcond=None)
    smooth = terms @ coefficients
    residual = np.where(is_known[..., None], field.position_px - smooth, 0.0)
    return np.asarray(smooth + _extrapolate(residual, is_known))
