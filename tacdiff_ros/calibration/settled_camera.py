"""Camera fitted again, to the marker positions of the fitted marker texture.

Raised markers cast coloured shadows, which shift the markers' dark blobs and masks by up to a third
of a pixel. The marker texture is fitted with those shadows, so its marker positions are unbiased;
the common part of their offsets from the lattice belongs to the camera, not to the print.

Limits: lights and flat field stay as they were fitted with the earlier camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.camera_pose import CameraFit, CameraPriors, fit_camera
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project, unproject
from tacdiff_ros.sensor.marker_positions import lattice_positions_mm, marker_positions_mm
from tacdiff_ros.sensor.parameters import parameter_values, with_parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

LENS = ("camera.focal_px", "camera.distortion", "markers.pitch_mm")


def refit_camera(
    model: SensorModel,
    before: SensorModel,
    used: NDArray[np.bool_],
    priors: CameraPriors | None = None,
) -> tuple[SensorModel, CameraFit]:
    """Transfer the common part of the markers' offsets to the camera; the image stays the same.

    Args:
        model: sensor model with fitted marker texture.
        before: sensor model with the lens around which the priors are centred.
        used: (rows, columns) bool, markers that were fitted; others are set to their lattice
            positions.
        priors: prior standard deviations of the lens.

    Returns:
        The sensor model with new camera and marker offsets, and the fit of the camera.

    Raises:
        InputError: see `fit_camera`.
    """
    measured = project(parameter_values(model), marker_positions_mm(model))
    markers = model.markers
    assert markers is not None  # noqa: S101
    diameter = np.full(used.shape, markers.diameter_mm / model.mm_per_px)
    lens = {name: parameter_values(before)[name] for name in LENS}
    start = with_parameter_values(model, lens)
    fit = fit_camera(start, MarkerField.where(used, measured, diameter), priors)
    lattice = lattice_positions_mm(fit.model.markers or markers)
    position = unproject(parameter_values(fit.model), measured, lattice[..., 2])
    offset = np.where(used[..., None], (position - lattice)[..., :2], 0.0)
    return with_parameter_values(fit.model, {"markers.offset_mm": offset.reshape(-1, 2)}), fit
