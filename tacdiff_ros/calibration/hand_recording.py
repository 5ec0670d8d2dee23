"""Images for a calibration, taken by hand: a reference image, and presses of a ball."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_folder import CATALOG, COLUMNS, PRESS, REFERENCE
from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import png_bytes

Image = NDArray[np.uint8]

CHANGE_GREY = 10.0  # image change inside a contact, grey levels, after a blur of BLUR_PX
BLUR_PX = 2.0
MIN_CONTACT, MAX_CONTACT = 0.005, 0.3  # fraction of the image that a press changes
MIN_DISTANCE = 0.15  # of two presses, relative to the image width
MAX_MOTION_GREY = 3.0  # mean difference of two images in succession inside the contact


@dataclass(frozen=True)
class HandPress:
    """One accepted press.

    Attributes:
        image: (H, W, 3) uint8 RGB image.
        centre_px: (x, y) centre of the changed pixels.
        fraction: fraction of the image that changed.
    """

    image: Image
    centre_px: tuple[float, float]
    fraction: float


class HandRecording:
    """Collects a reference image and presses, and refuses what a calibration could not use.

    Attributes:
        reference: (H, W, 3) uint8 RGB reference image.
        presses: accepted presses.
    """

    def __init__(self, reference: Image) -> None:
        """Start without presses.

        Args:
            reference: (H, W, 3) uint8 RGB image of the untouched gel.
        """
        self.reference = reference
        self.presses: list[HandPress] = []

    def add(self, image: Image, before: Image) -> HandPress:
        """Add a press.

        Args:
            image: (H, W, 3) uint8 RGB image of the press.
            before: (H, W, 3) uint8 RGB image taken shortly before, in the same press.

        Raises:
            InputError: nothing touches the gel, the sensor moves, or the position is not new.
        """
        changed = _change(self.reference, image) > CHANGE_GREY
        fraction = float(changed.mean())
        if fraction < MIN_CONTACT:
            raise InputError(
                f"nothing touches the gel: {100 * fraction:.1f} % of the image changed, expected "
                f"{100 * MIN_CONTACT:g} % or more: press about 1 mm deep"
            )
        if fraction > MAX_CONTACT:
            raise InputError(
                f"{100 * fraction:.0f} % of the image changed, expected up to "
                f"{100 * MAX_CONTACT:.0f} %: press less, or take a new reference image"
            )
        motion = float(_change(before, image)[changed].mean())
        if motion > MAX_MOTION_GREY:
            raise InputError("the ball moves: hold it still, and press Enter again")
        rows, columns = np.nonzero(changed)
        centre = (float(columns.mean()), float(rows.mean()))
        for other in self.presses:
            if np.hypot(*np.subtract(centre, other.centre_px)) < MIN_DISTANCE * image.shape[1]:
                raise InputError("a press at this position is taken already: press elsewhere")
        press = HandPress(image, centre, fraction)
        self.presses.append(press)
        return press

    def files(self, diameter_mm: float) -> dict[str, bytes | str]:
        """Return the files of a calibration folder by name, presses as `press_K/gelsight.png`.

        Args:
            diameter_mm: diameter of the ball, mm.
        """
        rows = [",".join(COLUMNS)]
        contents: dict[str, bytes | str] = {REFERENCE: png_bytes(self.reference)}
        for number, press in enumerate(self.presses, start=1):
            rows.append(f"press_{number},{diameter_mm:g}")
            contents[f"press_{number}/{PRESS}"] = png_bytes(press.image)
        contents[CATALOG] = "\n".join(rows) + "\n"
        return contents


def _change(before: Image, after: Image) -> NDArray[np.float32]:
    """(H, W) largest change of the three colours after a blur, grey levels."""
    difference = after.astype(np.float32) - before.astype(np.float32)
    return np.asarray(np.abs(cv2.GaussianBlur(difference, (0, 0), BLUR_PX)).max(axis=-1))
