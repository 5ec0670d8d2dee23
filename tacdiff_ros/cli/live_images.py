"""Sources of the live images of a guided calibration: a camera, a folder, the virtual sensor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.camera import BrokenImageError, CameraFrames, CameraSettings
from tacdiff_ros.images.capture_settings import SETTLING_IMAGES, CameraLostError
from tacdiff_ros.images.crop import Crop, default_crop
from tacdiff_ros.images.frame_sources import FolderFrames

Image = NDArray[np.uint8]

VIRTUAL = "virtual"
MAX_BROKEN_S = 5.0
PERIOD_S = 0.05  # of images without a camera


class LiveImages(Protocol):
    """Images of a sensor that somebody presses."""

    def next(self, target_mm: tuple[float, float] | None) -> Image:
        """Return the next image, (H, W, 3) uint8 RGB.

        Args:
            target_mm: (x, y) position in the frame `gel` to press at, mm, which only a virtual hand
                follows; None to touch nothing.

        Raises:
            InputError: there are no more images.
        """

    def after_take(self) -> None:
        """React to an attempt to take an image."""

    def close(self) -> None:
        """Release the source."""


class DeviceImages:
    """Images of a camera whose exposure has settled."""

    def __init__(self, device: str, crop: Crop | None = None) -> None:
        """Open the camera and wait until its exposure has settled.

        Args:
            device: part of the camera's name, or /dev/videoN.
            crop: crop of whole frames; None for that of a GelSight Mini.

        Raises:
            InputError: there is no such camera.
        """
        try:
            crop = crop or default_crop()
            self._frames = CameraFrames(CameraSettings(device, crop.size, crop.border_fraction))
        except CameraLostError as error:
            raise InputError(f"{error}; `tacdiff doctor` lists the cameras") from error
        for _ in range(SETTLING_IMAGES + 1):
            self._frames.lock.on_image(float(self.next().mean()))

    def next(self, _target_mm: tuple[float, float] | None = None) -> Image:
        """Return the next image; broken and repeated ones are left out for some seconds."""
        end_s = time.monotonic() + MAX_BROKEN_S
        while time.monotonic() < end_s:
            try:
                image = self._frames.read().image
            except BrokenImageError:
                continue
            except CameraLostError as error:
                raise InputError(str(error)) from error
            if image is not None:
                return image
        raise InputError("the camera sends no new images: check its cable")

    def after_take(self) -> None:
        """Do nothing: the camera sends what is before it."""

    def close(self) -> None:
        """Release the camera."""
        self._frames.close()


class FolderImages:
    """Images of a folder in place of a camera: each is shown until somebody takes it."""

    def __init__(self, folder: Path) -> None:
        """List the images; InputError if there are none."""
        self._frames = FolderFrames(folder, loop=False)
        self._image = self._frames.read()

    def next(self, _target_mm: tuple[float, float] | None) -> Image:
        """Return the present image.

        Raises:
            InputError: all images were taken.
        """
        if self._image is None:
            raise InputError("the folder has no more images: add some, or finish earlier")
        time.sleep(PERIOD_S)
        return self._image

    def after_take(self) -> None:
        """Go to the next image."""
        self._image = self._frames.read()

    def close(self) -> None:
        """Close the folder."""
        self._frames.close()


class VirtualImages:
    """Images of a virtual sensor, pressed by a virtual hand where the guide says."""

    def __init__(self, diameter_mm: float) -> None:
        """Make the sensor, which takes some seconds.

        Args:
            diameter_mm: diameter of the ball, mm.
        """
        from tacdiff_ros.virtual.hand import VirtualHand

        self._hand = VirtualHand(diameter_mm)

    def next(self, target_mm: tuple[float, float] | None) -> Image:
        """Return the next image."""
        time.sleep(PERIOD_S)
        return self._hand.next(target_mm)

    def after_take(self) -> None:
        """Lift the ball."""
        self._hand.lift()

    def close(self) -> None:
        """Do nothing."""


def open_live_images(device: str, diameter_mm: float, crop: Crop) -> LiveImages:
    """Open the source of live images.

    Args:
        device: part of a camera's name, /dev/videoN, a folder of images, or `virtual`.
        diameter_mm: diameter of the ball, mm.
        crop: crop of a camera's whole frames.

    Raises:
        InputError: there is no such source.
    """
    if device == VIRTUAL:
        return VirtualImages(diameter_mm)
    path = Path(device).expanduser()
    return FolderImages(path) if path.is_dir() else DeviceImages(device, crop)
