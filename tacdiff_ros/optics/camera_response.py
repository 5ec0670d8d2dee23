"""Camera response from radiance to pixel values: gain, vignetting, flat field, gamma.

All parts are differentiable.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.parameters import View

MIN_VALUE = 1e-7  # keeps the logarithm of the gamma curve finite


def pixel_values(
    view: View, flat_field: tuple[int, int] | None, radiance: Any, position: Any, aspect: float
) -> Any:
    """Return pixel values, 1 for white, not clipped.

    Args:
        view: sensor parameters, one lane per pixel.
        flat_field: rows and columns of the flat field grid; None for a sensor without one.
        radiance: RGB radiance at the camera.
        position: (x, y) image coordinates of the pixels, in [0, 1].
        aspect: ratio of the image's width to its height.

    Returns:
        `mi.Color3f` with one lane per pixel.
    """
    value = radiance * view.triple("response.gain") * _vignetting(view, position, aspect)
    if flat_field is not None:
        value *= _flat_field(view, flat_field, position)
    inverse = 1.0 / view.triple("response.gamma")
    return mi.Color3f(
        *(dr.exp2(inverse[c] * dr.log2(dr.maximum(value[c], MIN_VALUE))) for c in range(3))
    )


def _vignetting(view: View, position: Any, aspect: float) -> Any:
    x, y = (position.x - 0.5) * aspect, position.y - 0.5
    r2 = (dr.square(x) + dr.square(y)) / (0.25 * (aspect**2 + 1.0))
    v1, v2 = view.scalar("response.vignetting", 0), view.scalar("response.vignetting", 1)
    return 1.0 + r2 * (v1 + v2 * r2)


def _flat_field(view: View, shape: tuple[int, int], position: Any) -> Any:
    """Interpolate the flat field grid, which spans the image from edge to edge (Catmull-Rom)."""
    rows, columns = shape
    column_weights, first_column = _cubic(position.x, columns)
    row_weights, first_row = _cubic(position.y, rows)
    total = mi.Color3f(0.0)
    for j in range(4):
        row = dr.clip(first_row + j, 0, rows - 1)
        for i in range(4):
            column = dr.clip(first_column + i, 0, columns - 1)
            index = mi.UInt32(row * columns + column) * 3
            value = mi.Color3f(*(view.gather("flat_field.values", index + c) for c in range(3)))
            total += row_weights[j] * column_weights[i] * value
    return total


def _cubic(position: Any, count: int) -> tuple[list[Any], Any]:
    """Return the Catmull-Rom weights of four neighbouring nodes and the index of the first.

    Args:
        position: coordinates in [0, 1].
        count: number of nodes, which are equally spaced from 0 to 1.
    """
    node = position * (count - 1)
    cell = dr.clip(dr.floor(node), 0, count - 2)
    t = node - cell
    t2, t3 = t * t, t * t * t
    weights = [
        0.5 * (-t3 + 2 * t2 - t),
        0.5 * (3 * t3 - 5 * t2 + 2),
        0.5 * (-3 * t3 + 4 * t2 + t),
        0.5 * (t3 - t2),
    ]
    return weights, mi.Int32(cell) - 1
