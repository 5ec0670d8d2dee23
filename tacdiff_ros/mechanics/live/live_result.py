"""What the live gel answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.live.unfolding import unfolded
from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class LiveResult:
    """The gel under one pose, N = rows * columns vertices.

    Attributes:
        pose: that was asked for.
        rest: (N, 3) mm.
        displacement: (N, 3) mm, from rest.
        force: (N, 3) N, of the indenter on the gel.
        pressure_n: (N,) N, the part of `force` along the indenter's normal, 0 or more.
        slips: (N,) bool, vertices whose friction is at its bound.
        net_force_n: (3,) N, on the gel.
        net_torque_nmm: (3,) N mm, on the gel, about the indenter's tip.
        error_mm: largest penetration, gap under a point that carries load, or last correction.
        converged: the error is below `live_contact.TOLERANCE_MM`.
        restarted: the pose was too far from the last one to follow; history was dropped.
        sweeps: over the vertices in contact.
        rows: of the grid.
        columns: of the grid.
    """

    pose: IndenterPose
    rest: NDArray[np.float64]
    displacement: NDArray[np.float64]
    force: NDArray[np.float64]
    pressure_n: NDArray[np.float64]
    slips: NDArray[np.bool_]
    net_force_n: NDArray[np.float64]
    net_torque_nmm: NDArray[np.float64]
    error_mm: float
    converged: bool
    restarted: bool
    sweeps: int
    rows: int
    columns: int

    def surface(self) -> GelSurface:
        """As optics draws it; triangles that are turned over beside steep walls are smoothed out.

        Raises:
            InputError: the surface folds onto itself more than smoothing mends.
        """
        rest = self.rest.astype(np.float32)
        moved = unfolded(self.rest, self.displacement, self.rows, self.columns)
        return GelSurface(rest, (rest + moved).astype(np.float32), self.rows, self.columns)
