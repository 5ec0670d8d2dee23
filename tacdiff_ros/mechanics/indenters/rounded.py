"""Bodies with rounded edges: a core with sharp ones, grown by a ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives
from tacdiff_ros.mechanics.indenters.indenter import Indenter, as_points

AT_ONCE = 20_000


class Core(Protocol):
    """A solid whose distance is exact outside, to be grown."""

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) mm for points (N, 3) mm."""
        ...

    def derivatives(self, points: NDArray[np.float64]) -> Derivatives:
        """Distance of points (N, 3) mm with gradient and Hessian."""
        ...


@dataclass(frozen=True, eq=False)
class RoundedIndenter(Indenter):
    """The Minkowski sum of a core with a ball.

    Outside of the core, which is `rounding_mm` below the surface, the field is the exact distance
    to the surface: it has a unit gradient, which is continuous, and a Hessian that jumps where the
    nearest feature of the core changes. Inside of the core it goes on with the distance to the
    core's nearest face; values stay continuous there, the gradient turns where two faces are
    equally near. Kinks outside are those of the core: see `Outline`, `Strokes` and `Revolution`.

    Attributes:
        text: canonical spec.
        core: solid with sharp edges, or a set without a volume.
        rounding_mm: radius of the ball.
        box: (2, 3) mm, of the whole body.
    """

    text: str
    core: Core
    rounding_mm: float
    box: NDArray[np.float64]

    @property
    def spec(self) -> str:
        """The text that builds it again, with every size in it."""
        return self.text

    @property
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3) mm, lowest and highest corner of the axis-aligned box around the body."""
        return self.box.copy()

    def distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N,) mm, signed distance of points (N, 3) mm, above 0 outside."""
        array = as_points(points)
        parts = [
            self.core.distance(array[start : start + AT_ONCE])
            for start in range(0, max(len(array), 1), AT_ONCE)
        ]
        return np.concatenate(parts) - self.rounding_mm

    def derivatives(self, points: ArrayLike) -> Derivatives:
        """Signed distance of points (N, 3) mm with gradient and Hessian."""
        core = self.core.derivatives(as_points(points))
        return Derivatives(core.distance - self.rounding_mm, core.gradient, core.hessian)
