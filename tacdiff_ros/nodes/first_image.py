"""State of a driver that waits for its camera, with the interface of `Preparation`."""

from __future__ import annotations

import math


class FirstImage:
    """A camera's first image, as what a node waits for before it is ready.

    Attributes:
        is_ready: whether the camera has sent an image.
        failure: always empty, because the driver opens the camera again and again.
        number: number of the current stage, always 1.
        count: number of stages, always 1.
        is_running: always False: nothing prevents the end of the process.
        seconds_left: always NaN, because the time until somebody connects a camera is unknown.
    """

    failure, is_running, seconds_left = "", False, math.nan
    number = count = 1

    def __init__(self, camera: str) -> None:
        """Wait.

        Args:
            camera: name of the camera.
        """
        self.is_ready, self._camera = False, camera

    @property
    def stage(self) -> str:
        """What is waited for; empty once the image has come."""
        return "" if self.is_ready else f"first image of {self._camera}"

    def describe(self) -> str:
        """Return one line that describes the current state."""
        return "ready" if self.is_ready else f"not ready: waiting for the {self.stage}"
