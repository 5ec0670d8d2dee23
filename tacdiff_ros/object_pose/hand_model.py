"""What the estimate needs to know of a hand."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose.link_frames import LinkFrames

Floats = NDArray[np.float64]


class HandModel(Protocol):
    """Kinematics and shape of a hand."""

    def link_frames(self, joint_positions: Floats) -> LinkFrames:
        """Return the frames of the links at joint positions (J,), rad or m."""
        ...

    def distance_and_gradient(
        self, points: Floats, frames: LinkFrames
    ) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Return the signed distances from the hand's surface.

        Args:
            points: (N, 3) points in the hand's base frame, m.
            frames: frames of the links.

        Returns:
            (N,) distances, m; (N, 3) gradients; (N,) index of the nearest link.
        """
        ...
