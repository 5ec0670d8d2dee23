"""Heights from linearised slope constraints: a sparse least-squares problem on a periodic grid.

Every cell of the grid has a 2 x 2 matrix M and a vector b: if the cell's slope changes by s, the
photometric error changes by s M s + 2 b s. A prior, given as weights by wave number, is added. The
problem is solved by conjugate gradients. The preconditioner is the same problem with one M in all
cells, which Fourier transforms solve directly.
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
USUAL_CHECKERBOARD_SLOPE = 0.1  # of the checkerboard pattern, which neither M nor images constrain


@dataclass(frozen=True)
class SlopeEquations:
    """Quadratic model of one image's photometric error in the slopes of all cells.

    Attributes:
        matrix: (3, rows, columns) M_xx, M_xy, M_yy of the cell after each vertex.
        gradient: (2, rows, columns) b_x, b_y of the cell after each vertex.
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
        half_x, half_y = 0.5 * kx * grid.spacing_mm, 0.5 * ky * grid.spacing_mm
        along_x = np.sin(half_x) * np.cos(half_y)
        along_y = np.cos(half_x) * np.sin(half_y)
        self._squared_slope = (along_x**2 + along_y**2) * (2.0 / grid.spacing_mm) ** 2
        checkerboard = (np.sin(half_x) * np.sin(half_y)) ** 2 * (2.0 / grid.spacing_mm) ** 2
        self._curvature = prior.strength
        self._checkerboard = (grid.spacing_mm / USUAL_CHECKERBOARD_SLOPE) ** 2 * checkerboard
        self._traction = prior.traction
        self._shape = grid.shape
        self._half_spacing = 0.5 / grid.spacing_mm
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
        smoothness = smoothing * self._curvature + self._checkerboard
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
            diagonal_matrix=_along_diagonals(equations.matrix, self._half_spacing).astype(
                precision
            ),
            traction_weight=np.asarray(traction_weight, precision),
            traction=np.asarray(self._traction, precision),
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
            (2, rows, columns) slopes dz/dx and dz/dy of the cell after each vertex.
        """
        right = np.roll(height, -1, axis=1)
        below, diagonal = np.roll(height, -1, axis=0), np.roll(right, -1, axis=0)
        falling, rising = diagonal - height, right - below
        return np.stack([falling + rising, falling - rising]) * self._half_spacing

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
            strength = strength + self._curvature + self._checkerboard
            strength = strength + np.exp(weight * TABLE_STEP) * self._traction**2
            self._log_stddevs[information, weight] = 0.5 * float(np.log(np.mean(1.0 / strength)))
        return self._log_stddevs[information, weight]

    def _transposed_slopes(self, slopes: Floats) -> Floats:
        """Transpose of the linear operator `slopes`."""
        total, difference = slopes[0] + slopes[1], slopes[0] - slopes[1]
        up = np.roll(total, 1, axis=0)
        out = np.roll(up, 1, axis=1) - total
        out += np.roll(difference, 1, axis=1) - np.roll(difference, 1, axis=0)
        return out * self._half_spacing

    def _filtered(self, height: Floats, strength: Floats) -> Floats:
        """Heights filtered by a strength (rows, columns // 2 + 1) per wave number."""
        spectrum = fft.rfft2(height)
        spectrum *= strength
        return np.asarray(fft.irfft2(spectrum, self._shape, overwrite_x=True))


class _Operator:
    """Matrix of the equations with the prior, and conjugate gradients with it.

    Search directions are kept as heights and tractions, and the residual as a spectrum: so an
    iteration needs two Fourier transforms each way, of two fields at once.
    """

    def __init__(
        self,
        diagonal_matrix: Floats,
        traction_weight: Floats,
        traction: Floats,
        smoothness: Floats,
        shape: tuple[int, int],
    ) -> None:
        """Store the terms of the operator.

        Args:
            diagonal_matrix: (3, rows, columns) M by differences along diagonals, from
                `_along_diagonals`.
            traction_weight: (rows, columns) prior weight of the squared traction.
            traction: (rows, columns // 2 + 1) traction per height, by wave number.
            smoothness: (rows, columns // 2 + 1) weight of the squared height, by wave number.
            shape: rows and columns.
        """
        self._diagonal_matrix, self._traction_weight = diagonal_matrix, traction_weight
        self._traction, self._smoothness = traction, smoothness
        self._shape = shape
        columns = shape[1]
        # Weights of a half spectrum's columns in a sum over vertices (Parseval's theorem).
        weight = np.full(columns // 2 + 1, 2.0 / (shape[0] * columns), smoothness.dtype)
        weight[0] *= 0.5
        if columns % 2 == 0:
            weight[-1] *= 0.5
        self._column_weight = weight
        self._two_fields = np.empty((2, *shape), smoothness.dtype)
        self._padded = np.empty((shape[0] + 1, columns + 1), smoothness.dtype)

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
        change = np.zeros_like(right_side)
        residual = fft.rfft2(right_side)
        preconditioned = inverse * residual
        fields = self._with_traction(preconditioned)
        spectrum = preconditioned
        squared_norm = self._inner_product(residual, preconditioned)
        target = tolerance**2 * squared_norm
        for _ in range(iterations):
            if squared_norm <= target:
                break
            image, curvature = self._apply(fields, spectrum)
            step_length = squared_norm / curvature
            change += step_length * fields[0]
            residual -= step_length * image
            preconditioned = inverse * residual
            before, squared_norm = squared_norm, self._inner_product(residual, preconditioned)
            fields = self._with_traction(preconditioned) + (squared_norm / before) * fields
            spectrum = preconditioned + (squared_norm / before) * spectrum
        return change

    def _with_traction(self, spectrum: Floats) -> Floats:
        """(2, rows, columns) heights of a spectrum and their tractions."""
        both = np.stack([spectrum, spectrum * self._traction])
        return np.asarray(fft.irfft2(both, self._shape, overwrite_x=True))

    def _apply(self, fields: Floats, spectrum: Floats) -> tuple[Floats, Any]:
        """Spectrum of the operator applied to heights, and its scalar product with the heights."""
        height, traction = fields
        self._two_fields[0] = self._apply_slope_matrix(height)
        self._two_fields[1] = self._traction_weight * traction
        product = np.vdot(height, self._two_fields[0]) + np.vdot(traction, self._two_fields[1])
        smooth = self._smoothness * spectrum
        image, weighted_traction = fft.rfft2(self._two_fields)
        weighted_traction *= self._traction
        image += weighted_traction
        image += smooth
        return image, product + self._inner_product(spectrum, smooth)

    def _apply_slope_matrix(self, height: Floats) -> Floats:
        """Slopes of heights, times M, times the transpose of the slope operator."""
        above, below = self._padded_after(height)
        falling, rising = below[:, 1:] - above[:, :-1], above[:, 1:] - below[:, :-1]
        first, mixed, second = self._diagonal_matrix
        total = first * falling + mixed * rising
        difference = mixed * falling + second * rising
        above, below = self._padded_before(total)
        out = above[:, :-1] - total
        above, below = self._padded_before(difference)
        out += below[:, :-1]
        out -= above[:, 1:]
        return np.asarray(out)

    def _padded_after(self, field: Floats) -> tuple[Floats, Floats]:
        """A periodic field with one more column at the end, and the same one row further down."""
        padded = self._padded
        padded[:-1, :-1] = field
        padded[-1, :-1] = field[0]
        padded[:, -1] = padded[:, 0]
        return padded[:-1], padded[1:]

    def _padded_before(self, field: Floats) -> tuple[Floats, Floats]:
        """A periodic field one row further up with one more column in front, and the field."""
        padded = self._padded
        padded[1:, 1:] = field
        padded[0, 1:] = field[-1]
        padded[:, 0] = padded[:, -1]
        return padded[:-1], padded[1:]

    def _inner_product(self, a: Floats, b: Floats) -> Any:
        """Inner product of two real fields, from their half spectra (Parseval's theorem)."""
        product = a.real * b.real
        product += a.imag * b.imag
        return np.sum(product, axis=0) @ self._column_weight


def _along_diagonals(matrix: Floats, half_spacing: float) -> Floats:
    """(3, rows, columns) M by differences along the diagonals of cells instead of the axes."""
    xx, xy, yy = matrix
    return np.asarray(half_spacing**2 * np.stack([xx + 2.0 * xy + yy, xx - yy, xx - 2.0 * xy + yy]))


def _table_range(values: Floats) -> tuple[int, int]:
    """First entry of a table over logarithms of positive values, and one past the last entry."""
    high = max(float(values.max()), 1e-9)
    low = max(float(values.min()), 1e-6 * high)
    return math.floor(math.log(low) / TABLE_STEP), math.ceil(math.log(high) / TABLE_STEP) + 1
