"""The camera once more, from where the whole model sees the dots.

Raised dots throw coloured shadows, which draw the dots' dark blobs and masks to one side by up to
a third of a pixel. The dots' texture is fitted with those shadows, so that its dots are where they
are; what their offsets from the lattice have in common is the camera's, not the print's.

Limits: lights and flat field are kept as they were fitted with the camera before.
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


def settled_camera(
    model: SensorModel,
    before: SensorModel,
    used: NDArray[np.bool_],
    priors: CameraPriors | None = None,
) -> tuple[SensorModel, CameraFit]:
    """Give the camera what the dots' offsets have in common; the image stays the same.

    Args:
        model: with fitted dots.
        before: the file that the priors are around.
        used: (rows, columns) bool, dots that were fitted; others go to their lattice points.
        priors: of the lens.

    Returns:
        The sensor with camera and offsets changed, and the camera's fit.

    Raises:
        InputError: as `fit_camera`.
    """
    seen = project(parameter_values(model), marker_positions_mm(model))
    markers = model.markers
    assert markers is not None  # noqa: S101
    diameter = np.full(used.shape, markers.diameter_mm / model.mm_per_px)
    lens = {name: parameter_values(before)[name] for name in LENS}
    start = with_parameter_values(model, lens)
    fit = fit_camera(start, MarkerField.where(used, seen, diameter), priors)
    lattice = lattice_positions_mm(fit.model.markers or markers)
    place = unproject(parameter_values(fit.model), seen, lattice[..., 2])
    offset = np.where(used[..., None], (place - lattice)[..., :2], 0.0)
    return with_parameter_values(fit.model, {"markers.offset_mm": offset.reshape(-1, 2)}), fit
