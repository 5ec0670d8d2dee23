"""Camera response of the path-traced reference, written independently of `camera_response`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.sensor.sensor_model import SensorModel


def respond(model: SensorModel, radiance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixel values of (H, W, 3) radiance, written independently of `camera_response`."""
    height, width = radiance.shape[:2]
    y = (np.arange(height) + 0.5) / height
    x = (np.arange(width) + 0.5) / width
    aspect = width / height
    r2 = ((x[None] - 0.5) * aspect) ** 2 + (y[:, None] - 0.5) ** 2
    r2 /= 0.25 * (aspect**2 + 1)
    v1, v2 = model.response.vignetting
    value = radiance * np.array(model.response.gain) * (1 + v1 * r2 + v2 * r2**2)[..., None]
    if model.flat_field is not None:
        value *= _flat_field(np.array(model.flat_field.values), x, y)
    return np.maximum(value, 0.0) ** (1 / np.array(model.response.gamma))


def _flat_field(
    grid: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate the flat field grid (Catmull-Rom), by a matrix of weights per axis.

    Args:
        grid: (rows, columns, 3) values that span the image from edge to edge.
        x: (W,) image coordinates in [0, 1].
        y: (H,) image coordinates in [0, 1].

    Returns:
        (H, W, 3) values.
    """
    row_weights = _catmull_rom(y, grid.shape[0])
    column_weights = _catmull_rom(x, grid.shape[1])
    return np.asarray(np.einsum("hr,rkc,wk->hwc", row_weights, grid, column_weights))


def _catmull_rom(position: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the weights of a cubic Hermite spline with central slopes.

    Args:
        position: (N,) coordinates in [0, 1].
        count: number of nodes, which are equally spaced from 0 to 1.

    Returns:
        (N, count) weights.
    """
    node_position = position * (count - 1)
    cell = np.clip(np.floor(node_position), 0, count - 2).astype(int)
    t = node_position - cell
    hermite = [2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, 3 * t**2 - 2 * t**3, t**3 - t**2]
    weights = np.zeros((len(position), count))
    rows = np.arange(len(position))
    for value, slope, node in ((hermite[0], hermite[1], cell), (hermite[2], hermite[3], cell + 1)):
        np.add.at(weights, (rows, node), value)
        np.add.at(weights, (rows, np.minimum(node + 1, count - 1)), 0.5 * slope)
        np.add.at(weights, (rows, np.maximum(node - 1, 0)), -0.5 * slope)
    return weights
