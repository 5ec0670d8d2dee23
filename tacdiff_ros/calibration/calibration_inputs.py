"""Inputs of a calibration: images of presses, settings, and the checks before any computation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.camera_pose import CameraPriors
from tacdiff_ros.calibration.light_fit import LightFitSettings
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_checks import MAX_SATURATED_PRESS, check_image
from tacdiff_ros.markers.detection import has_markers
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.sensor.sensor_model import SensorModel

MAX_PRESSES = 16


@dataclass(frozen=True)
class PressImage:
    """Image of a press with a known indenter.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        indenter: indenter of the press.
        name: name of the image in messages.
    """

    image: NDArray[np.uint8]
    indenter: Indenter
    name: str = "press"


@dataclass(frozen=True)
class CalibrationSettings:
    """Settings of a calibration.

    Attributes:
        sensor_id: identifier of the sensor; None keeps that of the sensor file.
        glass: whether layers refract; False sets all indices to 1.
        priors: prior standard deviations of the lens.
        lights: settings of the light fit.
        texture: whether to fit the texture of the markers.
    """

    sensor_id: str | None = None
    glass: bool = True
    priors: CameraPriors = field(default_factory=CameraPriors)
    lights: LightFitSettings = field(default_factory=LightFitSettings)
    texture: bool = True


def check_inputs(
    model: SensorModel, reference: NDArray[np.uint8], presses: list[PressImage]
) -> None:
    """Check the inputs of a calibration.

    Args:
        model: initial sensor model.
        reference: (H, W, 3) uint8 RGB reference image.
        presses: images of presses.

    Raises:
        InputError: the number of presses, the sensor model or an image cannot be used.
    """
    if not 1 <= len(presses) <= MAX_PRESSES:
        raise InputError(f"{len(presses)} presses, expected 1 to {MAX_PRESSES}")
    if not model.lights:
        raise InputError("the sensor file has no lights: add those of the sensor")
    check_image(reference, model, "the reference")
    if model.markers is None and has_markers(reference):
        raise InputError(
            "the reference shows a gel with markers, the sensor file describes one without: give "
            "the sensor file its markers"
        )
    for press in presses:
        check_image(press.image, model, press.name, MAX_SATURATED_PRESS)
