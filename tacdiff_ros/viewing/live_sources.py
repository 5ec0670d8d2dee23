"""Frames for a live view: of a camera, or of a virtual sensor that a ball is pressed on."""

from __future__ import annotations

import itertools
import math
import time
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.camera import BrokenImageError, CameraFrames, CameraSettings
from tacdiff_ros.images.capture_settings import CameraLostError
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor

VIRTUAL_PERIOD_S = 0.1
REFERENCE_FRAMES, CYCLE_FRAMES = 12, 60  # of the virtual sensor
DEPTH_MM, RADIUS_MM = 0.7, 3.0


class CameraSource:
    """Frames of a camera; broken and repeated ones are None."""

    def __init__(self, device: str, model: SensorModel | None) -> None:
        """Open the camera.

        Args:
            device: number, path or part of the name.
            model: sensor whose size and crop the frames get; None for those of a Mini.

        Raises:
            InputError: there is no such camera, or it does not open.
        """
        settings = CameraSettings(device)
        if model is not None:
            image = model.image
            settings = CameraSettings(
                device, (image.width_px, image.height_px), image.border_fraction
            )
        try:
            self._frames = CameraFrames(settings)
        except CameraLostError as error:
            raise InputError(f"{error}; `tacdiff doctor` lists the cameras") from error

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next frame, see `LiveFrames`."""
        try:
            image = self._frames.read().image
        except CameraLostError as error:
            raise InputError(str(error)) from error
        except BrokenImageError:
            return None
        if image is not None:
            with suppress(CameraLostError):
                self._frames.lock.on_image(float(image.mean()))
        return image

    def close(self) -> None:
        """Release the camera."""
        self._frames.close()


class VirtualSource:
    """Frames of a virtual sensor: untouched, then a ball is pressed, moved and lifted."""

    def __init__(self, model: SensorModel) -> None:
        """Compute the tables of the gel, which takes some seconds.

        Args:
            model: sensor that is simulated.
        """
        self._sensor = VirtualSensor(model, "sphere:diameter=6", threads=1)
        self._numbers = itertools.count()
        self._next_s = time.monotonic()

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next frame, see `LiveFrames`."""
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._next_s = max(self._next_s + VIRTUAL_PERIOD_S, time.monotonic())
        number = next(self._numbers)
        phase = (number - REFERENCE_FRAMES) % CYCLE_FRAMES / CYCLE_FRAMES
        if number < REFERENCE_FRAMES:
            phase = 0.0
        angle = 2.0 * math.pi * phase
        depth_mm = DEPTH_MM * math.sin(math.pi * phase)
        pose = IndenterPose(RADIUS_MM * math.cos(angle), RADIUS_MM * math.sin(angle), depth_mm)
        return self._sensor.sense(pose).image

    def close(self) -> None:
        """Do nothing."""
