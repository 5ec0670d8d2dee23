"""Images for a calibration, taken by hand: a reference image, and presses of a ball."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_folder import CATALOG, COLUMNS, PRESS, REFERENCE
from tacdiff_ros.calibration.press_check import check_new_position, check_still, find_contact
from tacdiff_ros.output_files import png_bytes

Image = NDArray[np.uint8]


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
        contact = find_contact(self.reference, image)
        check_still(contact, before, image)
        centres_px = [press.centre_px for press in self.presses]
        check_new_position(contact, centres_px, image.shape[1])
        press = HandPress(image, contact.centre_px, contact.fraction)
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
