"""Result of simulating the gel under one pose, by either model of the gel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.sensor.gel_surface import GelSurface


@dataclass(frozen=True)
class GelResult:
    """Gel under an indenter pose, with N = rows * columns surface vertices in row-major order.

    Attributes:
        pose: indenter pose in frame `gel`.
        rest: (N, 3) rest positions of the vertices, mm.
        displacement: (N, 3) displacement of the vertices from rest, mm.
        vertex_force_n: (N, 3) forces of the indenter on the gel, N.
        vertex_area_mm2: (N,) rest area of the surface around each vertex, mm^2.
        rows: number of vertices along y.
        columns: number of vertices along x.
        error_mm: position error of the contact, mm: the largest penetration of the indenter, and
            what the model adds to that.
        converged: True if the model reached its tolerance.
    """

    pose: IndenterPose
    rest: NDArray[np.float64]
    displacement: NDArray[np.float64]
    vertex_force_n: NDArray[np.float64]
    vertex_area_mm2: NDArray[np.float64]
    rows: int
    columns: int
    error_mm: float
    converged: bool

    @cached_property
    def surface(self) -> GelSurface:
        """Deformed surface of the gel.

        Raises:
            InputError: the surface folds onto itself.
        """
        rest = self.rest.astype(np.float32)
        position = (self.rest + self.displacement).astype(np.float32)
        return GelSurface(rest, position, self.rows, self.columns)

    @property
    def contact(self) -> NDArray[np.bool_]:
        """(rows, columns) bool, vertices that carry contact forces."""
        return np.asarray(self.vertex_force_n.any(axis=1)).reshape(self.rows, self.columns)

    @property
    def pressure_mpa(self) -> NDArray[np.float64]:
        """(rows, columns) force along -z per rest area, MPa; positive in compression."""
        pressure = -self.vertex_force_n[:, 2] / self.vertex_area_mm2
        return np.asarray(pressure.reshape(self.rows, self.columns))

    @property
    def traction_mpa(self) -> NDArray[np.float64]:
        """(rows, columns, 2) force on the gel along x and y per rest area, MPa."""
        traction = self.vertex_force_n[:, :2] / self.vertex_area_mm2[:, None]
        return np.asarray(traction.reshape(self.rows, self.columns, 2))

    @cached_property
    def force_n(self) -> NDArray[np.float64]:
        """(3,) force of the indenter on the gel in frame `gel`, N.

        Limits: too large under sharp rims on coarse meshes, by up to a fifth at 33 x 41 vertices
        (`docs/mechanics.md`, contact).
        """
        return np.asarray(self.vertex_force_n.sum(axis=0))

    @cached_property
    def torque_n_mm(self) -> NDArray[np.float64]:
        """(3,) torque of the indenter on the gel about its tip in frame `gel`, N mm."""
        lever = self.rest + self.displacement - self.pose.tip_mm
        return np.asarray(np.cross(lever, self.vertex_force_n).sum(axis=0))

    @property
    def torque_at_origin_n_mm(self) -> NDArray[np.float64]:
        """(3,) torque of the indenter on the gel about the origin of frame `gel`, N mm."""
        return np.asarray(self.torque_n_mm + np.cross(self.pose.tip_mm, self.force_n))
