"""Calibration step by step: take a reference and presses, compute, save into one folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_inputs import MAX_PRESSES, CalibrationSettings, PressImage
from tacdiff_ros.calibration.calibration_result import Calibration
from tacdiff_ros.calibration.stage_progress import Progress
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.images.image_checks import MAX_SATURATED_PRESS, check_image
from tacdiff_ros.mechanics.indenter_spec import parse_indenter
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.sensor.sensor_file import write_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]

SENSOR_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}")
ENDING = ".yaml"
MAX_SPEC = 500


@dataclass(frozen=True)
class CalibrationJob:
    """Inputs of one computation, independent of what the session takes afterwards.

    Attributes:
        model: initial sensor model.
        reference: (H, W, 3) uint8 RGB reference image.
        presses: images of presses and their indenters.
        sensor_id: identifier of the sensor.
    """

    model: SensorModel
    reference: Image
    presses: tuple[PressImage, ...]
    sensor_id: str

    def run(self, progress: Progress) -> Calibration:
        """Calibrate the sensor; see `calibrate`.

        Args:
            progress: callback on the stage and the completed fraction.
        """
        settings = CalibrationSettings(sensor_id=self.sensor_id)
        return calibrate(self.model, self.reference, list(self.presses), settings, progress)


class CalibrationSession:
    """Images taken for a calibration, and the folder for its results."""

    def __init__(self, model: SensorModel, folder: Path) -> None:
        """Start a session without images.

        Args:
            model: initial sensor model of calibrations.
            folder: the only folder into which sensor files are written.
        """
        self._model = model
        self._folder = folder
        self._reference: Image | None = None
        self._presses: list[PressImage] = []

    @property
    def press_count(self) -> int:
        """Number of presses taken."""
        return len(self._presses)

    def take_reference(self, image: Image) -> None:
        """Store the reference image.

        Args:
            image: (H, W, 3) uint8 RGB image of the untouched gel.

        Raises:
            InputError: the image cannot be used for a calibration.
        """
        image = sensor_crop(self._model).to_sensor(image, "the reference")
        check_image(image, self._model, "the reference")
        self._reference = image.copy()

    def take_press(self, image: Image, indenter: str) -> None:
        """Add a press.

        Args:
            image: (H, W, 3) uint8 RGB image of the press.
            indenter: indenter specification; specifications that name files are refused.

        Raises:
            InputError: too many presses, an unusable image or an invalid specification.
        """
        if len(self._presses) >= MAX_PRESSES:
            raise InputError(f"{MAX_PRESSES} presses are taken already: compute, or clear them")
        name = f"press {len(self._presses) + 1}"
        image = sensor_crop(self._model).to_sensor(image, name)
        check_image(image, self._model, name, MAX_SATURATED_PRESS)
        if len(indenter) > MAX_SPEC:
            raise InputError(
                f"the indenter spec has {len(indenter)} characters, expected at most {MAX_SPEC}"
            )
        spec = parse_indenter(indenter)
        if spec.name in ("none", "mesh"):
            raise InputError(f"indenter '{spec.name}' cannot be calibrated with: give a shape")
        self._presses.append(PressImage(image.copy(), build_indenter(spec), name))

    def clear(self) -> None:
        """Delete the reference image and all presses."""
        self._reference = None
        self._presses.clear()

    def job(self, sensor_id: str) -> CalibrationJob:
        """Return the computation for the images taken so far.

        Args:
            sensor_id: identifier of the sensor; empty for that of the initial sensor model.

        Raises:
            InputError: the reference or a press is missing, or the identifier is invalid.
        """
        name = sensor_id or re.sub(r"[^A-Za-z0-9_-]", "_", self._model.sensor_id)
        if not SENSOR_ID.fullmatch(name):
            raise InputError(
                f"sensor_id '{name[:80]}' is invalid, expected 1 to 80 letters, digits, _ and -"
            )
        if self._reference is None:
            raise InputError("no reference is taken: take an image of the untouched gel first")
        if not self._presses:
            raise InputError("no press is taken: press the indenter in and take an image")
        return CalibrationJob(self._model, self._reference, tuple(self._presses), name)

    def path(self, output: str, sensor_id: str) -> Path:
        """Return the path of a result's sensor file.

        Args:
            output: file name; empty for the sensor's identifier.
            sensor_id: identifier of the sensor.

        Raises:
            InputError: the name is not a plain file name.
        """
        name = output or sensor_id
        if not FILE_NAME.fullmatch(name):
            raise InputError(f"output '{name[:80]}' is no file name: letters, digits, _ . and -")
        return self._folder / (name if name.endswith(ENDING) else name + ENDING)

    def save(self, calibration: Calibration, output: str) -> Path:
        """Write the sensor file of a result.

        Args:
            calibration: result to save.
            output: file name; empty for the sensor's identifier.

        Returns:
            Path of the written file.

        Raises:
            InputError: the name is not a plain file name, or the folder cannot be written.
        """
        path = self.path(output, calibration.model.sensor_id)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make {self._folder}: {error.strerror}") from error
        write_sensor(calibration.model, path)
        return path
