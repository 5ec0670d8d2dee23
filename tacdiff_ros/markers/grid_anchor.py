"""Which row and column of the gel the first line of a seen lattice is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.marker_grid import MarkerGrid

#: A line with less than this fraction of its dots is a stray mark when it lies off the grid.
_STRAY_LINE = 0.2
#: The best place of the grid must explain this many more dots than the next best.
_CLEAR_BY = 2
#: Fraction of the dots needed to believe in a lattice at all.
_MIN_SEEN = 0.4


def anchor_grid(occupied: NDArray[np.bool_], grid: MarkerGrid) -> tuple[int, int]:
    """Row and column (possibly negative) of the lattice at which the grid's (0, 0) lies.

    occupied: (rows, columns) nodes of the seen lattice with a dot. The grid is laid where the
    fewest dots fall outside it and the fewest of its nodes stay empty. Raises InputError where
    that is not clear: a border line wholly unseen could be any of two, and a larger lattice
    means another gel. It never guesses, because a wrong guess moves every dot by one pitch.
    """
    rows, columns = _solid_extent(occupied)
    if (rows, columns) != (grid.rows, grid.columns):
        raise InputError(_mismatch(rows, columns, grid))
    inside = _dots_inside(occupied, grid)
    # Dots left outside and nodes left empty both cost one; up to a constant that is -2 inside.
    best = np.unravel_index(np.argmax(inside), inside.shape)
    ranked = np.sort(inside, axis=None)
    if 2 * (ranked[-1] - ranked[-2]) < _CLEAR_BY or ranked[-1] < _MIN_SEEN * grid.count:
        raise InputError(
            f"found {int(ranked[-1])} of {grid.count} dots, too few to number them: "
            "uncover the gel, or check the exposure and --grid"
        )
    return int(best[0]) - grid.rows + 1, int(best[1]) - grid.columns + 1


def _dots_inside(occupied: NDArray[np.bool_], grid: MarkerGrid) -> NDArray[np.int_]:
    """Dots inside the grid for each place of its (0, 0), from 1 - rows, 1 - columns on."""
    padded = np.pad(occupied.astype(int), ((grid.rows - 1, grid.rows - 1), (grid.columns - 1,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (grid.rows, grid.columns))
    return np.asarray(windows.sum(axis=(2, 3)))


def _solid_extent(occupied: NDArray[np.bool_]) -> tuple[int, int]:
    """Rows and columns of the lattice without stray marks at its border."""
    return _solid_lines(occupied, axis=1), _solid_lines(occupied, axis=0)


def _solid_lines(occupied: NDArray[np.bool_], axis: int) -> int:
    """Lines from the first to the last that is not stray."""
    per_line = occupied.sum(axis=axis)
    solid = np.flatnonzero(per_line > _STRAY_LINE * per_line.max())
    return int(solid[-1] - solid[0]) + 1


def _mismatch(rows: int, columns: int, grid: MarkerGrid) -> str:
    larger = rows >= grid.rows and columns >= grid.columns
    remedy = "" if larger else ", or uncover the border of the gel if it has the dots expected"
    return (
        f"found a lattice of about {rows} x {columns} dots where "
        f"{grid.rows} x {grid.columns} was expected: pass --grid {rows}x{columns}{remedy}"
    )
