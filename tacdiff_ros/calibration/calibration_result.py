"""Result of a calibration: the calibrated sensor and the fits of all stages."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.calibration.camera_pose import CameraFit
from tacdiff_ros.calibration.light_fit import LightFit
from tacdiff_ros.calibration.light_vector import LightVector
from tacdiff_ros.calibration.marker_texture import MarkerTexture
from tacdiff_ros.calibration.next_press import PressPosition
from tacdiff_ros.calibration.press_fit import PressFit
from tacdiff_ros.calibration.rendered_mask import MaskFit
from tacdiff_ros.images.fit_image import FitImage
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.sensor.sensor_model import SensorModel


@dataclass(frozen=True)
class CalibratedPress:
    """Press of a calibration, under the calibrated model.

    Attributes:
        fit: fitted pose and prediction.
        image: image at the fit's size.
        markers: tracked markers of the image; None for a gel without markers.
        search_score: correlation of the contact search.
        correlation: correlation of predicted and measured image change where the gel slopes.
    """

    fit: PressFit
    image: FitImage
    markers: MarkerField | None
    search_score: float
    correlation: float


@dataclass(frozen=True)
class Calibration:
    """Calibrated sensor and the fits that it results from.

    Attributes:
        model: calibrated sensor model.
        reference: reference image at the fit's size.
        reference_markers: markers of the reference image; None for a gel without markers.
        without_glass: camera fitted without refraction; None without markers.
        with_glass: camera fitted with refraction; None without markers.
        mask: camera and markers refined by the rendered mask; None without markers.
        lights: fit of the lights, as a vector of `light_vector`.
        light_vector: parametrisation of the lights.
        presses: fitted presses.
        positions: positions of a further press, the one that would help most first.
        texture: fit of the markers' texture; None if it was not fitted.
        final_camera: camera fitted to the markers of the texture; None if it was not fitted.
        warnings: reasons to doubt the result, one sentence each.
        seconds: computation time by stage, s.
    """

    model: SensorModel
    reference: FitImage
    reference_markers: MarkerField | None
    without_glass: CameraFit | None
    with_glass: CameraFit | None
    mask: MaskFit | None
    lights: LightFit
    light_vector: LightVector
    presses: tuple[CalibratedPress, ...]
    positions: tuple[PressPosition, ...]
    texture: MarkerTexture | None
    final_camera: CameraFit | None
    warnings: tuple[str, ...]
    seconds: dict[str, float]
