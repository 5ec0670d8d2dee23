"""Result of the live gel for one indenter pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.live.unfolding import unfolded
from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class LiveResult:
    """Gel under one indenter pose, with N = rows * columns vertices.

    Attributes:
        pose: requested indenter pose in frame `gel`.
        rest: (N, 3) rest positions of the vertices, mm.
        displacement: (N, 3) displacement of the vertices from rest, mm.
        force: (N, 3) vertex forces of the indenter on the gel, N.
        pressure_n: (N,) part of `force` along the indenter's normal, N, 0 or more.
        slips: (N,) bool, vertices with a point whose friction is at its bound.
        net_force_n: (3,) total force on the gel, N.
        net_torque_nmm: (3,) total torque on the gel about the indenter's tip, N mm.
        error_mm: largest penetration, gap at a loaded point, or last contact update, mm.
        converged: True if the contact step converged, see `ContactStep`.
        restarted: True if the pose was treated as a new contact and the history was dropped.
        sweeps: number of sweeps over the faces in contact.
        rows: number of grid lines along y.
        columns: number of grid lines along x.
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
        """Return the deformed surface for rendering; inverted triangles are smoothed out.

        Raises:
            InputError: the surface is folded more than the smoothing can repair.
        """
        rest = self.rest.astype(np.float32)
        displacement = unfolded(self.rest, self.displacement, self.rows, self.columns)
        return GelSurface(rest, (rest + displacement).astype(np.float32), self.rows, self.columns)
