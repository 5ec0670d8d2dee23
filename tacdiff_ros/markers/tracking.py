"""Follow the dots of a gel through a video without ever changing their numbers."""

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

#: A spot farther than this from every dot's last place is not that dot, in pitches. Half a
#: pitch each way: beyond it another dot's last place is nearer.
_GATE = 0.7
#: How near to where its neighbours carry it a dot is looked for, pass by pass, in pitches. A
#: match farther off than the first is taken back; the last pass serves edges that let go.
_GATES_AMONG_NEIGHBOURS = (0.3, 0.3, 0.45)
#: Fraction of the dots under which the track is doubted and the image searched anew.
_MIN_FOUND = 0.7
#: Unmatched strong spots that make the track doubtful, as a fraction of the shorter side.
_DOUBTFUL_SPOTS = 0.5


class MarkerTracker:
    """Track the dots from frame to frame.

    Every position is measured in its own frame; the last frame only says which dot is which, so
    nothing drifts. Numbers hold while no dot moves more than 0.45 pitch between two frames, in
    any direction, however far it goes in total. A dot that was lost is looked for where its
    neighbours have carried it. When most dots are lost, or many strong spots belong to none,
    the whole image is searched with `detect_markers`.

    Limit: after a jump of half a pitch or more of the whole gel between two frames, or during
    frames that showed nothing, the numbers are right again only if `detect_markers` can tell
    them (it sees every border of the grid).
    """

    def __init__(self, grid: MarkerGrid, reference: MarkerField | None = None) -> None:
        """Start with the field of the gel at rest, or with whatever the first frame shows.

        Raises InputError when the reference is of another grid or has found too few dots.
        """
        self._grid = grid
        self._rest: NDArray[np.float64] | None = None
        self._last: NDArray[np.float64] | None = None
        self._pitch_px = 0.0
        self._lost = True
        if reference is not None:
            self._start(reference)

    def track(self, image: NDArray[np.uint8]) -> MarkerField:
        """Find the dots of the next frame, (H, W, 3) uint8 RGB.

        Raises InputError for a bad image, and for a first frame without a certain lattice when
        there is no reference. Later, a frame that shows nothing gives a field with nothing
        found, and the track goes on with the next.
        """
        check_image(image)
        if self._rest is None or self._last is None:
            return self._remember(self._start(detect_markers(image, self._grid)))
        if self._lost:
            return self._remember(self._search(image) or self._follow(image, self._last)[0])
        field, doubtful = self._follow(image, self._last)
        if doubtful:
            field = self._better(field, self._search(image))
        return self._remember(field)

    def _start(self, field: MarkerField) -> MarkerField:
        if field.found.shape != (self._grid.rows, self._grid.columns):
            raise InputError(
                f"marker tracker: the reference has {field.found.shape[0]} x "
                f"{field.found.shape[1]} dots, expected {self._grid.rows} x {self._grid.columns}"
            )
        if field.found_count < 0.4 * field.expected:
            raise InputError(
                f"marker tracker: the reference has {field.found_count} of {field.expected} "
                "dots, too few to start from"
            )
        self._rest = self._last = _complete_lattice(field)
        self._pitch_px = _pitch(self._rest)
        return field

    def _search(self, image: NDArray[np.uint8]) -> MarkerField | None:
        try:
            return detect_markers(image, self._grid)
        except InputError:
            return None

    def _better(self, followed: MarkerField, searched: MarkerField | None) -> MarkerField:
        if searched is not None and searched.found_count >= followed.found_count:
            return searched
        return followed

    def _follow(
        self, image: NDArray[np.uint8], last: NDArray[np.float64]
    ) -> tuple[MarkerField, bool]:
        """The field nearest to the last one, and whether it should be doubted."""
        darkness = darkness_map(image, self._pitch_px)
        spots, strength = find_blobs(darkness, self._pitch_px, self._grid.count)
        match = _match(spots, last, self._pitch_px)
        seen = match >= 0
        dots = measure_markers(darkness, spots[match[seen]], self._pitch_px)
        found = np.zeros(seen.shape, bool)
        centre, diameter = np.zeros((*seen.shape, 2)), np.zeros(seen.shape)
        found[seen], centre[seen], diameter[seen] = dots.good, dots.position_px, dots.diameter_px
        spare = np.delete(strength, match[seen])
        strong = (spare > 0.6 * np.median(strength)).sum() if strength.size else 0
        side = min(self._grid.rows, self._grid.columns)
        doubtful = found.mean() < _MIN_FOUND or strong >= _DOUBTFUL_SPOTS * side
        return MarkerField.where(found, centre, diameter), bool(doubtful)

    def _remember(self, field: MarkerField) -> MarkerField:
        """Keep where every dot is, the ones not found carried along by their neighbours."""
        if self._rest is None:
            raise RuntimeError("marker tracker: remembered a field before the first one")
        self._lost = field.found_count < 0.15 * field.expected
        if not self._lost:
            moved = np.where(field.found[..., None], field.position_px - self._rest, 0.0)
            self._last = self._rest + _spread(moved, field.found)
        return field


def _match(
    spots: NDArray[np.float64], last: NDArray[np.float64], pitch_px: float
) -> NDArray[np.int_]:
    """Which spot each dot is: (rows, columns), -1 for none.

    First the spot nearest to the dot's last place; a dot that then moves against its neighbours
    is taken back and looked for where they carry it, at last among spots that no dot claims.
    """
    shape = last.shape[:2]
    match = _mutually_nearest(spots, last.reshape(-1, 2), _GATE * pitch_px).reshape(shape)
    for gate in _GATES_AMONG_NEIGHBOURS:
        moved = np.zeros_like(last)
        moved[match >= 0] = spots[match[match >= 0]] - last[match >= 0]
        off = moved - _neighbour_median(moved, match >= 0)
        against = np.hypot(off[..., 0], off[..., 1]) > _GATES_AMONG_NEIGHBOURS[0] * pitch_px
        match[against] = -1
        free = np.flatnonzero(match.ravel() < 0)
        if free.size == 0:
            break
        spare = np.setdiff1d(np.arange(len(spots)), match[match >= 0])
        carried = (last + _spread(moved, match >= 0)).reshape(-1, 2)
        again = _mutually_nearest(spots[spare], carried[free], gate * pitch_px)
        match.flat[free[again >= 0]] = spare[again[again >= 0]]
    return match


def _mutually_nearest(
    spots: NDArray[np.float64], places: NDArray[np.float64], gate_px: float
) -> NDArray[np.int_]:
    """For each of (N, 2) places the spot that is nearest to it and has it nearest, else -1."""
    if len(spots) == 0 or len(places) == 0:
        return np.full(len(places), -1)
    distance = np.hypot(
        places[:, None, 0] - spots[None, :, 0], places[:, None, 1] - spots[None, :, 1]
    )
    spot = np.argmin(distance, axis=1)
    index = np.arange(len(places))
    mutual = np.argmin(distance, axis=0)[spot] == index
    return np.where(mutual & (distance[index, spot] < gate_px), spot, -1)


def _neighbour_median(moved: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median motion of the seen dots of each 3 x 3 neighbourhood, itself included."""
    known = np.where(seen[..., None], moved, np.nan)
    padded = np.pad(known, ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    flat = np.sort(windows.reshape(*seen.shape, 2, 9), axis=-1)  # NaN sorts last
    count = np.isfinite(flat).sum(axis=-1)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    low, high = (np.minimum(i, 8)[..., None] for i in (low, high))
    middle = 0.5 * (np.take_along_axis(flat, low, -1) + np.take_along_axis(flat, high, -1))
    return np.where(seen[..., None], middle[..., 0], 0.0)


def _spread(moved: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill the motion of unseen dots from the nearest seen ones: normalised averaging."""
    if seen.all() or not seen.any():
        return moved
    kernel = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    known, filled = seen.astype(np.float64), np.where(seen[..., None], moved, 0.0)
    for _ in range(sum(seen.shape)):
        weight = cv2.filter2D(known, -1, kernel, borderType=cv2.BORDER_CONSTANT)
        total = cv2.filter2D(filled * known[..., None], -1, kernel, borderType=cv2.BORDER_CONSTANT)
        blank = (known == 0.0) & (weight > 0.0)
        filled[blank] = total[blank] / weight[blank][:, None]
        known[blank] = 1.0
        if known.all():
            break
    return filled


def _pitch(position: NDArray[np.float64]) -> float:
    """Median distance between neighbours, px."""
    right, down = np.diff(position, axis=1), np.diff(position, axis=0)
    return 0.5 * float(
        np.median(np.hypot(*np.moveaxis(right, -1, 0)))
        + np.median(np.hypot(*np.moveaxis(down, -1, 0)))
    )


def _complete_lattice(field: MarkerField) -> NDArray[np.float64]:
    """Positions (rows, columns, 2) of all dots, the unseen ones on a smooth quadratic lattice."""
    row, column = np.indices(field.found.shape, dtype=np.float64)
    terms = np.stack(
        [np.ones_like(row), row, column, row * column, row * row, column * column], axis=-1
    )
    seen = field.found
    coefficients, *_ = np.linalg.lstsq(terms[seen], field.position_px[seen], rcond=None)
    smooth = terms @ coefficients
    off = np.where(seen[..., None], field.position_px - smooth, 0.0)
    return np.asarray(smooth + _spread(off, seen))
