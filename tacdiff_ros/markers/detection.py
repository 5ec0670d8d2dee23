"""Find the dots of a gel in one image, knowing nothing but how many there should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.blobs import check_image, darkness_map, find_blobs
from tacdiff_ros.markers.grid_anchor import anchor_grid
from tacdiff_ros.markers.lattice import Lattice, index_lattice
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.measurement import measure_markers
from tacdiff_ros.sensor.marker_grid import MarkerGrid

#: Pitches tried, relative to a grid that fills the image: one that fills it (or is cropped a
#: little), then smaller ones.
_SCALES = (0.95, 0.7, 0.5, 0.35)
#: A lattice is believed when its pitch is within this factor of the pitch tried.
_SCALE_GATE = 1.3


def detect_markers(image: NDArray[np.uint8], grid: MarkerGrid) -> MarkerField:
    """Find each dot of the gel and number it by row and column.

    image: (H, W, 3) uint8 RGB, sides from 64 to 4096 px, the gel's rows within about 30 degrees
    of level and the grid at least a third of the image. Dots that are covered, too broken or
    cut through their centre by the frame are not found. Raises InputError for a bad image, for
    one without dots, and where the numbering is not certain (see `anchor_grid`).
    """
    check_image(image)
    full = min(image.shape[1] / grid.columns, image.shape[0] / grid.rows)
    for scale in _SCALES:
        pitch = scale * full
        spots, _ = find_blobs(darkness_map(image, pitch), pitch, grid.count)
        lattice = index_lattice(spots)
        if lattice is not None and _fits(lattice, pitch):
            return _numbered(image, grid, spots, lattice)
    raise InputError(
        f"no lattice of dots in the image where {grid.rows} x {grid.columns} dots were expected: "
        "check that the gel has dots, that it is lit and in focus"
    )


def _fits(lattice: Lattice, pitch_px: float) -> bool:
    ratio = lattice.pitch_px / pitch_px
    return 1.0 / _SCALE_GATE < ratio < _SCALE_GATE and len(lattice.spot) >= 12


def _numbered(
    image: NDArray[np.uint8], grid: MarkerGrid, spots: NDArray[np.float64], lattice: Lattice
) -> MarkerField:
    """Put the dots of a lattice on the grid and measure them."""
    row0, column0 = anchor_grid(lattice.occupied, grid)
    row, column = lattice.row - row0, lattice.column - column0
    on_grid = (row >= 0) & (row < grid.rows) & (column >= 0) & (column < grid.columns)
    row, column, spot = row[on_grid], column[on_grid], lattice.spot[on_grid]
    darkness = darkness_map(image, lattice.pitch_px)
    dots = measure_markers(darkness, spots[spot], lattice.pitch_px)
    shape = (grid.rows, grid.columns)
    found = np.zeros(shape, bool)
    found[row, column] = dots.good
    centre, diameter = np.zeros((*shape, 2)), np.zeros(shape)
    centre[row, column], diameter[row, column] = dots.position_px, dots.diameter_px
    return MarkerField.where(found, centre, diameter)
