"""Result of the live gel for one indenter pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.gel_result import GelResult
from tacdiff_ros.mechanics.live.unfolding import unfolded
from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class LiveResult(GelResult):
    """Gel under one indenter pose.

    `error_mm` is the largest penetration, gap at a loaded point, or last contact update, and
    `converged` is that of the contact step, see `ContactStep`.

    Attributes:
        normal_force_n: (N,) part of `vertex_force_n` along the indenter's normal, N, 0 or more.
        slips: (N,) bool, vertices with a point whose friction is at its bound.
        restarted: True if the pose was treated as a new contact and the history was dropped.
        sweeps: number of sweeps over the faces in contact.
    """

    normal_force_n: NDArray[np.float64]
    slips: NDArray[np.bool_]
    restarted: bool
    sweeps: int

    @cached_property
    def surface(self) -> GelSurface:
        """Deformed surface of the gel; inverted triangles are smoothed out.

        Raises:
            InputError: the surface is folded more than the smoothing can repair.
        """
        rest = self.rest.astype(np.float32)
        displacement = unfolded(self.rest, self.displacement, self.rows, self.columns)
        return GelSurface(rest, (rest + displacement).astype(np.float32), self.rows, self.columns)
