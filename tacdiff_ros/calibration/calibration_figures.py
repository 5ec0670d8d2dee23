"""Figures of a calibration: fitted parameters with standard deviations, and residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel


@dataclass(frozen=True)
class FittedNumber:
    """One fitted parameter of the sensor model.

    Attributes:
        name: name as in `parameter_values`, with an index if the parameter has several values.
        file: value in the sensor file before the calibration.
        value: value after the calibration.
        stddev: standard deviation of the value, to first order.
        prior_stddev: prior standard deviation of the value.
    """

    name: str
    file: float
    value: float
    stddev: float
    prior_stddev: float


def fitted_numbers(calibration: Calibration, before: SensorModel) -> list[FittedNumber]:
    """Return all fitted parameters except those of single markers and the flat field.

    Args:
        calibration: result of a calibration.
        before: sensor model before the calibration.
    """
    values, old = parameter_values(calibration.model), parameter_values(before)
    vector = calibration.light_vector
    stddev = vector.stddevs(calibration.lights.vector, calibration.lights.vector_stddev)
    prior = vector.stddevs(np.zeros(vector.size), np.ones(vector.size))
    camera = calibration.final_camera or calibration.with_glass
    if camera is not None:
        stddev = {**camera.stddev, **stddev}
        prior = {**camera.prior_stddev, **prior}
    return [
        FittedNumber(
            name=name if values[name].size == 1 else f"{name}[{k}]",
            file=float(old[name].ravel()[k]),
            value=float(values[name].ravel()[k]),
            stddev=float(np.ravel(stddev[name])[k]),
            prior_stddev=float(np.ravel(prior[name])[k]),
        )
        for name in sorted(stddev)
        for k in range(values[name].size)
    ]


def residuals(calibration: Calibration) -> dict[str, float]:
    """Return the residuals of all stages, by names that end in their physical dimension."""
    figures: dict[str, float] = {}
    without_glass, with_glass = calibration.without_glass, calibration.with_glass
    mask = calibration.mask
    if without_glass is not None and with_glass is not None and mask is not None:
        figures["dot_rms_without_glass_px"] = without_glass.rms_px
        figures["dot_rms_on_lattice_px"] = with_glass.rms_px
        figures["dot_rms_px"] = mask.rms_px
        figures["dots_broken"] = float(mask.broken.sum())
        figures["dot_diameter_mm"] = mask.diameter_mm
        figures["mask_error"] = mask.mask_error
    figures["press_rms_grey"] = 255.0 * calibration.lights.rms
    figures["press_correlation"] = min(press.correlation for press in calibration.presses)
    marker_rms = [
        press.fit.marker_rms_px for press in calibration.presses if press.markers is not None
    ]
    if marker_rms:
        figures["press_dot_rms_px"] = max(marker_rms)
    if calibration.texture is not None and calibration.final_camera is not None:
        figures["texture_rms_grey"] = 255.0 * calibration.texture.rms
        figures["texture_dot_rms_px"] = calibration.final_camera.rms_px
    return {name: round(value, 4) for name, value in figures.items()}
