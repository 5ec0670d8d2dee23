"""Checks that the results of a calibration are those of a plausible sensor."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.calibration.lighting_stage import Lighting
from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.sensor.sensor_model import SensorModel

MAX_SCALE_CHANGE = 0.15  # of the markers' pitch; the missing crop of a Mini changes it by 0.29
MAX_PRESS_RMS = 40.0 / 255.0  # real presses: 2 to 11 grey levels
MIN_CORRELATION = 0.2  # of predicted and measured shading


def check_scale(model: SensorModel, markers: MarkerField) -> None:
    """Check that the markers' pitch in the reference image is about that of the sensor file.

    Args:
        model: initial sensor model.
        markers: markers of the reference image.

    Raises:
        InputError: the scale of the images is another one, as without the camera's crop.
    """
    if model.markers is None:
        return
    steps = np.linalg.norm(np.diff(markers.position_px, axis=1), axis=-1)
    if not np.isfinite(steps).any():
        return
    pitch_px = float(np.nanmedian(steps))
    expected_px = model.markers.pitch_mm[0] / model.mm_per_px
    change = pitch_px / expected_px - 1.0
    if abs(change) > MAX_SCALE_CHANGE:
        raise InputError(
            f"the markers are {pitch_px:.1f} px apart, {expected_px:.1f} px expected from the "
            f"sensor file, at most {100 * MAX_SCALE_CHANGE:.0f} % off: were whole frames of the "
            f"camera resized without the crop of {model.image.border_fraction:.3g} at each side? "
            "Give the whole frames, or images of the driver"
        )


def check_lighting(lighting: Lighting) -> None:
    """Check that the fitted lights explain the presses.

    Args:
        lighting: result of the lighting stage.

    Raises:
        InputError: the residual is that of images of something else.
    """
    rms, correlation = lighting.lights.rms, min(p.correlation for p in lighting.presses)
    if not (rms <= MAX_PRESS_RMS and correlation >= MIN_CORRELATION):
        raise InputError(
            f"the fit does not explain the presses: residual {255.0 * rms:.0f} grey levels "
            f"(expected under {255.0 * MAX_PRESS_RMS:.0f}), correlation of predicted and measured "
            f"shading {correlation:.2f} (expected over {MIN_CORRELATION}): check the indenters, "
            "and that the images have the crop of the sensor file"
        )
