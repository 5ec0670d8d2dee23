"""Taxim (PyPI `taxim`) on the presses of a real set, as a baseline.

Taxim's table was measured on a different Mini. Its image change is therefore added to the reference
image of this sensor, mirrored and scaled per colour for the best fit to the calibration presses.
Install it with `pip install "taxim[jax-cpu]"`; without it, the columns are omitted.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.press_fit import PressFit
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

FINER = 2  # Taxim's Mini has 640 x 480 pixels, the sensor file half of that
FAR_MM = 20.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TaximPresses:
    """Taxim, fitted to one sensor.

    Attributes:
        model: sensor model, used only to project the press position.
        radius_mm: ball radius, mm.
        mirrored: whether the image is mirrored along x and along y.
        scale: (3,) scale factor of the image change per colour.
    """

    model: SensorModel
    radius_mm: float
    mirrored: tuple[bool, bool] = (False, False)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def fitted(
        cls, model: SensorModel, radius_mm: float, known: list[tuple[PressFit, Floats, Any]]
    ) -> TaximPresses | None:
        """Fit Taxim to presses with measured changes and masks; None if it is not installed."""
        try:
            import taxim  # noqa: F401
        except ImportError:
            return None
        best, min_residual = None, np.inf
        for mirrored in itertools.product((False, True), repeat=2):
            bare = cls(model, radius_mm, mirrored)
            pairs = [(bare.change(fit)[mask], measured[mask]) for fit, measured, mask in known]
            rendered, measured = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
            scale = (rendered * measured).sum(axis=0) / (rendered**2).sum(axis=0)
            left = float(np.sum((scale * rendered - measured) ** 2))
            if left < min_residual:
                best, min_residual = cls(model, radius_mm, mirrored, tuple(scale.tolist())), left
        return best

    def change(self, fit: PressFit) -> Floats:
        """Return the image change of a press, (H, W, 3), 1 for white."""
        press, size = fit.gel.press, self.model.image
        centre_px = project(parameter_values(self.model), [press.x_mm, press.y_mm, -press.depth_mm])
        columns, rows = FINER * size.width_px, FINER * size.height_px
        pixel_mm = self.model.mm_per_px / FINER
        y, x = np.mgrid[:rows, :columns]
        away = (
            np.hypot(x - FINER * (centre_px[0] + 0.5), y - FINER * (centre_px[1] + 0.5)) * pixel_mm
        )
        cap = self.radius_mm - np.sqrt(np.maximum(self.radius_mm**2 - away**2, 0.0))
        height = np.where(away < self.radius_mm, cap, FAR_MM)
        axes = [
            axis
            for axis, is_mirrored in ((1, self.mirrored[0]), (0, self.mirrored[1]))
            if is_mirrored
        ]
        simulator, flat = _taxim(pixel_mm)
        image = np.asarray(
            simulator.render(np.flip(height, axes).astype(np.float32), True, press.depth_mm)
        )
        change = np.flip(image - flat, axes)
        shape = (size.height_px, FINER, size.width_px, FINER, 3)
        return np.asarray(change.reshape(shape).mean(axis=(1, 3)) * np.array(self.scale))


@functools.cache
def _taxim(pixel_mm: float) -> tuple[Any, Floats]:
    """Return a Mini simulator for a pixel size, and its image of the undeformed gel."""
    from taxim import CALIB_GELSIGHT_MINI, Taxim

    simulator = Taxim(CALIB_GELSIGHT_MINI, {"sensor": {"pixmm": pixel_mm}}, "jax", "cpu")
    far = np.full((simulator.height, simulator.width), FAR_MM, np.float32)
    return simulator, np.asarray(simulator.render(far, False), np.float64)
