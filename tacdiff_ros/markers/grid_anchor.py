"""Alignment of a visible lattice of blobs with the rows and columns of the marker grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.marker_grid import MarkerGrid

#: Fraction of the fullest line below which a line at the border consists of stray blobs.
_STRAY_LINE = 0.2
#: Minimum lead of the best alignment over the second best, in matched markers counted twice.
_MIN_LEAD = 2
#: Minimum fraction of the markers that must be visible.
_MIN_VISIBLE = 0.4


def anchor_grid(occupied: NDArray[np.bool_], grid: MarkerGrid) -> tuple[int, int]:
    """Return the lattice position of the grid's marker (0, 0).

    The grid is aligned such that the fewest blobs lie outside it and the fewest of its nodes are
    empty. Ambiguous alignments are refused, because a wrong one displaces every marker by one
    pitch: a border line that is wholly covered could be one of two, and a lattice that is larger
    than the grid belongs to another gel.

    Args:
        occupied: (rows, columns) bool, true for nodes of the visible lattice with a blob.
        grid: marker grid of the gel.

    Returns:
        Row and column of the lattice, possibly negative.

    Raises:
        InputError: the lattice has another size, too few blobs, or several equal alignments.
    """
    rows, columns = _extent_without_strays(occupied)
    if (rows, columns) != (grid.rows, grid.columns):
        raise InputError(_mismatch(rows, columns, grid))
    inside = _blobs_inside(occupied, grid)
    # A blob outside the grid and an empty node both cost 1: the cost is a constant minus twice the
    # number of blobs inside.
    best = np.unravel_index(np.argmax(inside), inside.shape)
    ranked = np.sort(inside, axis=None)
    if 2 * (ranked[-1] - ranked[-2]) < _MIN_LEAD or ranked[-1] < _MIN_VISIBLE * grid.count:
        raise InputError(
            f"found {int(ranked[-1])} of {grid.count} markers, too few to number them: "
            "uncover the gel, or check the exposure and --grid"
        )
    return int(best[0]) - grid.rows + 1, int(best[1]) - grid.columns + 1


def _blobs_inside(occupied: NDArray[np.bool_], grid: MarkerGrid) -> NDArray[np.int_]:
    """Return the number of blobs inside the grid for all positions of its marker (0, 0).

    Element (0, 0) of the result belongs to the position (1 - rows, 1 - columns).
    """
    padded = np.pad(occupied.astype(int), ((grid.rows - 1, grid.rows - 1), (grid.columns - 1,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (grid.rows, grid.columns))
    return np.asarray(windows.sum(axis=(2, 3)))


def _extent_without_strays(occupied: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the numbers of rows and columns of the lattice without stray blobs at its border."""
    return _line_count(occupied, axis=1), _line_count(occupied, axis=0)


def _line_count(occupied: NDArray[np.bool_], axis: int) -> int:
    """Return the number of lines from the first to the last one that is not stray."""
    per_line = occupied.sum(axis=axis)
    solid = np.flatnonzero(per_line > _STRAY_LINE * per_line.max())
    return int(solid[-1] - solid[0]) + 1


def _mismatch(rows: int, columns: int, grid: MarkerGrid) -> str:
    """Return the error message for a lattice of another size than the grid."""
    is_larger = rows >= grid.rows and columns >= grid.columns
    remedy = "" if is_larger else ", or uncover the border of the gel if it has the expected grid"
    return (
        f"found a lattice of about {rows} x {columns} markers, expected "
        f"{grid.rows} x {grid.columns}: pass --grid {rows}x{columns}{remedy}"
    )
