"""Marker positions refined by rendering the fitted surface with its markers.

Steep, bright walls shift the dark blob of a marker by a pixel and more. The fitted surface is
rendered with and without markers; the ratio is the fraction of light that each pixel keeps. Shifted
windows of that ratio are fitted to the same ratio of the measured image. Gauss-Newton, all markers
at once.

Limits: a marker's window is shifted, not rotated or stretched beyond what the surface predicts; the
start must be within some pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import map_coordinates

from tacdiff_ros.errors import InputError
from tacdiff_ros.least_squares import NormalEquations
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.optics.renderer import Renderer
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.marker_positions import marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

STEPS = 6
HALF_WINDOW = 0.29  # of the marker pitch
ERROR = 0.15  # of the fraction of light, above which a pixel is down-weighted
PRIOR = (0.03, 0.03, 1.0, 3.0)  # weights of zero shift (per px), full contrast and zero offset
MAX_STEP_PX, MAX_SHIFT_PX = 1.0, 3.0
MIN_CONTRAST = 0.3  # below which a marker counts as not visible
DARKEST = 0.03

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Windows:
    """Pixel windows around K markers, P pixels each.

    Attributes:
        column: (K, P) pixel columns.
        row: (K, P) pixel rows.
        light_fraction: (K, P) measured value over the value rendered without markers.
        weight: (K, P) 1 for usable pixels, 0 for others.
    """

    column: Floats
    row: Floats
    light_fraction: Floats
    weight: Floats


class MarkerRefiner:
    """Refines the markers of one sensor's images."""

    def __init__(self, model: SensorModel) -> None:
        """Set up the renderers of a sensor with and without its markers.

        Args:
            model: calibrated sensor with markers.

        Raises:
            InputError: the sensor has no markers.
        """
        if model.markers is None:
            raise InputError("the sensor file has no markers: there are no markers to refine")
        self._values = parameter_values(model)
        self._rest_positions = marker_positions_mm(model)
        self._half = int(HALF_WINDOW * min(model.markers.pitch_mm) / model.mm_per_px)
        self._printed = Renderer(model)
        self._plain = Renderer(model.model_copy(update={"markers": None}))

    def refine(
        self, surface: GelSurface, image: NDArray[np.uint8], markers: MarkerField
    ) -> MarkerField:
        """Return the markers of an image with refined positions.

        Args:
            surface: surface that was fitted to the image.
            image: (H, W, 3) uint8 RGB.
            markers: markers detected in the image; those with too little contrast or too large a
                shift keep their positions.
        """
        self._printed.set_surface(surface)
        self._plain.set_surface(surface)
        plain = np.maximum(self._plain.image().astype(np.float64), DARKEST)
        rendered = (self._printed.image() / plain).mean(axis=-1)
        start = project(self._values, self._positions_on(surface))
        chosen = markers.found & np.isfinite(start).all(axis=-1)
        windows = self._windows(start[chosen], image, plain)
        shift, contrast = _fitted_shifts(rendered, windows)
        visible = (contrast > MIN_CONTRAST) & (np.abs(shift).max(axis=-1) < MAX_SHIFT_PX)
        position = markers.position_px.copy()
        position[chosen] = np.where(visible[:, None], start[chosen] + shift, position[chosen])
        return MarkerField.where(markers.found, position, markers.diameter_px)

    def _positions_on(self, surface: GelSurface) -> Floats:
        """(rows, columns, 3) mm marker positions on a deformed surface."""
        motion = (surface.position - surface.rest).astype(np.float64)
        axes = (surface.y_mm.astype(np.float64), surface.x_mm.astype(np.float64))
        grid = motion.reshape(surface.rows, surface.columns, 3)
        interpolate = RegularGridInterpolator(axes, grid, bounds_error=False, fill_value=None)
        flat = self._rest_positions.reshape(-1, 3)
        marker_motion = interpolate(flat[:, 1::-1]).reshape(self._rest_positions.shape)
        return np.asarray(self._rest_positions + marker_motion)

    def _windows(self, centre: Floats, image: NDArray[np.uint8], plain: Floats) -> _Windows:
        """Measured windows around markers at (K, 2) pixels."""
        span = np.arange(-self._half, self._half + 1)
        across, down = (part.ravel() for part in np.meshgrid(span, span))
        rounded = np.rint(centre).astype(int)
        column, row = rounded[:, :1] + across, rounded[:, 1:] + down
        height, width = image.shape[:2]
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = (np.clip(row, 0, height - 1), np.clip(column, 0, width - 1))
        measured, unprinted = image[pixel].astype(np.float64) / 255.0, plain[pixel]
        usable = (measured.max(axis=-1) < 254.0 / 255.0) & (unprinted.min(axis=-1) > DARKEST)
        return _Windows(
            column=column.astype(np.float64),
            row=row.astype(np.float64),
            light_fraction=np.median(measured / unprinted, axis=-1),
            weight=(inside & usable).astype(np.float64),
        )


def _fitted_shifts(rendered: Floats, windows: _Windows) -> tuple[Floats, Floats]:
    """Shifts that align a rendered image with measured windows.

    The model is contrast * rendered(pixel - shift) + offset.

    Args:
        rendered: (H, W) fraction of light that each pixel keeps, rendered.
        windows: measured windows of K markers.

    Returns:
        (K, 2) shifts, px, and (K,) contrasts.
    """
    slope_y, slope_x = np.gradient(rendered)
    start = [0.0, 0.0, 1.0, 0.0]
    estimate = np.tile(start, (len(windows.column), 1))  # shift x, shift y, contrast, offset
    for _ in range(STEPS):
        position = [windows.row - estimate[:, 1:2], windows.column - estimate[:, :1]]
        value, by_x, by_y = (
            map_coordinates(part, position, order=1, mode="nearest")
            for part in (rendered, slope_x, slope_y)
        )
        contrast = estimate[:, 2:3]
        residual = contrast * value + estimate[:, 3:] - windows.light_fraction
        columns = [-contrast * by_x, -contrast * by_y, value, np.ones_like(value)]
        jacobian = np.stack(columns, axis=-1)
        weight = windows.weight / (1.0 + (residual / ERROR) ** 2)
        equations = NormalEquations.of(jacobian, residual, weight)
        step = equations.with_prior(np.array(PRIOR), estimate - start).step()
        step[:, :2] = np.clip(step[:, :2], -MAX_STEP_PX, MAX_STEP_PX)
        estimate = estimate + step
    return estimate[:, :2], estimate[:, 2]
