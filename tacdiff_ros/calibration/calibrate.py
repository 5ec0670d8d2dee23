"""Calibration of a sensor instance from a reference image and images of presses: all stages.

The stages are the paper's: the camera from the markers without and with the layers, lights and
colour from the presses, texture of the markers. Each stage starts from the sensor file and from the
results of the stages before.

Limits: indices, thicknesses, gains and the gel's colour stay at the file's values, because images
of this kind do not determine them separately. Without markers the camera stays as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.calibration.calibration_inputs import (
    CalibrationSettings,
    PressImage,
    check_inputs,
)
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.calibration.camera_pose import CameraFit, CameraPriors
from tacdiff_ros.calibration.camera_stages import fit_cameras
from tacdiff_ros.calibration.lighting_stage import LightingStage
from tacdiff_ros.calibration.marker_texture import MarkerTexture, fit_marker_texture
from tacdiff_ros.calibration.result_checks import check_lighting
from tacdiff_ros.calibration.settled_camera import refit_camera
from tacdiff_ros.calibration.stage_progress import STAGES, Progress, StageProgress
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.sensor_model import SensorModel


@one_blas_thread
def calibrate(
    model: SensorModel,
    reference: NDArray[np.uint8],
    presses: list[PressImage],
    settings: CalibrationSettings | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Calibrate a sensor.

    Args:
        model: initial sensor model.
        reference: (H, W, 3) uint8 RGB image of the untouched gel.
        presses: images of 1 to 16 presses with known indenters; two at different positions are
            enough.
        settings: settings of the stages.
        progress: callback on the stage and the completed fraction of the calibration; an exception
            from it aborts the calibration.

    Raises:
        InputError: an image or the sensor model cannot be used; the message says why.
    """
    settings = settings or CalibrationSettings()
    check_inputs(model, reference, presses)
    start_mitsuba(job="calibration")
    if settings.sensor_id is not None:
        model = SensorModel.model_validate({**model.model_dump(), "sensor_id": settings.sensor_id})
    if not settings.glass:
        straight = tuple(layer.model_copy(update={"index": 1.0}) for layer in model.layers)
        model = model.model_copy(update={"layers": straight})
    return _run_stages(model, reference, presses, settings, StageProgress(progress))


def _run_stages(
    initial: SensorModel,
    image: NDArray[np.uint8],
    presses: list[PressImage],
    settings: CalibrationSettings,
    progress: StageProgress,
) -> Calibration:
    """Run the stages, each with the sensor model of the one before.

    Args:
        initial: initial sensor model.
        image: (H, W, 3) uint8 RGB reference image.
        presses: images of presses.
        settings: settings of the stages.
        progress: progress of the calibration.
    """
    cameras = fit_cameras(initial, image, settings.priors, progress)
    with progress.stage("lighting", 0.06):
        stage = LightingStage(
            cameras.model, image, cameras.markers, presses, settings.lights, progress
        )
        lighting = stage.run()
        check_lighting(lighting)
    textured = _Textured(lighting.model)
    if cameras.markers is not None and settings.texture:
        with progress.stage("texture", 0.85):
            textured = _fit_texture(
                lighting.model, initial, image, cameras.markers, settings.priors, progress
            )
    progress.report(STAGES[-1], 1.0)
    return Calibration(
        model=textured.model,
        reference=stage.reference,
        reference_markers=cameras.markers,
        without_glass=cameras.without_glass,
        with_glass=cameras.with_glass,
        mask=cameras.mask,
        lights=lighting.lights,
        light_vector=lighting.light_vector,
        presses=lighting.presses,
        positions=lighting.positions,
        texture=textured.texture,
        final_camera=textured.camera,
        warnings=lighting.warnings,
        seconds=progress.seconds,
    )


@dataclass(frozen=True)
class _Textured:
    """Result of the texture stage; only the model if it was not run."""

    model: SensorModel
    texture: MarkerTexture | None = None
    camera: CameraFit | None = None


def _fit_texture(
    model: SensorModel,
    initial: SensorModel,
    image: NDArray[np.uint8],
    markers: MarkerField,
    priors: CameraPriors,
    progress: StageProgress,
) -> _Textured:
    """Fit the markers' texture, and the camera to its markers.

    Args:
        model: sensor model with fitted camera and lights.
        initial: initial sensor model, around whose lens the priors are centred.
        image: (H, W, 3) uint8 RGB reference image.
        markers: markers of the reference image.
        priors: prior standard deviations of the lens.
        progress: progress of the calibration.
    """
    texture = fit_marker_texture(model, image, markers.found, progress.within("texture", 0.85, 1.0))
    fitted = np.isfinite(texture.marker_rms)
    final_model, camera = refit_camera(texture.model, initial, fitted, priors)
    return _Textured(final_model, texture, camera)
