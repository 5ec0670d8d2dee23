"""The union of several solids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.rounded import Core


@dataclass(frozen=True)
class Union:
    """The union of cores, whose distance is that of the nearest core.

    The distance is exact outside, with a kink where two cores are equally near.

    Attributes:
        parts: cores of the union, at least one.
    """

    parts: tuple[Core, ...]

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the signed distance (N,) of points (N, 3), both in mm."""
        return np.min([part.distance(points) for part in self.parts], axis=0)

    def derivatives(self, points: NDArray[np.float64]) -> Derivatives:
        """Returns the signed distance of points (N, 3), mm, with its gradient and Hessian."""
        parts = [part.derivatives(points) for part in self.parts]
        nearest = np.argmin([part.distance for part in parts], axis=0)
        rows = np.arange(len(points))
        return Derivatives(
            np.stack([part.distance for part in parts])[nearest, rows],
            np.stack([part.gradient for part in parts])[nearest, rows],
            np.stack([part.hessian for part in parts])[nearest, rows],
        )
