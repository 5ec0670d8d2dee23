"""Smooth fields on the pad's grid, and their slopes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def gaussian_matrix(count: int, spacing: float, width: float) -> Floats:
    """(count, count) matrix that smooths values along a line; nothing is beyond its ends.

    Args:
        count: of the values.
        spacing: between them.
        width: standard deviation, in the same unit.
    """
    lag = (np.arange(count)[:, None] - np.arange(count)[None, :]) * spacing
    weight = np.exp(-0.5 * (lag / width) ** 2)
    reach = np.arange(-np.ceil(5.0 * width / spacing), np.ceil(5.0 * width / spacing) + 1)
    return weight / np.exp(-0.5 * (reach * spacing / width) ** 2).sum()


def interpolation_matrix(count: int, coarse: int) -> Floats:
    """(count, coarse) matrix from values on a coarse line to a finer one over the same length."""
    place = np.linspace(0.0, coarse - 1.0, count)
    cell = np.minimum(place.astype(int), coarse - 2)
    matrix = np.zeros((count, coarse))
    matrix[np.arange(count), cell] = 1.0 - (place - cell)
    matrix[np.arange(count), cell + 1] = place - cell
    return matrix


def slopes(field: Floats, spacing: tuple[float, float]) -> tuple[Floats, Floats]:
    """Derivatives along x and y of (..., rows, columns); central differences, one-sided at sides.

    Args:
        field: values on the grid.
        spacing: along x and along y.
    """
    by_y, by_x = np.gradient(field, spacing[1], spacing[0], axis=(-2, -1))
    return np.asarray(by_x), np.asarray(by_y)
