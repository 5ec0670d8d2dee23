"""What a guided calibration tells its user at one image: instruction, hint and picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Step = Literal["reference", "press", "enough"]
Point = tuple[float, float]

ZOOM = 2
READY, WAITING, TAKEN = (90, 220, 90), (255, 190, 60), (255, 255, 255)  # RGB
TARGET_RADIUS_PX, CONTACT_THICKNESS = 22, 2


@dataclass(frozen=True)
class Guidance:
    """State of the session at one image.

    Attributes:
        step: next image; `enough` if the presses are enough for a calibration.
        instruction: next action of the user.
        hint: reason why the present image cannot be taken; empty if it can.
        press_count: number of presses taken.
        known: accuracy expected from the presses so far, one fact a line.
        picture: (2 H, 2 W, 3) uint8 RGB image with target, contact and presses taken.
    """

    step: Step
    instruction: str
    hint: str
    press_count: int
    known: tuple[str, ...]
    picture: Image

    @property
    def can_take(self) -> bool:
        """Whether the present image passes the quick checks."""
        return not self.hint


def draw_guidance(
    image: Image,
    target_px: Point | None,
    changed: NDArray[np.bool_] | None,
    taken_px: list[Point],
    is_ready: bool,
) -> Image:
    """Draw where to press, what touches the gel, and the presses taken.

    Args:
        image: (H, W, 3) uint8 RGB image.
        target_px: (x, y) position to press at; None for none.
        changed: (H, W) bool, pixels in which the image differs from the reference image; None if
            nothing touches.
        taken_px: (x, y) position of each press taken.
        is_ready: whether the image can be taken, which the frame's colour shows.

    Returns:
        (2 H, 2 W, 3) uint8 RGB image.
    """
    size = (image.shape[1] * ZOOM, image.shape[0] * ZOOM)
    canvas = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    colour = READY if is_ready else WAITING
    if changed is not None and changed.any():
        mask = cv2.resize(changed.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        hull = cv2.convexHull(max(outlines, key=cv2.contourArea))
        cv2.drawContours(canvas, [hull], -1, colour, CONTACT_THICKNESS, cv2.LINE_AA)
    for number, position in enumerate(taken_px, start=1):
        x, y = _pixel(position)
        cv2.circle(canvas, (x, y), 4, TAKEN, -1, cv2.LINE_AA)
        _text(canvas, str(number), (x + 8, y + 6))
    if target_px is not None:
        centre = _pixel(target_px)
        cv2.circle(canvas, centre, TARGET_RADIUS_PX, colour, 2, cv2.LINE_AA)
        cv2.drawMarker(canvas, centre, colour, cv2.MARKER_CROSS, 3 * TARGET_RADIUS_PX, 2)
    cv2.rectangle(canvas, (0, 0), (size[0] - 1, size[1] - 1), colour, 6)
    return canvas


def _pixel(position: Point) -> tuple[int, int]:
    return round((position[0] + 0.5) * ZOOM), round((position[1] + 0.5) * ZOOM)


def _text(canvas: Image, text: str, origin: tuple[int, int]) -> None:
    for colour, thickness in (((0, 0, 0), 4), (TAKEN, 1)):
        cv2.putText(
            canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, thickness, cv2.LINE_AA
        )
