"""Heights from linearised slope constraints: a sparse least-squares problem on a periodic grid.

Every vertex of the grid has a 2 x 2 matrix M and a vector b: if the slope there changes by s, the
photometric error changes by s M s + 2 b s. Slopes are the renderer's: fourth-order central
differences. With other differences the steps add slopes that no image shows, and never converge.
A prior, given as weights by wave number, is added. The problem is solved by conjugate gradients.
The preconditioner is the same problem with one M at all vertices, which Fourier transforms solve
directly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates

from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import HeightPrior

Floats = NDArray[np.floating]

TABLE_STEP = 0.7  # of the table of standard deviations, in natural logarithms of its arguments
MIN_TOLERANCE_SINGLE = 1e-4  # tolerance from which on single precision is enough
USUAL_UNSEEN_SLOPE = 0.1  # of patterns that are too fine for the central differences


@dataclass(frozen=True)
class SlopeEquations:
    """Quadratic model of one image's photometric error in the slopes at all vertices.

    Attributes:
        matrix: (3, rows, columns) M_xx, M_xy, M_yy of each vertex.
        gradient: (2, rows, columns) b_x, b_y of each vertex.
    """

    matrix: Floats
    gradient: Floats


class SlopeSolver:
    """Solves `SlopeEquations` with a prior on one grid."""

    def __init__(self, grid: HeightGrid, prior: HeightPrior) -> None:
        """Precompute the operators in the Fourier domain.

        Args:
            grid: grid of the heights.
            prior: prior of the heights on that grid.
        """
        kx, ky = grid.wave_numbers
        h = grid.spacing_mm
        self._by_height = [
            1j * (8.0 * np.sin(k * h) - np.sin(2.0 * k * h)) / (6.0 * h) for k in (kx, ky)
        ]
        self._squared_slope = sum(np.abs(part) ** 2 for part in self._by_height)
        self._curvature = prior.strength
        unseen = np.maximum(kx**2 + ky**2 - self._squared_slope, 0.0)
        self._unseen = (h / USUAL_UNSEEN_SLOPE) ** 2 * unseen
        self._traction = prior.traction
        self._shape = grid.shape
        self._log_stddevs: dict[tuple[int, int], float] = {}

    def step(
        self,
        equations: SlopeEquations,
        height: Floats,
        traction_weight: Floats,
        iterations: int,
        tolerance: float,
        mean_traction: Floats | None = None,
        smoothing: float = 1.0,
    ) -> Floats:
        """Return the change of the heights that solves the equations with the prior.

        Args:
            equations: slope equations at the current heights.
            height: (rows, columns) current heights, mm.
            traction_weight: (rows, columns) prior weight of the squared traction at each vertex.
            iterations: maximum number of conjugate gradient iterations.
            tolerance: residual norm at which to stop, relative to the initial one.
            mean_traction: (rows, columns) prior mean of the traction, scaled as by `traction`; 0 by
                default.
            smoothing: factor of the weight of the curvature.

        Returns:
            (rows, columns) change of the heights, mm.
        """
        mean = 0.5 * float(equations.matrix[0].mean() + equations.matrix[2].mean())
        smoothness = smoothing * self._curvature + self._unseen
        prior = float(traction_weight.mean()) * self._traction**2 + smoothness
        inverse = 1.0 / (max(mean, 1e-12) * self._squared_slope + prior)
        traction = self.traction(height) - (0.0 if mean_traction is None else mean_traction)
        residual = (
            -self._transposed_slopes(equations.gradient)
            - self._filtered(traction_weight * traction, self._traction)
            - self._filtered(height, smoothness)
        )
        precision = np.float64 if tolerance < MIN_TOLERANCE_SINGLE else np.float32
        operator = _Operator(
            matrix=np.asarray(equations.matrix, precision),
            traction_weight=np.asarray(traction_weight, precision),
            fields=self._fields(np.result_type(precision, np.complex64)),
            smoothness=np.asarray(smoothness, precision),
            shape=self._shape,
        )
        change = operator.solve(
            residual.astype(precision), inverse.astype(precision), iterations, tolerance
        )
        return change.astype(np.float64)

    def slopes(self, height: Floats) -> Floats:
        """Return the slopes of heights (rows, columns) mm.

        Returns:
            (2, rows, columns) slopes dz/dx and dz/dy at the vertices.
        """
        return np.stack([self._filtered(height, part) for part in self._by_height])

    def _fields(self, kind: Any) -> NDArray[np.complexfloating]:
        """(3, rows, columns // 2 + 1) slopes and traction per height, by wave number."""
        parts = np.broadcast_arrays(*self._by_height, self._traction)
        return np.stack(parts).astype(kind)

    def traction(self, height: Floats) -> Floats:
        """Return the tractions that press a linear elastic layer into heights (rows, columns) mm.

        Returns:
            (rows, columns) normal tractions over Young's modulus, times the grid spacing in mm.
        """
        return self._filtered(height, self._traction)

    def stddev(self, information: Floats, traction_weight: Floats) -> Floats:
        """Return the standard deviations of the heights, by a local approximation.

        The value of a vertex is the diagonal of the inverse of the equations' matrix with that
        vertex's M and traction weight at all vertices; it is interpolated in a table over both.

        Args:
            information: (rows, columns) half the trace of M.
            traction_weight: (rows, columns) prior weight of the squared traction, as in `step`.

        Returns:
            (rows, columns) standard deviations, mm.
        """
        ranges = [_table_range(values) for values in (information, traction_weight)]
        table = [[self._log_stddev(m, c) for c in range(*ranges[1])] for m in range(*ranges[0])]
        position = [
            np.log(np.clip(values, *np.exp(np.array([first, last - 1]) * TABLE_STEP))) / TABLE_STEP
            - first
            for values, (first, last) in zip((information, traction_weight), ranges, strict=True)
        ]
        return np.asarray(np.exp(map_coordinates(table, position, order=1, mode="nearest")))

    def _log_stddev(self, information: int, weight: int) -> float:
        """Logarithm of the standard deviation (mm) at one entry of the table.

        Args:
            information: logarithm of half the trace of M, in units of `TABLE_STEP`.
            weight: logarithm of the traction weight, in units of `TABLE_STEP`.
        """
        if (information, weight) not in self._log_stddevs:
            strength = np.exp(information * TABLE_STEP) * self._squared_slope
            strength = strength + self._curvature + self._unseen
            strength = strength + np.exp(weight * TABLE_STEP) * self._traction**2
            self._log_stddevs[information, weight] = 0.5 * float(np.log(np.mean(1.0 / strength)))
        return self._log_stddevs[information, weight]

    def _transposed_slopes(self, slopes: Floats) -> Floats:
        """Transpose of the linear operator `slopes`."""
        x, y = (-self._filtered(s, k) for s, k in zip(slopes, self._by_height, strict=True))
        return np.asarray(x + y)

    def _filtered(self, height: Floats, strength: NDArray[np.inexact]) -> Floats:
        """Heights filtered by a strength (rows, columns // 2 + 1) per wave number."""
        spectrum = fft.rfft2(height)
        spectrum *= strength
        return np.asarray(fft.irfft2(spectrum, self._shape, overwrite_x=True))


class _Operator:
    """Matrix of the equations with the prior, and conjugate gradients with it.

    Search directions are kept as slopes, tractions and spectrum, and the residual as a spectrum: so
    an iteration needs one Fourier transform each way, of three fields at once.
    """

    def __init__(
        self,
        matrix: Floats,
        traction_weight: Floats,
        fields: NDArray[np.complexfloating],
        smoothness: Floats,
        shape: tuple[int, int],
    ) -> None:
        """Store the terms of the operator.

        Args:
            matrix: (3, rows, columns) M_xx, M_xy, M_yy.
            traction_weight: (rows, columns) prior weight of the squared traction.
            fields: (3, rows, columns // 2 + 1) slopes and traction per height, by wave number.
            smoothness: (rows, columns // 2 + 1) weight of the squared height, by wave number.
            shape: rows and columns.
        """
        self._matrix, self._traction_weight = matrix, traction_weight
        self._fields, self._transposed = fields, fields.conj()
        self._smoothness, self._shape = smoothness, shape
        columns = shape[1]
        # Weights of a half spectrum's columns in a sum over vertices (Parseval's theorem).
        weight = np.full(columns // 2 + 1, 2.0 / (shape[0] * columns), smoothness.dtype)
        weight[0] *= 0.5
        if columns % 2 == 0:
            weight[-1] *= 0.5
        self._column_weight = weight
        self._weighted = np.empty((3, *shape), smoothness.dtype)

    def solve(
        self, right_side: Floats, inverse: Floats, iterations: int, tolerance: float
    ) -> Floats:
        """Solution of the linear system by preconditioned conjugate gradients.

        Args:
            right_side: (rows, columns) right side of the system.
            inverse: (rows, columns // 2 + 1) preconditioner, by wave number.
            iterations: maximum number of iterations.
            tolerance: preconditioned residual norm at which to stop, relative to the initial one.

        Returns:
            (rows, columns) solution.
        """
        residual = fft.rfft2(right_side)
        change = np.zeros_like(residual)
        preconditioned = inverse * residual
        spectrum, fields = preconditioned, self._of(preconditioned)
        squared_norm = self._inner_product(residual, preconditioned)
        target = tolerance**2 * squared_norm
        for _ in range(iterations):
            if squared_norm <= target:
                break
            image, curvature = self._apply(fields, spectrum)
            step_length = squared_norm / curvature
            change += step_length * spectrum
            residual -= step_length * image
            preconditioned = inverse * residual
            before, squared_norm = squared_norm, self._inner_product(residual, preconditioned)
            fields = self._of(preconditioned) + (squared_norm / before) * fields
            spectrum = preconditioned + (squared_norm / before) * spectrum
        return np.asarray(fft.irfft2(change, self._shape, overwrite_x=True))

    def _of(self, spectrum: Floats) -> Floats:
        """(3, rows, columns) slopes and tractions of the heights of a spectrum."""
        return np.asarray(fft.irfft2(self._fields * spectrum, self._shape, overwrite_x=True))

    def _apply(self, fields: Floats, spectrum: Floats) -> tuple[Floats, Any]:
        """Spectrum of the operator applied to heights, and its scalar product with the heights."""
        x, y, traction = fields
        xx, xy, yy = self._matrix
        self._weighted[0] = xx * x + xy * y
        self._weighted[1] = xy * x + yy * y
        self._weighted[2] = self._traction_weight * traction
        product = np.vdot(fields, self._weighted)
        smooth = self._smoothness * spectrum
        image = np.sum(self._transposed * fft.rfft2(self._weighted), axis=0) + smooth
        return image, product + self._inner_product(spectrum, smooth)

    def _inner_product(self, a: Floats, b: Floats) -> Any:
        """Inner product of two real fields, from their half spectra (Parseval's theorem)."""
        product = a.real * b.real
        product += a.imag * b.imag
        return np.sum(product, axis=0) @ self._column_weight


def _table_range(values: Floats) -> tuple[int, int]:
    """First entry of a table over logarithms of positive values, and one past the last entry."""
    high = max(float(values.max()), 1e-9)
    low = max(float(values.min()), 1e-6 * high)
    return math.floor(math.log(low) / TABLE_STEP), math.ceil(math.log(high) / TABLE_STEP) + 1
