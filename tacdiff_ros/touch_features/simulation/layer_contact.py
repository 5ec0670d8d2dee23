"""Frictional contact of a height map with the gel's bonded elastic layer.

The gel is the infinite layer of `mechanics.layer_compliance`, the object a second bonded layer
above a rigid holder, or rigid. Each step solves two variational inequalities on one grid:

    pressure   p >= 0,        C_zz p - d >= 0,     p (C_zz p - d) = 0
    friction   |q| <= mu p,   s = u_old + dw - u,  |s| q = |q| s, s = 0 where |q| < mu p

with the penetration d of the undeformed bodies, the gel's in-plane displacement u, the object's
in-plane motion dw and the slip s of a step (Coulomb's law, integrated by backward Euler). Both are
solved by `projected_gradient`, with FFTs for the products.

Limits: small strains; contact on the height map along z; the influence of friction on the pressure
is that of the step before; friction deforms the gel only; the pad's free sides are not modelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.layer_compliance import BondedLayer, compliance
from tacdiff_ros.touch_features.simulation.projected_gradient import projected_gradient

Floats = NDArray[np.float32]

GUARD_LENGTHS = 2.5
"""Distance of the periodic images in decay lengths: their effect has decayed to 8 % of what the
layer shows there, which is a few per cent of the indentation."""

PRESSURE_TOLERANCE_MM = 5e-4  # root mean square violation of the gap
SLIP_TOLERANCE = 0.01  # of the object's motion during the step
MIN_SLIP_TOLERANCE_MM, MAX_SLIP_TOLERANCE_MM = 1e-4, 1e-3
SLIDING = 0.999  # fraction of the Coulomb limit from which a point slides
MIN_SLIP_MM = 1e-4  # slip during a step from which a point slides
MAX_STICK_FRACTION = 0.02  # of the contact area during gross slip


@dataclass(frozen=True)
class PadGrid:
    """Regular grid of vertices, centred at the origin of the frame `gel`.

    Attributes:
        rows: number of grid lines along y.
        columns: number of grid lines along x.
        spacing_mm: distance between grid lines, mm.
    """

    rows: int
    columns: int
    spacing_mm: float

    @classmethod
    def over(cls, width_mm: float, height_mm: float, spacing_mm: float) -> PadGrid:
        """Return the grid that covers a pad with at most the given spacing along x.

        Args:
            width_mm: extent along x, mm.
            height_mm: extent along y, mm.
            spacing_mm: largest spacing, mm.
        """
        columns = math.ceil(width_mm / spacing_mm) + 1
        spacing = width_mm / (columns - 1)
        return cls(math.floor(height_mm / spacing) + 1, columns, spacing)

    def positions(self) -> tuple[Floats, Floats]:
        """Return x and y of all vertices, (rows, columns) each, mm."""
        x = (np.arange(self.columns) - (self.columns - 1) / 2) * self.spacing_mm
        y = (np.arange(self.rows) - (self.rows - 1) / 2) * self.spacing_mm
        grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        return grid_x, grid_y


@dataclass(frozen=True)
class PlanarMotion:
    """In-plane motion of the object during a step.

    Attributes:
        translation_mm: motion of the point `centre_mm`, x and y, mm.
        rotation_rad: rotation about z, rad.
        centre_mm: centre of the rotation, x and y, mm.
        duration_s: duration of the step, s.
    """

    translation_mm: tuple[float, float] = (0.0, 0.0)
    rotation_rad: float = 0.0
    centre_mm: tuple[float, float] = (0.0, 0.0)
    duration_s: float = 0.04


@dataclass(frozen=True)
class ContactFrame:
    """State of the gel after a step.

    Attributes:
        displacement_mm: (R, C, 3) float32 displacement of the surface, mm.
        pressure_mpa: (R, C) float32 pressure, MPa.
        traction_mpa: (R, C, 2) float32 friction on the gel, MPa.
        force_n: force on the gel, x, y and z, N; z < 0 presses.
        torque_nmm: torque of the friction about z and the origin, N mm.
        contact_area_mm2: area with pressure, mm^2.
        stick_area_mm2: part of it that does not slide, mm^2.
        slip_fraction: fraction of the contact area that slides; NaN without contact.
        slip_speed_mm_s: pressure-weighted mean of the slip speed, mm/s.
        gross_slip: whether the whole contact slides.
        converged: whether both solutions are within their tolerances.
    """

    displacement_mm: Floats
    pressure_mpa: Floats
    traction_mpa: Floats
    force_n: tuple[float, float, float]
    torque_nmm: float
    contact_area_mm2: float
    stick_area_mm2: float
    slip_fraction: float
    slip_speed_mm_s: float
    gross_slip: bool
    converged: bool


class LayerContact:
    """Contact of one object with the gel, step by step from the undeformed state."""

    def __init__(
        self, grid: PadGrid, gel: BondedLayer, friction: float, body: BondedLayer | None = None
    ) -> None:
        """Prepare the compliances.

        Args:
            grid: vertices of the gel's surface.
            gel: gel layer.
            friction: Coulomb friction coefficient.
            body: elastic layer of the object; None for a rigid one.

        Raises:
            InputError: the friction coefficient is not 0 to 5.
        """
        if not 0.0 <= friction <= 5.0:
            raise InputError(f"contact: friction coefficient {friction}, expected 0 to 5")
        self.grid, self.friction = grid, friction
        guard = math.ceil(GUARD_LENGTHS * gel.decay_length_mm / grid.spacing_mm)
        self._shape = (
            fft.next_fast_len(grid.rows + guard, real=True),
            fft.next_fast_len(grid.columns + guard, real=True),
        )
        ky = 2 * np.pi * fft.fftfreq(self._shape[0], grid.spacing_mm)[:, None]
        kx = 2 * np.pi * fft.rfftfreq(self._shape[1], grid.spacing_mm)[None, :]
        gel_matrix = np.moveaxis(compliance(gel, kx, ky), (2, 3), (0, 1))
        self._gel = gel_matrix.astype(np.complex64)
        body_normal = 0.0 if body is None else compliance(body, kx, ky)[..., 2, 2].real
        self._normal = (gel_matrix[2, 2].real + body_normal).astype(np.float32)
        self._x, self._y = grid.positions()
        self.reset()

    def reset(self) -> None:
        """Return to the undeformed gel without an object."""
        shape = (self.grid.rows, self.grid.columns)
        self._pressure = np.zeros(shape, np.float32)
        self._traction = np.zeros((2, *shape), np.float32)
        self._in_plane = np.zeros((2, *shape), np.float32)

    def step(self, penetration_mm: Floats, motion: PlanarMotion) -> ContactFrame:
        """Move the object and return the new equilibrium.

        Args:
            penetration_mm: (R, C) penetration of the undeformed bodies at the end of the step, mm;
                negative where they are apart.
            motion: in-plane motion of the object during the step.

        Returns:
            State of the gel.
        """
        lifted = -self._product(self._gel[2, :2], self._traction)[0]
        pressure, pressed = self._solve_pressure(penetration_mm - lifted)
        spectrum = self._spectrum(pressure)
        by_pressure = -self._field(self._gel[:2, 2] * spectrum)
        motion_field = self._motion_field(motion)
        moved = self._in_plane + motion_field
        tolerance = SLIP_TOLERANCE * float(np.sqrt((motion_field**2).mean()))
        traction, stuck = self._solve_friction(
            moved - by_pressure,
            self.friction * pressure,
            min(max(tolerance, MIN_SLIP_TOLERANCE_MM), MAX_SLIP_TOLERANCE_MM),
        )
        in_plane = by_pressure + self._product(self._gel[:2, :2], traction)
        normal = -self._field(self._gel[2, 2] * spectrum) - lifted
        slip = np.where(pressure > 0, moved - in_plane, np.float32(0.0))
        self._pressure, self._traction, self._in_plane = pressure, traction, in_plane
        displacement = np.stack([*in_plane, normal], axis=-1)
        return self._frame(displacement, slip, motion.duration_s, pressed and stuck)

    def press(self, penetration_mm: Floats) -> tuple[float, float]:
        """Return the force and the depth of a frictionless press, without a change of the state.

        Args:
            penetration_mm: (R, C) penetration of the undeformed bodies, mm.

        Returns:
            Normal force, N, and deepest indentation of the gel, mm.
        """
        pressure, _ = self._solve_pressure(penetration_mm)
        depth = self._field(self._gel[2, 2] * self._spectrum(pressure))
        return float(pressure.sum()) * self.grid.spacing_mm**2, float(depth.max())

    def _spectrum(self, field: Floats) -> NDArray[np.complex64]:
        return np.asarray(fft.rfft2(field, self._shape, axes=(-2, -1)))

    def _field(self, spectrum: NDArray[np.complex64]) -> Floats:
        field = fft.irfft2(spectrum, self._shape, axes=(-2, -1))
        return np.asarray(field[..., : self.grid.rows, : self.grid.columns], np.float32)

    def _product(self, matrix: NDArray[np.complex64], field: Floats) -> Floats:
        """Return the displacement by tractions (j, R, C), for a matrix ([i,] j, ky, kx)."""
        spectrum = self._spectrum(field)
        matrix = matrix if matrix.ndim == 4 else matrix[None]
        return self._field((matrix * spectrum[None]).sum(axis=1))

    def _solve_pressure(self, penetration: Floats) -> tuple[Floats, bool]:
        if penetration.max() <= 0:
            return np.zeros_like(self._pressure), True

        def displaced(pressure: Floats) -> Floats:
            return self._field(self._normal * self._spectrum(pressure))

        return projected_gradient(
            displaced,
            penetration,
            lambda p: np.maximum(p, np.float32(0.0)),
            self._pressure,
            1.0 / float(self._normal.max()),
            PRESSURE_TOLERANCE_MM,
        )

    def _solve_friction(
        self, target: Floats, limit: Floats, tolerance_mm: float
    ) -> tuple[Floats, bool]:
        if limit.max() <= 0:
            return np.zeros_like(self._traction), True

        def project(traction: Floats) -> Floats:
            size = np.sqrt(traction[0] ** 2 + traction[1] ** 2)
            factor = np.minimum(limit / np.maximum(size, np.float32(1e-12)), np.float32(1.0))
            return np.asarray(traction * factor, np.float32)

        return projected_gradient(
            lambda traction: self._product(self._gel[:2, :2], traction),
            target,
            project,
            self._traction,
            1.0 / float(self._gel[0, 0].real.max()),
            tolerance_mm,
        )

    def _motion_field(self, motion: PlanarMotion) -> Floats:
        """Return the in-plane motion (2, R, C) of the object's points, mm."""
        cos, sin = math.cos(motion.rotation_rad) - 1.0, math.sin(motion.rotation_rad)
        x, y = self._x - motion.centre_mm[0], self._y - motion.centre_mm[1]
        dx = motion.translation_mm[0] + cos * x - sin * y
        dy = motion.translation_mm[1] + sin * x + cos * y
        return np.stack([dx, dy]).astype(np.float32)

    def _frame(
        self, displacement: Floats, slip: Floats, duration_s: float, converged: bool
    ) -> ContactFrame:
        area = self.grid.spacing_mm**2
        pressure, (qx, qy) = self._pressure, self._traction
        contact = pressure > 0
        slides = contact & (np.hypot(qx, qy) >= SLIDING * self.friction * pressure)
        size = np.hypot(slip[0], slip[1])
        slides &= size > MIN_SLIP_MM
        contact_area, load = float(contact.sum()) * area, float(pressure.sum())
        stick_area = contact_area - float(slides.sum()) * area
        mean_slip = float((size * pressure).sum()) / load if load > 0 else 0.0
        is_gross = mean_slip > MAX_SLIP_TOLERANCE_MM and (
            stick_area <= MAX_STICK_FRACTION * contact_area
        )
        return ContactFrame(
            displacement_mm=displacement,
            pressure_mpa=pressure,
            traction_mpa=np.moveaxis(self._traction, 0, 2),
            force_n=(float(qx.sum()) * area, float(qy.sum()) * area, -load * area),
            torque_nmm=float((self._x * qy - self._y * qx).sum()) * area,
            contact_area_mm2=contact_area,
            stick_area_mm2=stick_area,
            slip_fraction=1.0 - stick_area / contact_area if contact_area > 0 else math.nan,
            slip_speed_mm_s=mean_slip / duration_s,
            gross_slip=is_gross,
            converged=converged,
        )
