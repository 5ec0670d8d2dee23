"""State machine of a guided calibration: images in, instruction and picture out.

It has no camera, window, thread or clock. The user takes the reference image, then presses a ball
where the picture says; every image is checked, stored, and tells where the next press helps most.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_inputs import MAX_PRESSES
from tacdiff_ros.calibration.guided.guidance import Guidance, Point, Step, draw_guidance
from tacdiff_ros.calibration.guided.press_analysis import AnalysedPress, Prediction, PressAnalyst
from tacdiff_ros.calibration.guided.session_folder import SessionFolder
from tacdiff_ros.calibration.next_press import PressPosition
from tacdiff_ros.calibration.press_check import (
    MAX_MOTION_GREY,
    ImageContact,
    check_new_position,
    check_still,
    find_contact,
    image_change,
)
from tacdiff_ros.calibration.result_checks import check_scale
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.images.image_checks import check_image
from tacdiff_ros.markers.detection import detect_markers, has_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.optics.projection import project
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Image = NDArray[np.uint8]

REFERENCE_IMAGES, PRESS_IMAGES = 5, 2  # images seen before one is taken; the first are averaged
MIN_PRESSES = 2
ENOUGH_GAIN = 0.1  # relative decrease of the expected radius error that is worth another press
MIN_SPACING_MM = 3.0  # of a suggested press from those taken
CENTRE_MM = (0.0, 0.0)


@dataclass(frozen=True)
class _Taken:
    """One press taken, with the position of its contact in the image."""

    press: AnalysedPress
    centre_px: Point


class CalibrationGuide:
    """Leads through the images of a calibration.

    Attributes:
        folder: stored images.
    """

    def __init__(self, model: SensorModel, folder: SessionFolder, diameter_mm: float) -> None:
        """Start with an empty or an interrupted session; `resume` reads the images of the latter.

        Args:
            model: initial sensor model.
            folder: folder of the session's images.
            diameter_mm: diameter of the ball, mm.
        """
        self.folder = folder
        self._model, self._diameter_mm = model, diameter_mm
        self._values = parameter_values(model)
        self._crop = sensor_crop(model)
        self._frames: deque[Image] = deque(maxlen=REFERENCE_IMAGES)
        self._reference: Image | None = None
        self._analyst: PressAnalyst | None = None
        self._taken: list[_Taken] = []
        self._predictions: dict[int, Prediction] = {}  # by the number of presses

    @property
    def step(self) -> Step:
        """What is taken next; `enough` if the presses are enough for a calibration."""
        if self._reference is None:
            return "reference"
        count = len(self._taken)
        if count < MIN_PRESSES or (count < MAX_PRESSES and self._last_gain() >= ENOUGH_GAIN):
            return "press"
        return "enough"

    @property
    def target_mm(self) -> Point | None:
        """Position (x, y) in the frame `gel` at which a press tells most; None before presses."""
        target = self._target()
        return None if target is None else (target[1], target[2])

    @property
    def has_images(self) -> bool:
        """Whether enough images were seen since the last one was taken to take another one."""
        needed = REFERENCE_IMAGES if self._reference is None else PRESS_IMAGES
        return len(self._frames) >= needed

    def resume(self) -> str:
        """Read and check the images of an interrupted session.

        Returns:
            What was found, in one line; empty for a new session.

        Raises:
            InputError: a stored image cannot be used.
        """
        if not self.folder.has_reference:
            return ""
        if len(self.folder.presses) > MAX_PRESSES:
            raise InputError(
                f"{self.folder.path} has {len(self.folder.presses)} presses, expected up to "
                f"{MAX_PRESSES}: calibrate from it with --folder and without --live"
            )
        self._set_reference(self.folder.reference())
        for stored in self.folder.presses:
            image = self._crop.to_sensor(self.folder.image(stored), stored.name)
            self._add(image, stored.diameter_mm, stored.name)
        self._predict()
        return f"{self.folder.path} is resumed: reference image and {len(self._taken)} presses"

    def watch(self, image: Image) -> Guidance:
        """Check the next image of the camera.

        Args:
            image: (H, W, 3) uint8 RGB image.

        Raises:
            InputError: the image has another size than those of the sensor.
        """
        image = self._crop.to_sensor(image, "the camera's image")
        self._frames.append(image)
        contact, hint = self._quick_check(image)
        target = self._target()
        target_px = None if target is None else self._pixel(target[1], target[2])
        return Guidance(
            step=self.step,
            instruction=self._instruction(target),
            hint=hint,
            press_count=len(self._taken),
            known=tuple(self._predictions[len(self._taken)].lines) if self._taken else (),
            picture=draw_guidance(
                image,
                target_px,
                None if contact is None else contact.changed,
                [taken.centre_px for taken in self._taken],
                not hint,
            ),
        )

    def take(self) -> str:
        """Take the reference image or a press from the newest images.

        Returns:
            What was taken, in one line.

        Raises:
            InputError: the images cannot be used; nothing was taken.
        """
        if not self.has_images:
            raise InputError("the camera has sent too few images since the last one: try again")
        frames, image = list(self._frames), self._frames[-1]
        self._frames.clear()
        if self._reference is None:
            if _motion(frames) > MAX_MOTION_GREY:
                raise InputError("the image changes: nothing may touch or move; try again")
            mean = np.rint(np.mean(frames, axis=0)).astype(np.uint8)
            self._set_reference(mean)
            self.folder.set_reference(mean)
            return "the reference image is taken"
        if len(self._taken) >= MAX_PRESSES:
            raise InputError(f"{MAX_PRESSES} presses are taken already: finish, or undo one")
        contact = find_contact(self._reference, image)
        check_still(contact, frames[-2], image)
        centres_px = [taken.centre_px for taken in self._taken]
        check_new_position(contact, centres_px, image.shape[1])
        name = f"press {len(self._taken) + 1}"
        analysed = self._add(image, self._diameter_mm, name)
        self._predict()
        self.folder.add(image, self._diameter_mm)
        press, doubts = analysed.press, "".join(f"; warning: {w}" for w in analysed.warnings)
        return (
            f"{name} is taken: x {press.x_mm:.1f}, y {press.y_mm:.1f} mm, about "
            f"{press.depth_mm:.1f} mm deep{doubts}"
        )

    def undo(self) -> str:
        """Discard what was taken last.

        Returns:
            What was discarded, in one line.

        Raises:
            InputError: nothing was taken.
        """
        self._frames.clear()
        if self._taken:
            del self._predictions[len(self._taken)]
            self._taken.pop()
            self._predict()
            self.folder.remove_last()
            return f"press {len(self._taken) + 1} is discarded"
        if self._reference is None:
            raise InputError("nothing is taken yet")
        self.folder.remove_reference()
        self._reference = self._analyst = None
        return "the reference image is discarded"

    def finish(self) -> int:
        """Return the number of presses, if they are enough to compute a calibration.

        Raises:
            InputError: the reference image or presses are missing.
        """
        if len(self._taken) < MIN_PRESSES:
            raise InputError(
                f"{len(self._taken)} presses are taken, expected {MIN_PRESSES} or more, at "
                "different positions"
            )
        return len(self._taken)

    def _set_reference(self, image: Image) -> None:
        """Check the reference image, and prepare the analysis of presses."""
        image = self._crop.to_sensor(image, "the reference")
        check_image(image, self._model, "the reference")
        markers = self._detected_markers(image)
        self._analyst = PressAnalyst(self._model, image, markers)
        self._reference = image

    def _detected_markers(self, image: Image) -> MarkerField | None:
        """Markers of the reference image; InputError if they are not those of the sensor file."""
        if self._model.markers is None:
            if has_markers(image):
                raise InputError("the gel has markers: leave out --plain, or give its sensor file")
            return None
        try:
            markers = detect_markers(image, self._model.markers.grid)
        except InputError as error:
            raise InputError(f"{error}; for a gel without markers give --plain") from error
        check_scale(self._model, markers)
        return markers

    def _add(self, image: Image, diameter_mm: float, name: str) -> AnalysedPress:
        """Analyse a press and add it; nothing is added if it cannot be used."""
        if self._reference is None or self._analyst is None:
            raise InputError("no reference image is taken")
        centre_px = find_contact(self._reference, image).centre_px
        analysed = self._analyst.analyse(image, diameter_mm, name)
        self._taken.append(_Taken(analysed, centre_px))
        return analysed

    def _predict(self) -> None:
        """Predict with all presses and without the last one, unless that is known."""
        presses = [taken.press for taken in self._taken]
        for count in range(max(1, len(presses) - 1), len(presses) + 1):
            if count not in self._predictions and self._analyst is not None:
                self._predictions[count] = self._analyst.predict(presses[:count])

    def _quick_check(self, image: Image) -> tuple[ImageContact | None, str]:
        """Contact in an image, if there is one, and why the image cannot be taken; empty if it can.

        Only checks that are fast enough for every image of the camera.
        """
        if not self.has_images:
            return None, "wait a moment"
        before = self._frames[-2]
        if self._reference is None:
            moves = _motion([before, image]) > MAX_MOTION_GREY
            return None, "the image changes: nothing may touch or move" if moves else ""
        contact = None
        try:
            contact = find_contact(self._reference, image)
            check_still(contact, before, image)
            centres_px = [taken.centre_px for taken in self._taken]
            check_new_position(contact, centres_px, image.shape[1])
        except InputError as error:
            return contact, str(error)
        return contact, ""

    def _instruction(self, target: tuple[str, float, float] | None) -> str:
        if target is None:
            return "nothing touches the gel: take the reference image"
        name, x_mm, y_mm = target
        position = f"at the cross ({name}, x {x_mm:.0f}, y {y_mm:.0f} mm)"
        if self.step == "press":
            return (
                f"press {len(self._taken) + 1}: the {self._diameter_mm:g} mm ball {position}, "
                "about 1 mm deep, straight; hold it still and take it"
            )
        return (
            f"{len(self._taken)} presses are enough: finish. More presses still help on real gels, "
            f"up to six; the next one {position}"
        )

    def _target(self) -> tuple[str, float, float] | None:
        """Name and position (x, y) mm of the next press; None before the reference image."""
        if self._reference is None:
            return None
        if not self._taken:
            return ("centre", *CENTRE_MM)
        positions = self._predictions[len(self._taken)].positions
        chosen = next((p for p in positions if self._is_free(p)), positions[0])
        return chosen.name, chosen.x_mm, chosen.y_mm

    def _is_free(self, position: PressPosition) -> bool:
        presses = (taken.press.press for taken in self._taken)
        return all(
            math.hypot(position.x_mm - p.x_mm, position.y_mm - p.y_mm) > MIN_SPACING_MM
            for p in presses
        )

    def _last_gain(self) -> float:
        """Relative decrease of the expected radius error by the last press."""
        count = len(self._taken)
        before, after = (self._predictions[k].radius_error for k in (count - 1, count))
        return 1.0 - after / before

    def _pixel(self, x_mm: float, y_mm: float) -> Point:
        point = project(self._values, np.array([[x_mm, y_mm, 0.0]]))[0]
        return float(point[0]), float(point[1])


def _motion(frames: list[Image]) -> float:
    """Mean change between the first and the last of some images, grey levels."""
    return float(image_change(frames[0], frames[-1]).mean())
