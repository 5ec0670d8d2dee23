"""From radiance to pixel values: gain, vignetting, flat field and gamma, with gradients."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.parameters import View

DARKEST = 1e-7


def pixel_values(
    view: View, flat_field: tuple[int, int] | None, radiance: Any, place: Any, aspect: float
) -> Any:
    """Pixel values, 1 for white, not clipped.

    Args:
        view: parameters, one lane a pixel.
        flat_field: rows and columns of the flat field's grid; None without one.
        radiance: RGB at the sensor.
        place: (x, y) of the pixels in [0, 1] across the image.
        aspect: width over height of the image.
    """
    value = radiance * view.triple("response.gain") * _vignetting(view, place, aspect)
    if flat_field is not None:
        value *= _flat_field(view, flat_field, place)
    inverse = 1.0 / view.triple("response.gamma")
    return mi.Color3f(
        *(dr.exp2(inverse[c] * dr.log2(dr.maximum(value[c], DARKEST))) for c in range(3))
    )


def _vignetting(view: View, place: Any, aspect: float) -> Any:
    x, y = (place.x - 0.5) * aspect, place.y - 0.5
    r2 = (dr.square(x) + dr.square(y)) / (0.25 * (aspect**2 + 1.0))
    v1, v2 = view.scalar("response.vignetting", 0), view.scalar("response.vignetting", 1)
    return 1.0 + r2 * (v1 + v2 * r2)


def _flat_field(view: View, shape: tuple[int, int], place: Any) -> Any:
    """Cubic interpolation (Catmull-Rom) of a grid that spans the image from edge to edge."""
    rows, columns = shape
    across, first_column = _cubic(place.x, columns)
    down, first_row = _cubic(place.y, rows)
    total = mi.Color3f(0.0)
    for j in range(4):
        row = dr.clip(first_row + j, 0, rows - 1)
        for i in range(4):
            column = dr.clip(first_column + i, 0, columns - 1)
            index = mi.UInt32(row * columns + column) * 3
            value = mi.Color3f(*(view.gather("flat_field.values", index + c) for c in range(3)))
            total += down[j] * across[i] * value
    return total


def _cubic(share: Any, count: int) -> tuple[list[Any], Any]:
    """Weights of four neighbours, and the index of the first, for places in [0, 1]."""
    place = share * (count - 1)
    cell = dr.clip(dr.floor(place), 0, count - 2)
    t = place - cell
    t2, t3 = t * t, t * t * t
    weights = [
        0.5 * (-t3 + 2 * t2 - t),
        0.5 * (3 * t3 - 5 * t2 + 2),
        0.5 * (-3 * t3 + 4 * t2 + t),
        0.5 * (t3 - t2),
    ]
    return weights, mi.Int32(cell) - 1
