"""Surface compliance of an elastic layer on a rigid base, in Fourier space.

A linear elastic, isotropic layer -h <= z <= 0, infinite along x and y, is bonded at z = -h and
loaded by tractions q e^(i k x) at z = 0. Its surface displacement is C(k) q e^(i k x). With x along
k, y across k and z normal to the layer, the in-plane (x, z) and antiplane (y) problems decouple.
Insert u = (i U(z), V(z), W(z)) e^(i k x) into Navier's equations: V is a sinh, and U, W are spanned
by e^(+-kz) and z e^(+-kz), whose four weights follow from U(-h) = W(-h) = 0 and the tractions at 0.
With s = 2 k h, c = 3 - 4 nu and D = c cosh s + s^2/2 + 5 - 12 nu + 8 nu^2 this gives

    C_xx = (1 - nu)/(G k) (c sinh s + s) / D            C_zz = (1 - nu)/(G k) (c sinh s - s) / D
    C_zx = -C_xz = i/(2 G k) (c (1 - 2 nu) (cosh s - 1) - s^2/2) / D
    C_yy = tanh(k h) / (G k)

C_zz is the classical result (e.g. Johnson, Contact Mechanics, 1985, section 5.7, and Hannah, Q. J.
Mech. Appl. Math. 4, 1951). For k h -> inf the compliances become those of a half-space (Boussinesq,
Cerruti); for k -> 0, C_xx = C_yy = h/G and C_zz = h/M, with M = 2 G (1 - nu)/(1 - 2 nu).
`test_layer_compliance` compares them with numerical solutions of the differential equations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from tacdiff_ros.errors import InputError

MAX_POISSON_RATIO = 0.499
MAX_GRID_LINES = 2049
MAX_GRID_POINTS = 2_000_000
MAX_DECAY = 14.0
"""Distance of the periodic images in decay lengths: their effect has decayed by e^-14 = 8e-7."""

MAX_ALIAS = 3
"""Number of spectral aliases summed on each side; the spectrum decreases as k^-5, and further
aliases would change the kernel by less than 1e-4 of its peak."""


@dataclass(frozen=True)
class BondedLayer:
    """Elastic layer bonded to a rigid base.

    Attributes:
        thickness_mm: thickness h, mm.
        young_modulus_mpa: Young's modulus E, MPa.
        poisson_ratio: Poisson's ratio nu, 0 to 0.499.

    Raises:
        InputError: a value is not finite or out of range.
    """

    thickness_mm: float
    young_modulus_mpa: float
    poisson_ratio: float

    def __post_init__(self) -> None:
        for name in ("thickness_mm", "young_modulus_mpa"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"bonded layer: {name} is {value}, expected a number above 0")
        if not 0.0 <= self.poisson_ratio <= MAX_POISSON_RATIO:
            raise InputError(
                f"bonded layer: poisson_ratio is {self.poisson_ratio}, expected 0 to "
                f"{MAX_POISSON_RATIO}"
            )

    @property
    def shear_modulus_mpa(self) -> float:
        """Shear modulus G = E / (2 (1 + nu)), MPa."""
        return self.young_modulus_mpa / (2.0 * (1.0 + self.poisson_ratio))

    @property
    def oedometric_modulus_mpa(self) -> float:
        """Oedometric (uniaxial strain) modulus M = 2 G (1 - nu) / (1 - 2 nu), MPa."""
        nu = self.poisson_ratio
        return 2.0 * self.shear_modulus_mpa * (1.0 - nu) / (1.0 - 2.0 * nu)

    @property
    def decay_length_mm(self) -> float:
        """Length over which the displacement far away from a load decays by a factor e, mm.

        The nearest pole of C is at k = i q/h with c cos 2q - 2 q^2 + 5 - 12 nu + 8 nu^2 = 0.
        """
        nu = self.poisson_ratio
        rest = 5.0 - 12.0 * nu + 8.0 * nu**2
        low, high = 0.0, 0.5 * math.pi
        for _ in range(60):
            q = 0.5 * (low + high)
            above = (3.0 - 4.0 * nu) * math.cos(2.0 * q) - 2.0 * q * q + rest > 0
            low, high = (q, high) if above else (low, q)
        return self.thickness_mm / low


def compliance(layer: BondedLayer, kx: ArrayLike, ky: ArrayLike) -> NDArray[np.complex128]:
    """Return the surface displacement per traction, for waves e^(i (kx x + ky y)).

    Args:
        layer: elastic layer.
        kx: wave numbers along x, any shape, rad/mm.
        ky: wave numbers along y in a shape that broadcasts with `kx`, rad/mm.

    Returns:
        (..., 3, 3) Hermitian compliance, mm/MPa: [i, j] is the displacement along i for a traction
        along j.

    Raises:
        InputError: a wave number is not finite.
    """
    kx, ky = np.broadcast_arrays(np.asarray(kx, np.float64), np.asarray(ky, np.float64))
    k = np.hypot(kx, ky)
    if not np.isfinite(k).all():
        raise InputError("layer compliance: a wave number is not finite")
    along, across, normal, mixed = _plane_compliances(layer, k)
    safe = np.where(k > 0, k, 1.0)
    ex, ey = np.where(k > 0, kx / safe, 1.0), np.where(k > 0, ky / safe, 0.0)
    matrix = np.zeros((*k.shape, 3, 3), np.complex128)
    matrix[..., 0, 0] = along * ex**2 + across * ey**2
    matrix[..., 1, 1] = along * ey**2 + across * ex**2
    matrix[..., 0, 1] = matrix[..., 1, 0] = (along - across) * ex * ey
    matrix[..., 2, 2] = normal
    matrix[..., 2, 0], matrix[..., 2, 1] = 1j * mixed * ex, 1j * mixed * ey
    matrix[..., 0, 2], matrix[..., 1, 2] = -1j * mixed * ex, -1j * mixed * ey
    return matrix


def _plane_compliances(
    layer: BondedLayer, k: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return C_xx, C_yy, C_zz and Im C_zx for x along the wave vector.

    All hyperbolic functions are scaled by e^-s, so that nothing overflows, and differences that
    vanish with s (sinh s - s, cosh s - 1) are computed without cancellation.
    """
    nu, h, g = layer.poisson_ratio, layer.thickness_mm, layer.shear_modulus_mpa
    c = 3.0 - 4.0 * nu
    s = 2.0 * k * h
    small = s < 0.3
    safe = np.where(small, 1.0, s)
    tiny = np.where(small, s, 0.0)
    decay, decay2 = np.exp(-s), np.exp(-2.0 * s)
    sinh_minus_s = np.where(  # (sinh s - s) / s; for small s as a series, scaled by e^-s below
        small,
        tiny**2 / 6.0 * (1.0 + tiny**2 / 20.0 * (1.0 + tiny**2 / 42.0 * (1.0 + tiny**2 / 72.0))),
        (0.5 * (1.0 - decay2) / safe) - np.where(small, 0.0, decay),
    )
    sinh_minus_s = np.where(small, sinh_minus_s * decay, sinh_minus_s)
    cosh_minus_one = 0.5 * np.expm1(-s) ** 2
    denominator = c * 0.5 * (1.0 + decay2) + decay * (0.5 * s**2 + 5.0 - 12.0 * nu + 8.0 * nu**2)
    prefactor = 2.0 * h * (1.0 - nu) / g / denominator
    along = prefactor * ((c + 1.0) * decay + c * sinh_minus_s)
    normal = prefactor * ((c - 1.0) * decay + c * sinh_minus_s)
    bracket = c * (1.0 - 2.0 * nu) * cosh_minus_one - 0.5 * s**2 * decay
    mixed = h / g * bracket / (np.where(s > 0, s, 1.0) * denominator)
    half = np.where(s > 0, 0.5 * s, 1.0)
    across = h / g * np.where(s > 1e-6, np.tanh(half) / half, 1.0)
    return along, across, normal, mixed


@dataclass(frozen=True)
class SurfaceKernel:
    """Displacement of grid vertices under a unit force on one vertex.

    Attributes:
        values: (2 rows - 1, 2 columns - 1, 3, 3) displacement per force, mm/N: entry
            [rows - 1 + m, columns - 1 + n, i, j] is the displacement along i of the vertex m rows
            and n columns after the vertex with a force along j.
        rows: number of grid lines along y.
        columns: number of grid lines along x.
    """

    values: NDArray[np.float64]
    rows: int
    columns: int


def surface_kernel(
    layer: BondedLayer, rows: int, columns: int, spacing_mm: tuple[float, float]
) -> SurfaceKernel:
    """Return the vertex-to-vertex kernel of an infinite layer on a regular grid.

    A vertex force is distributed as a bilinear hat over the four adjacent cells. The spectrum of
    that load times C is summed over its aliases and transformed on a grid that exceeds the
    requested one by `MAX_DECAY` decay lengths, so that the periodic images have no influence.

    Args:
        layer: elastic layer.
        rows: number of grid lines along y.
        columns: number of grid lines along x.
        spacing_mm: grid spacing along x and along y, mm.

    Raises:
        InputError: rows or columns are not 1 to 2049, a spacing is not a number above 0, or is so
            fine for the thickness that the grid would have more than `MAX_GRID_POINTS`.
    """
    _check_grid(rows, columns, spacing_mm)
    dx, dy = spacing_mm
    guard = MAX_DECAY * layer.decay_length_mm
    nx = fft.next_fast_len(columns + math.ceil(max(guard / dx, columns)), real=True)
    ny = fft.next_fast_len(rows + math.ceil(max(guard / dy, rows)), real=True)
    if nx * ny > MAX_GRID_POINTS:
        raise InputError(
            f"surface kernel: a spacing of {dx:g} x {dy:g} mm for {layer.thickness_mm:g} mm of gel "
            f"requires {nx} x {ny} points, expected at most {MAX_GRID_POINTS}; use a coarser grid"
        )
    kx, ky = 2 * np.pi * fft.rfftfreq(nx, dx), 2 * np.pi * fft.fftfreq(ny, dy)
    spectrum = np.zeros((3, 3, ny, len(kx)), np.complex128)
    for m in range(-MAX_ALIAS, MAX_ALIAS + 1):
        for n in range(-MAX_ALIAS, MAX_ALIAS + 1):
            _add_alias(spectrum, layer, kx + 2 * np.pi * n / dx, ky + 2 * np.pi * m / dy, (dx, dy))
    periodic = np.asarray(fft.irfft2(spectrum, (ny, nx))) / (dx * dy)
    m, n = np.arange(1 - rows, rows) % ny, np.arange(1 - columns, columns) % nx
    values = np.moveaxis(periodic[:, :, m][:, :, :, n], (0, 1), (2, 3))
    return SurfaceKernel(np.ascontiguousarray(values), rows, columns)


def _add_alias(
    spectrum: NDArray[np.complex128],
    layer: BondedLayer,
    kx: NDArray[np.float64],
    ky: NDArray[np.float64],
    spacing_mm: tuple[float, float],
) -> None:
    """Add C times the spectrum of a bilinear hat, at wave numbers kx (columns) and ky (rows)."""
    dx, dy = spacing_mm
    k = np.hypot(kx[None, :], ky[:, None])
    hat = np.outer(np.sinc(ky * dy / 2 / np.pi), np.sinc(kx * dx / 2 / np.pi)) ** 2
    along, across, normal, mixed = (hat * part for part in _plane_compliances(layer, k))
    safe = np.where(k > 0, k, 1.0)
    ex, ey = kx[None, :] / safe, ky[:, None] / safe
    difference = along - across
    spectrum[0, 0] += across + difference * ex**2
    spectrum[1, 1] += across + difference * ey**2
    spectrum[0, 1] += difference * ex * ey
    spectrum[1, 0] += difference * ex * ey
    spectrum[2, 2] += normal
    for i, e in enumerate((ex, ey)):
        spectrum[2, i] += 1j * mixed * e
        spectrum[i, 2] -= 1j * mixed * e


def _check_grid(rows: int, columns: int, spacing_mm: tuple[float, float]) -> None:
    """Raise InputError for a grid that is empty, too large or has an invalid spacing."""
    for name, lines in (("rows", rows), ("columns", columns)):
        if not 1 <= lines <= MAX_GRID_LINES:
            raise InputError(
                f"surface kernel: {lines} {name}, expected 1 to {MAX_GRID_LINES} grid lines"
            )
    for spacing in spacing_mm:
        if not (math.isfinite(spacing) and spacing > 0):
            raise InputError(f"surface kernel: spacing is {spacing} mm, expected above 0 mm")


class SurfaceConvolution:
    """Convolution of force fields with a kernel by FFT, without wrap-around.

    Attributes:
        rows: number of grid lines along y.
        columns: number of grid lines along x.
    """

    def __init__(self, kernel: SurfaceKernel) -> None:
        """Transform a kernel; each convolution reuses its spectrum."""
        self.rows, self.columns = kernel.rows, kernel.columns
        self._shape = (
            fft.next_fast_len(2 * kernel.rows - 1, real=True),
            fft.next_fast_len(2 * kernel.columns - 1, real=True),
        )
        padded = np.zeros((3, 3, *self._shape))
        padded[:, :, : 2 * kernel.rows - 1, : 2 * kernel.columns - 1] = np.moveaxis(
            kernel.values, (0, 1), (2, 3)
        )
        padded = np.roll(padded, (1 - kernel.rows, 1 - kernel.columns), axis=(2, 3))
        self._spectrum = fft.rfft2(padded)

    def displacement(self, force: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the displacement under vertex forces.

        Args:
            force: (rows, columns, 3) vertex forces, N.

        Returns:
            (rows, columns, 3) displacement, mm.

        Raises:
            InputError: the forces have another shape.
        """
        if np.shape(force) != (self.rows, self.columns, 3):
            raise InputError(
                f"vertex forces have shape {np.shape(force)}, expected "
                f"({self.rows}, {self.columns}, 3)"
            )
        spectrum = fft.rfft2(np.moveaxis(force, 2, 0), self._shape)
        displacement = fft.irfft2(np.einsum("ijmn,jmn->imn", self._spectrum, spectrum), self._shape)
        return np.moveaxis(displacement[:, : self.rows, : self.columns], 0, 2)

    def component(self, force: NDArray[np.float64], i: int, j: int) -> NDArray[np.float64]:
        """Return one component of the displacement under forces along one axis.

        Args:
            force: (rows, columns) vertex forces along axis `j`, N.
            i: axis of the displacement, 0 to 2.
            j: axis of the force, 0 to 2.

        Returns:
            (rows, columns) displacement along axis `i`, mm.
        """
        spectrum = self._spectrum[i, j] * fft.rfft2(force, self._shape)
        return np.asarray(fft.irfft2(spectrum, self._shape)[: self.rows, : self.columns])
