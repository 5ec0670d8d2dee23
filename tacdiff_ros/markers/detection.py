"""Detection of the markers of a gel in a single image, from their number alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.blobs import check_image, darkness_map, find_blobs
from tacdiff_ros.markers.grid_anchor import anchor_grid
from tacdiff_ros.markers.lattice import Lattice, index_lattice
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.measurement import measure_markers
from tacdiff_ros.sensor.marker_grid import MarkerGrid

#: Trial pitches, relative to that of a grid that fills the image: a grid that fills it (or is
#: slightly cropped) first, then smaller ones.
_SCALES = (0.95, 0.7, 0.5, 0.35)
#: Largest factor between the pitch of an accepted lattice and the trial pitch.
_SCALE_GATE = 1.3
_MIN_LATTICE_BLOBS = 12
#: Number of blobs of a lattice that is no chance arrangement of specks.
_MIN_SURE_BLOBS = 35
_USUAL = MarkerGrid(rows=7, columns=9)


def detect_markers(image: NDArray[np.uint8], grid: MarkerGrid) -> MarkerField:
    """Detect the markers of the gel and assign each its row and column.

    Markers that are covered, too broken or cut through their centre by the frame are marked as not
    found.

    Limits: the rows of the gel are within about 30 degrees of horizontal, and the grid spans at
    least a third of the image.

    Args:
        image: (H, W, 3) uint8 RGB image with sides from 64 to 4096 px.
        grid: marker grid of the gel.

    Returns:
        Positions and diameters of the markers.

    Raises:
        InputError: the image is invalid, has no lattice of markers, or the assignment of rows and
            columns is ambiguous (see `anchor_grid`).
    """
    check_image(image)
    for blobs, lattice in _lattices(image, grid):
        return _measure_field(image, grid, blobs, lattice)
    raise InputError(
        f"no lattice of markers in the image, expected {grid.rows} x {grid.columns}: check that "
        "the gel has markers, is lit and in focus"
    )


def has_markers(image: NDArray[np.uint8]) -> bool:
    """Return whether an image shows a gel with a lattice of markers.

    Args:
        image: (H, W, 3) uint8 RGB image with sides from 64 to 4096 px.

    Raises:
        InputError: the image is invalid.
    """
    check_image(image)
    return any(len(lattice.blob) >= _MIN_SURE_BLOBS for _, lattice in _lattices(image, _USUAL))


def _lattices(
    image: NDArray[np.uint8], grid: MarkerGrid
) -> Iterator[tuple[NDArray[np.float64], Lattice]]:
    """Blobs and lattice of every trial pitch at which the image has a plausible lattice."""
    full_pitch = min(image.shape[1] / grid.columns, image.shape[0] / grid.rows)
    for scale in _SCALES:
        pitch = scale * full_pitch
        blobs, _ = find_blobs(darkness_map(image, pitch), pitch, grid.count)
        lattice = index_lattice(blobs)
        if lattice is not None and _is_plausible(lattice, pitch):
            yield blobs, lattice


def _is_plausible(lattice: Lattice, pitch_px: float) -> bool:
    """Return whether a lattice is large enough and has about the trial pitch."""
    ratio = lattice.pitch_px / pitch_px
    is_in_scale = 1.0 / _SCALE_GATE < ratio < _SCALE_GATE
    return is_in_scale and len(lattice.blob) >= _MIN_LATTICE_BLOBS


def _measure_field(
    image: NDArray[np.uint8], grid: MarkerGrid, blobs: NDArray[np.float64], lattice: Lattice
) -> MarkerField:
    """Assign the blobs of a lattice to the grid and measure them as markers.

    Args:
        image: (H, W, 3) uint8 RGB image.
        grid: marker grid of the gel.
        blobs: (N, 2) blob centres (x, y), px.
        lattice: row and column of the blobs that form a lattice.
    """
    row0, column0 = anchor_grid(lattice.occupied, grid)
    row, column = lattice.row - row0, lattice.column - column0
    on_grid = (row >= 0) & (row < grid.rows) & (column >= 0) & (column < grid.columns)
    row, column, blob_index = row[on_grid], column[on_grid], lattice.blob[on_grid]
    darkness = darkness_map(image, lattice.pitch_px)
    markers = measure_markers(darkness, blobs[blob_index], lattice.pitch_px)
    shape = (grid.rows, grid.columns)
    is_valid = np.zeros(shape, bool)
    is_valid[row, column] = markers.is_valid
    centre, diameter = np.zeros((*shape, 2)), np.zeros(shape)
    centre[row, column], diameter[row, column] = markers.position_px, markers.diameter_px
    return MarkerField.where(is_valid, centre, diameter)
