"""A calibration step by step: take a reference and presses, compute, save inside one folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibrate import (
    MAX_PRESSES,
    Calibration,
    CalibrationSettings,
    PressImage,
    Progress,
    calibrate,
)
from tacdiff_ros.errors import InputError
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
    """Everything a computation needs, so that it can run beside what is taken next.

    Attributes:
        model: sensor file to start from.
        reference: (H, W, 3) uint8.
        presses: images and what was pressed.
        sensor_id: name of the unit.
    """

    model: SensorModel
    reference: Image
    presses: tuple[PressImage, ...]
    sensor_id: str

    def run(self, progress: Progress) -> Calibration:
        """Calibrate; see `calibrate`."""
        settings = CalibrationSettings(sensor_id=self.sensor_id)
        return calibrate(self.model, self.reference, list(self.presses), settings, progress)


class CalibrationSession:
    """What was taken so far, and where results go."""

    def __init__(self, model: SensorModel, folder: Path) -> None:
        """A session.

        Args:
            model: sensor file that calibrations start from.
            folder: where sensor files are written, and nowhere else.
        """
        self._model = model
        self._folder = folder
        self._reference: Image | None = None
        self._presses: list[PressImage] = []

    @property
    def press_count(self) -> int:
        """Presses taken."""
        return len(self._presses)

    def take_reference(self, image: Image) -> None:
        """Keep the image of the untouched gel.

        Raises:
            InputError: it cannot be calibrated from.
        """
        check_image(image, self._model, "the reference")
        self._reference = image.copy()

    def take_press(self, image: Image, indenter: str) -> None:
        """Add a press.

        Args:
            image: (H, W, 3) uint8.
            indenter: spec of what is pressed; files are not read.

        Raises:
            InputError: too many presses, a bad image or a bad spec.
        """
        if len(self._presses) >= MAX_PRESSES:
            raise InputError(f"{MAX_PRESSES} presses are taken already: compute, or clear them")
        name = f"press {len(self._presses) + 1}"
        check_image(image, self._model, name, MAX_SATURATED_PRESS)
        if len(indenter) > MAX_SPEC:
            raise InputError(f"the indenter spec has over {MAX_SPEC} characters")
        spec = parse_indenter(indenter)
        if spec.name in ("none", "mesh"):
            raise InputError(f"indenter '{spec.name}' cannot be calibrated with: give a shape")
        self._presses.append(PressImage(image.copy(), build_indenter(spec), name))

    def clear(self) -> None:
        """Forget what was taken."""
        self._reference = None
        self._presses.clear()

    def job(self, sensor_id: str) -> CalibrationJob:
        """The computation for what was taken.

        Args:
            sensor_id: name of the unit; empty: the sensor file's.

        Raises:
            InputError: something is missing, or the name is none.
        """
        name = sensor_id or re.sub(r"[^A-Za-z0-9_-]", "_", self._model.sensor_id)
        if not SENSOR_ID.fullmatch(name):
            raise InputError(
                f"sensor_id '{name[:80]}' is no name: 1 to 80 letters, digits, _ and -"
            )
        if self._reference is None:
            raise InputError("no reference is taken: take an image of the untouched gel first")
        if not self._presses:
            raise InputError("no press is taken: press the indenter in and take an image")
        return CalibrationJob(self._model, self._reference, tuple(self._presses), name)

    def path(self, output: str, sensor_id: str) -> Path:
        """Where a result goes.

        Args:
            output: file name; empty: the sensor's.
            sensor_id: name of the unit.

        Raises:
            InputError: it is no plain file name.
        """
        name = output or sensor_id
        if not FILE_NAME.fullmatch(name):
            raise InputError(f"output '{name[:80]}' is no file name: letters, digits, _ . and -")
        return self._folder / (name if name.endswith(ENDING) else name + ENDING)

    def save(self, found: Calibration, output: str) -> Path:
        """Write a result's sensor file.

        Raises:
            InputError: the name is none, or the folder cannot be written.
        """
        path = self.path(output, found.model.sensor_id)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make {self._folder}: {error.strerror}") from error
        write_sensor(found.model, path)
        return path
