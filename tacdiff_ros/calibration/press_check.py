"""Checks of camera images while a ball is pressed by hand; they take a few milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

Image = NDArray[np.uint8]

CHANGE_GREY = 10.0  # image change inside a contact, grey levels, after a blur of BLUR_PX
BLUR_PX = 2.0
RIM = 0.03  # width of the changed rim of a marker that moves, relative to the image width
MIN_CONTACT, MAX_CONTACT = 0.005, 0.3  # fraction of the image that a press changes
MIN_DISTANCE = 0.15  # of two presses, relative to the image width
MAX_MOTION_GREY = 3.0  # mean difference of two images in succession inside the contact


@dataclass(frozen=True)
class ImageContact:
    """Part of an image that differs from the reference image.

    Attributes:
        changed: (H, W) bool, pixels that changed.
        centre_px: (x, y) centre of the changed pixels.
    """

    changed: NDArray[np.bool_]
    centre_px: tuple[float, float]

    @property
    def fraction(self) -> float:
        """Fraction of the image that changed."""
        return float(self.changed.mean())


def find_contact(reference: Image, image: Image) -> ImageContact:
    """Return the part of an image that a press changed.

    Args:
        reference: (H, W, 3) uint8 RGB reference image.
        image: (H, W, 3) uint8 RGB image of the press.

    Raises:
        InputError: nothing touches the gel, or most of the image changed.
    """
    changed = _without_rims(image_change(reference, image) > CHANGE_GREY)
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
    rows, columns = np.nonzero(changed)
    return ImageContact(changed, (float(columns.mean()), float(rows.mean())))


def check_still(contact: ImageContact, before: Image, image: Image) -> None:
    """Check that a press does not move.

    Args:
        contact: contact in the image.
        before: (H, W, 3) uint8 RGB image taken shortly before.
        image: (H, W, 3) uint8 RGB image of the press.

    Raises:
        InputError: the two images differ inside the contact.
    """
    if float(image_change(before, image)[contact.changed].mean()) > MAX_MOTION_GREY:
        raise InputError("the ball moves: hold it still")


def check_new_position(
    contact: ImageContact, centres_px: Iterable[tuple[float, float]], width_px: int
) -> None:
    """Check that no press was taken at about the same position.

    Args:
        contact: contact in the image.
        centres_px: (x, y) centre of each press taken before.
        width_px: width of the image, px.

    Raises:
        InputError: a press was taken there.
    """
    for other in centres_px:
        if np.hypot(*np.subtract(contact.centre_px, other)) < MIN_DISTANCE * width_px:
            raise InputError("a press at this position is taken already: press elsewhere")


def _without_rims(changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The changed pixels without narrow ones, at the rims of markers that move."""
    side = round(RIM * changed.shape[1])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    opened = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, disc)
    return np.asarray(opened, bool)


def image_change(before: Image, after: Image) -> NDArray[np.float32]:
    """Return the (H, W) largest change of the three colours after a blur, grey levels."""
    difference = after.astype(np.float32) - before.astype(np.float32)
    return np.asarray(np.abs(cv2.GaussianBlur(difference, (0, 0), BLUR_PX)).max(axis=-1))
