"""Smoothing, interpolation and slopes of fields on the pad's grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def gaussian_matrix(count: int, spacing: float, width: float) -> Floats:
    """Return the matrix that smooths values along a line by a Gaussian; values outside are 0.

    Args:
        count: number of values.
        spacing: distance between values.
        width: standard deviation of the Gaussian, in the unit of length of `spacing`.

    Returns:
        (count, count) smoothing matrix.
    """
    lag = (np.arange(count)[:, None] - np.arange(count)[None, :]) * spacing
    weight = np.exp(-0.5 * (lag / width) ** 2)
    reach = np.arange(-np.ceil(5.0 * width / spacing), np.ceil(5.0 * width / spacing) + 1)
    return weight / np.exp(-0.5 * (reach * spacing / width) ** 2).sum()


def interpolation_matrix(count: int, coarse: int) -> Floats:
    """Return the matrix that interpolates linearly from a coarse to a fine line of equal length.

    Args:
        count: number of values on the fine line.
        coarse: number of values on the coarse line.

    Returns:
        (count, coarse) interpolation matrix.
    """
    position = np.linspace(0.0, coarse - 1.0, count)
    cell = np.minimum(position.astype(int), coarse - 2)
    matrix = np.zeros((count, coarse))
    matrix[np.arange(count), cell] = 1.0 - (position - cell)
    matrix[np.arange(count), cell + 1] = position - cell
    return matrix


def slopes(field: Floats, spacing: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the derivatives along x and y by central differences, one-sided at the borders.

    Args:
        field: (..., rows, columns) values on the grid.
        spacing: grid spacing along x and y.

    Returns:
        Two (..., rows, columns) arrays, the derivatives along x and along y.
    """
    by_y, by_x = np.gradient(field, spacing[1], spacing[0], axis=(-2, -1))
    return np.asarray(by_x), np.asarray(by_y)
