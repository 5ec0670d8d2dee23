"""Detection of contact during the approach, from the force or from the images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.acquisition.contact import ImageContact
from tacdiff_ros.acquisition.protocol import Approach, Phase


class ContactDetector:
    """Detects contact by the criterion of the protocol, `approach.contact`.

    - "force": some consecutive robot states are at or above the contact force.
    - "image": the newest image differs from the reference image by the threshold or more.
    """

    def __init__(self, approach: Approach, contact_states: int) -> None:
        """Start without contact and without a reference image.

        Args:
            approach: approach section of the protocol.
            contact_states: number of consecutive states above the contact force that are contact.
        """
        self._approach = approach
        self._contact_states = contact_states
        self._states_above_force = 0
        self._images = ImageContact()
        self._image_change = 0.0

    def on_force(self, force_n: NDArray[np.float64]) -> None:
        """Count a robot state by its external force (3,), bias removed, N."""
        is_above = float(np.linalg.norm(force_n)) >= self._approach.contact_force_n
        self._states_above_force = self._states_above_force + 1 if is_above else 0

    def on_image(self, image: NDArray[np.uint8], phase: Phase) -> None:
        """Use an image as reference or compare it with the reference, depending on the phase.

        Args:
            image: (H, W, 3) uint8 image.
            phase: phase of the run at the reception of the image.
        """
        if self._approach.contact != "image":
            return
        if phase is Phase.REFERENCE:
            self._images.add_reference(image)
        elif phase is Phase.APPROACH:
            self._image_change = self._images.change(image)

    def clear_reference(self) -> None:
        """Discard the reference image of the last trial."""
        self._images.clear()

    def restart(self) -> None:
        """Discard states and images from before the approach; the reference image remains."""
        self._states_above_force, self._image_change = 0, 0.0

    @property
    def is_in_contact(self) -> bool:
        """Whether contact has been detected since the last `restart`."""
        if self._approach.contact == "image":
            return self._image_change >= self._approach.contact_image_change
        return self._states_above_force >= self._contact_states
