"""Camera stages of a calibration: without and with refraction, refined by the rendered mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.camera_pose import CameraFit, CameraPriors, fit_camera
from tacdiff_ros.calibration.rendered_mask import MaskFit, refine_by_mask
from tacdiff_ros.calibration.result_checks import check_scale
from tacdiff_ros.calibration.stage_progress import StageProgress
from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.sensor.parameters import with_parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

BLURRED_RIM = 0.75  # rim width of markers in a blurred image, as a fraction of their diameter


@dataclass(frozen=True)
class CameraFits:
    """Results of the camera stages; only the model for a gel without markers.

    Attributes:
        model: sensor model with the fitted camera and marker positions.
        markers: markers of the reference image.
        without_glass: camera fitted without refraction.
        with_glass: camera fitted with refraction.
        mask: camera and markers refined by the rendered mask.
    """

    model: SensorModel
    markers: MarkerField | None = None
    without_glass: CameraFit | None = None
    with_glass: CameraFit | None = None
    mask: MaskFit | None = None


def fit_cameras(
    model: SensorModel, image: NDArray[np.uint8], priors: CameraPriors, progress: StageProgress
) -> CameraFits:
    """Fit the camera without and with refraction, and refine it by the mask.

    Args:
        model: initial sensor model; without markers its camera stays.
        image: (H, W, 3) uint8 RGB reference image.
        priors: prior standard deviations of the lens.
        progress: progress of the calibration.

    Raises:
        InputError: too few markers are found, or the image is blurred or has another scale.
    """
    if model.markers is None:
        return CameraFits(model)
    with progress.stage("pose", 0.0):
        markers = detect_markers(image, model.markers.grid)
        check_scale(model, markers)
        without_glass = fit_camera(model, markers, priors, glass=False)
    with progress.stage("pose_with_glass", 0.02):
        with_glass = fit_camera(model, markers, priors)
        mask = refine_by_mask(with_glass, image, markers, priors)
        refined = _with_fitted_markers(mask)
        _check_sharpness(mask)
    return CameraFits(refined, markers, without_glass, with_glass, mask)


def _with_fitted_markers(mask: MaskFit) -> SensorModel:
    """The model of a mask fit with the fitted camera and markers."""
    scale = 1.0 + mask.size_mm.ravel() / mask.diameter_mm
    fitted = {
        "markers.offset_mm": mask.offset_mm.reshape(-1, 2),
        "markers.scale": np.clip(scale, 0.1, 2.5),
        "markers.diameter_mm": np.array(mask.diameter_mm),
    }
    return with_parameter_values(mask.camera.model, fitted)


def _check_sharpness(mask: MaskFit) -> None:
    """Raise InputError for a blurred reference image."""
    if mask.rim_mm > BLURRED_RIM * mask.diameter_mm:
        raise InputError(
            f"the reference is blurred: the rims of its markers are {mask.rim_mm:.2f} mm wide, "
            f"the markers {mask.diameter_mm:.2f} mm; focus the camera, or clean the lens"
        )
