"""Where the dots are, once more: the fitted surface is drawn with its dots and laid over the image.

Steep, bright walls draw a dark blob to one side by a pixel and more. Drawn with and without its
print, the fitted surface shows how much of its light each pixel loses to the dots; shifted windows
of that are fitted to what the image loses. Gauss-Newton, all dots at once.

Limits: a dot is shifted, not turned or stretched further than the surface says; the start must be
within some pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import map_coordinates

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

STEPS = 6
HALF_WINDOW = 0.29  # of the dots' pitch
ERROR = 0.15  # of the share of light, beyond which a pixel counts less
PRIOR = (0.03, 0.03, 1.0, 3.0)  # weights of no shift (per px), full contrast and no offset
MAX_STEP_PX, MAX_SHIFT_PX = 1.0, 3.0
MIN_CONTRAST = 0.3  # below which nothing of a dot is seen
DARKEST = 0.03

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Windows:
    """Pixels around K dots, P each: where, what share of light they keep, and their weight."""

    column: Floats
    row: Floats
    kept: Floats
    weight: Floats


class MarkerRefiner:
    """Refines the dots of one sensor's images."""

    def __init__(self, model: SensorModel) -> None:
        """A sensor with dots.

        Raises:
            InputError: it has none.
        """
        if model.markers is None:
            raise InputError("the sensor file has no markers: there are no dots to refine")
        self._values = parameter_values(model)
        self._places = marker_positions_mm(model)
        self._half = int(HALF_WINDOW * min(model.markers.pitch_mm) / model.mm_per_px)
        self._printed = Renderer(model)
        self._plain = Renderer(model.model_copy(update={"markers": None}))

    def refine(
        self, surface: GelSurface, image: NDArray[np.uint8], dots: MarkerField
    ) -> MarkerField:
        """The dots of an image.

        Args:
            surface: that was fitted to it.
            image: (H, W, 3) uint8.
            dots: as they were found; those that are not seen in the drawing stay as they are.
        """
        self._printed.show(surface)
        self._plain.show(surface)
        plain = np.maximum(self._plain.image().astype(np.float64), DARKEST)
        drawn = (self._printed.image() / plain).mean(axis=-1)
        start = project(self._values, self._moved(surface))
        chosen = dots.found & np.isfinite(start).all(axis=-1)
        windows = self._windows(start[chosen], image, plain)
        shift, contrast = _fitted_shifts(drawn, windows)
        seen = (contrast > MIN_CONTRAST) & (np.abs(shift).max(axis=-1) < MAX_SHIFT_PX)
        position = dots.position_px.copy()
        position[chosen] = np.where(seen[:, None], start[chosen] + shift, position[chosen])
        return MarkerField.where(dots.found, position, dots.diameter_px)

    def _moved(self, surface: GelSurface) -> Floats:
        """(rows, columns, 3) mm of the dots on a surface."""
        motion = (surface.position - surface.rest).astype(np.float64)
        lines = (surface.y_mm.astype(np.float64), surface.x_mm.astype(np.float64))
        grid = motion.reshape(surface.rows, surface.columns, 3)
        at = RegularGridInterpolator(lines, grid, bounds_error=False, fill_value=None)
        flat = self._places.reshape(-1, 3)
        return np.asarray(self._places + at(flat[:, 1::-1]).reshape(self._places.shape))

    def _windows(self, middle: Floats, image: NDArray[np.uint8], plain: Floats) -> _Windows:
        """What is seen around dots at (K, 2) pixels."""
        span = np.arange(-self._half, self._half + 1)
        across, down = (part.ravel() for part in np.meshgrid(span, span))
        corner = np.rint(middle).astype(int)
        column, row = corner[:, :1] + across, corner[:, 1:] + down
        height, width = image.shape[:2]
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = (np.clip(row, 0, height - 1), np.clip(column, 0, width - 1))
        seen, unprinted = image[pixel].astype(np.float64) / 255.0, plain[pixel]
        usable = (seen.max(axis=-1) < 254.0 / 255.0) & (unprinted.min(axis=-1) > DARKEST)
        kept = np.median(seen / unprinted, axis=-1)
        return _Windows(
            column.astype(np.float64),
            row.astype(np.float64),
            kept,
            (inside & usable).astype(np.float64),
        )


def _fitted_shifts(drawn: Floats, windows: _Windows) -> tuple[Floats, Floats]:
    """Shifts (K, 2) px of a drawing that lay it over windows, and contrasts (K,).

    The model is contrast * drawn(pixel - shift) + offset.
    """
    slope_y, slope_x = np.gradient(drawn)
    found = np.tile([0.0, 0.0, 1.0, 0.0], (len(windows.column), 1))
    prior = np.diag(PRIOR)
    for _ in range(STEPS):
        place = [windows.row - found[:, 1:2], windows.column - found[:, :1]]
        value, by_x, by_y = (
            map_coordinates(part, place, order=1, mode="nearest")
            for part in (drawn, slope_x, slope_y)
        )
        contrast = found[:, 2:3]
        left = windows.kept - (contrast * value + found[:, 3:])
        columns = [-contrast * by_x, -contrast * by_y, value, np.ones_like(value)]
        jacobian = np.stack(columns, axis=-1)
        weight = windows.weight / (1.0 + (left / ERROR) ** 2)
        weighted = jacobian * weight[..., None]
        strength = np.einsum("kpi,kpj->kij", weighted, jacobian) + prior
        away = found - [0.0, 0.0, 1.0, 0.0]
        pull = np.einsum("kpi,kp->ki", weighted, left) - away @ prior
        step = np.linalg.solve(strength, pull[..., None])[..., 0]
        step[:, :2] = np.clip(step[:, :2], -MAX_STEP_PX, MAX_STEP_PX)
        found = found + step
    return found[:, :2], found[:, 2]
