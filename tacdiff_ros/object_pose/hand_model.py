"""What the residuals need to know of a hand; `tacdiff_ros.objects.hand.Hand` has it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class HandModel(Protocol):
    """Kinematics and shape of a hand with J joints and L links."""

    @property
    def shape_links(self) -> Integers:
        """(S,) index of the link of each collision shape."""
        ...

    def link_transforms(self, joint_positions: Floats) -> Floats:
        """Return the poses (L, 4, 4) of the links at joint positions (J,), rad or m."""
        ...

    def link_jacobians(self, joint_positions: Floats) -> Floats:
        """Return linear and angular velocities (L, 6, J) of the links per joint velocity."""
        ...

    def distance(self, points: Floats, joint_positions: Floats) -> tuple[Floats, Floats, Integers]:
        """Return signed distances (N,), gradients (N, 3) and nearest shapes (N,) of points."""
        ...
