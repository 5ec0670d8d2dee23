"""Indenters with rounded edges: a sharp-edged core, dilated by a ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.indenter import Indenter, as_points

BATCH_POINTS = 20_000  # limits the memory of the distances to all features of the core


class Core(Protocol):
    """A solid whose distance field is exact outside it."""

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the signed distance (N,) of points (N, 3), both in mm."""
        ...

    def derivatives(self, points: NDArray[np.float64]) -> Derivatives:
        """Returns the signed distance of points (N, 3), mm, with its gradient and Hessian."""
        ...


@dataclass(frozen=True, eq=False)
class RoundedIndenter(Indenter):
    """The Minkowski sum of a core and a ball.

    Outside the core, whose surface lies `rounding_mm` below that of the indenter, the field is the
    exact distance to the surface: its gradient is continuous with unit length, and its Hessian
    jumps where the nearest feature of the core changes. Inside the core, the field continues with
    the distance to the core's nearest face: values stay continuous, but the gradient jumps where
    two faces are equally near. Kinks outside are those of the core: see `Outline`, `Strokes` and
    `Revolution`.

    Attributes:
        text: canonical specification.
        core: solid with sharp edges, or a set without volume.
        rounding_mm: radius of the ball, mm.
        box: (2, 3) lowest and highest corner of the bounding box of the indenter, mm.
    """

    text: str
    core: Core
    rounding_mm: float
    box: NDArray[np.float64]

    @property
    def spec(self) -> str:
        """Canonical specification with every size."""
        return self.text

    @property
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3) lowest and highest corner of the axis-aligned bounding box, mm."""
        return self.box.copy()

    def distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """Returns the signed distance (N,) of points (N, 3), mm, positive outside."""
        array = as_points(points)
        parts = [
            self.core.distance(array[start : start + BATCH_POINTS])
            for start in range(0, max(len(array), 1), BATCH_POINTS)
        ]
        return np.concatenate(parts) - self.rounding_mm

    def derivatives(self, points: ArrayLike) -> Derivatives:
        """Returns the signed distance of points (N, 3), mm, with its gradient and Hessian."""
        core = self.core.derivatives(as_points(points))
        return Derivatives(core.distance - self.rounding_mm, core.gradient, core.hessian)
