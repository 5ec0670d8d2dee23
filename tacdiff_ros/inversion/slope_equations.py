"""Heights from what pixels say of slopes: a sparse least-squares problem on a periodic grid.

Every cell of the grid has a 2 x 2 matrix M and a vector b: the photometric error changes by
s M s + 2 b s when its slope changes by s. Added is a prior, given by its strength per wave number.
Conjugate gradients, preconditioned by the same problem with one M everywhere, which Fourier
transforms solve at once.
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

TABLE_STEP = 0.7  # of the logarithms of what deviations are tabulated over
MIN_TOLERANCE_SINGLE = 1e-4  # from which on numbers of single precision are enough
USUAL_CHECKS = 0.1  # slope of the chequered pattern, which neither cells nor the renderer see


@dataclass(frozen=True)
class SlopeEquations:
    """What one image says about slopes.

    Attributes:
        matrix: (3, rows, columns): M_xx, M_xy, M_yy of the cell after each vertex.
        pull: (2, rows, columns): b_x, b_y.
    """

    matrix: Floats
    pull: Floats


class SlopeSolver:
    """Solves `SlopeEquations` with a prior on one grid."""

    def __init__(self, grid: HeightGrid, prior: HeightPrior) -> None:
        """A grid and a prior."""
        kx, ky = grid.waves
        half_x, half_y = 0.5 * kx * grid.spacing_mm, 0.5 * ky * grid.spacing_mm
        along_x = np.sin(half_x) * np.cos(half_y)
        along_y = np.cos(half_x) * np.sin(half_y)
        self._bend = (along_x**2 + along_y**2) * (2.0 / grid.spacing_mm) ** 2
        checks = (np.sin(half_x) * np.sin(half_y)) ** 2 * (2.0 / grid.spacing_mm) ** 2
        self._smooth = prior.strength + (grid.spacing_mm / USUAL_CHECKS) ** 2 * checks
        self._traction = prior.traction
        self._shape = grid.shape
        self._half_spacing = 0.5 / grid.spacing_mm
        self._spread: dict[tuple[int, int], float] = {}

    def step(
        self,
        equations: SlopeEquations,
        height: Floats,
        calm: Floats,
        iterations: int,
        tolerance: float,
    ) -> Floats:
        """(rows, columns) mm change of the heights that solves the equations.

        Args:
            equations: at the heights.
            height: (rows, columns) mm, for the prior.
            iterations: at most.
            tolerance: of the residual's norm, over its first one.
            calm: (rows, columns) weight of the squared traction at each vertex.
        """
        mean = 0.5 * float(equations.matrix[0].mean() + equations.matrix[2].mean())
        held = float(calm.mean()) * self._traction**2 + self._smooth
        inverse = 1.0 / (max(mean, 1e-12) * self._bend + held)
        residual = -self._fall(equations.pull) - self._held(height, calm)
        precise = np.float64 if tolerance < MIN_TOLERANCE_SINGLE else np.float32
        operator = _Operator(
            _crossed(equations.matrix, self._half_spacing).astype(precise),
            np.asarray(calm, precise),
            np.asarray(self._traction, precise),
            np.asarray(self._smooth, precise),
            self._shape,
        )
        change = operator.solved(
            residual.astype(precise), inverse.astype(precise), iterations, tolerance
        )
        return change.astype(np.float64)

    def slopes(self, height: Floats) -> Floats:
        """(2, rows, columns) slopes dz/dx and dz/dy of the cell after each vertex."""
        right = np.roll(height, -1, axis=1)
        below, diagonal = np.roll(height, -1, axis=0), np.roll(right, -1, axis=0)
        falling, rising = diagonal - height, right - below
        return np.stack([falling + rising, falling - rising]) * self._half_spacing

    def traction(self, height: Floats) -> Floats:
        """(rows, columns) what would press a linear layer so, over Young's modulus."""
        return self._filtered(height, self._traction)

    def deviation(self, information: Floats, calm: Floats) -> Floats:
        """(rows, columns) mm, standard deviation of heights, as if all were like each vertex.

        The diagonal of the inverse of the equations' matrix, with one M and one calm everywhere,
        tabulated over both.

        Args:
            information: (rows, columns) half the trace of M.
            calm: as in `step`.
        """
        held, still = (_table_range(values) for values in (information, calm))
        spread = [[self._log_spread(m, c) for c in range(*still)] for m in range(*held)]
        place = [
            np.log(np.clip(values, *np.exp(np.array([first, last - 1]) * TABLE_STEP))) / TABLE_STEP
            - first
            for values, (first, last) in ((information, held), (calm, still))
        ]
        return np.asarray(np.exp(map_coordinates(spread, place, order=1, mode="nearest")))

    def _log_spread(self, held: int, still: int) -> float:
        """Logarithm of the deviation where M is exp(held * TABLE_STEP), and calm likewise."""
        if (held, still) not in self._spread:
            strength = np.exp(held * TABLE_STEP) * self._bend + self._smooth
            strength = strength + np.exp(still * TABLE_STEP) * self._traction**2
            self._spread[held, still] = 0.5 * float(np.log(np.mean(1.0 / strength)))
        return self._spread[held, still]

    def _held(self, height: Floats, calm: Floats) -> Floats:
        """The prior's pull."""
        pressed = calm * self.traction(height)
        return self._filtered(pressed, self._traction) + self._filtered(height, self._smooth)

    def _fall(self, slopes: Floats) -> Floats:
        """The transpose of `slopes`."""
        total, difference = slopes[0] + slopes[1], slopes[0] - slopes[1]
        up = np.roll(total, 1, axis=0)
        out = np.roll(up, 1, axis=1) - total
        out += np.roll(difference, 1, axis=1) - np.roll(difference, 1, axis=0)
        return out * self._half_spacing

    def _filtered(self, height: Floats, strength: Floats) -> Floats:
        spectrum = fft.rfft2(height)
        spectrum *= strength
        return np.asarray(fft.irfft2(spectrum, self._shape, overwrite_x=True))


class _Operator:
    """The equations' matrix, and conjugate gradients with it.

    Heights are kept beside their tractions, and the residual by wave number: so an iteration needs
    two Fourier transforms each way, of two fields at once.
    """

    def __init__(
        self,
        crossed: Floats,
        calm: Floats,
        traction: Floats,
        smooth: Floats,
        shape: tuple[int, int],
    ) -> None:
        """See `SlopeSolver.step`; `crossed` by `_crossed`."""
        self._crossed, self._calm = crossed, calm
        self._traction, self._smooth = traction, smooth
        self._shape = shape
        columns = shape[1]
        weight = np.full(columns // 2 + 1, 2.0 / (shape[0] * columns), smooth.dtype)
        weight[0] *= 0.5
        if columns % 2 == 0:
            weight[-1] *= 0.5
        self._weight = weight  # of a spectrum's columns in a sum over vertices
        self._two = np.empty((2, *shape), smooth.dtype)
        self._padded = np.empty((shape[0] + 1, columns + 1), smooth.dtype)

    def solved(
        self, residual: Floats, inverse: Floats, iterations: int, tolerance: float
    ) -> Floats:
        """(rows, columns) that the operator makes the residual of."""
        change = np.zeros_like(residual)
        left = fft.rfft2(residual)
        better = inverse * left
        fields = self._with_traction(better)
        spectrum = better
        size = self._sum(left, better)
        enough = tolerance**2 * size
        for _ in range(iterations):
            if size <= enough:
                break
            image, curvature = self._applied(fields, spectrum)
            share = size / curvature
            change += share * fields[0]
            left -= share * image
            better = inverse * left
            before, size = size, self._sum(left, better)
            fields = self._with_traction(better) + (size / before) * fields
            spectrum = better + (size / before) * spectrum
        return change

    def _with_traction(self, spectrum: Floats) -> Floats:
        """(2, rows, columns) heights and their tractions."""
        both = np.stack([spectrum, spectrum * self._traction])
        return np.asarray(fft.irfft2(both, self._shape, overwrite_x=True))

    def _applied(self, fields: Floats, spectrum: Floats) -> tuple[Floats, Any]:
        """Spectrum of the operator on heights, and their product with it."""
        height, traction = fields
        self._two[0] = self._bent(height)
        self._two[1] = self._calm * traction
        product = np.vdot(height, self._two[0]) + np.vdot(traction, self._two[1])
        smooth = self._smooth * spectrum
        bent, pressed = fft.rfft2(self._two)
        pressed *= self._traction
        bent += pressed
        bent += smooth
        return bent, product + self._sum(spectrum, smooth)

    def _bent(self, height: Floats) -> Floats:
        """What slopes of heights meet: transpose of `slopes`, matrix, `slopes`."""
        above, below = self._wrapped_after(height)
        falling, rising = below[:, 1:] - above[:, :-1], above[:, 1:] - below[:, :-1]
        first, mixed, second = self._crossed
        total = first * falling + mixed * rising
        difference = mixed * falling + second * rising
        above, below = self._wrapped_before(total)
        out = above[:, :-1] - total
        above, below = self._wrapped_before(difference)
        out += below[:, :-1]
        out -= above[:, 1:]
        return np.asarray(out)

    def _wrapped_after(self, field: Floats) -> tuple[Floats, Floats]:
        """A periodic field with one more column, and the rows below it."""
        padded = self._padded
        padded[:-1, :-1] = field
        padded[-1, :-1] = field[0]
        padded[:, -1] = padded[:, 0]
        return padded[:-1], padded[1:]

    def _wrapped_before(self, field: Floats) -> tuple[Floats, Floats]:
        """The rows above a periodic field, with one more column in front, and the field itself."""
        padded = self._padded
        padded[1:, 1:] = field
        padded[0, 1:] = field[-1]
        padded[:, 0] = padded[:, -1]
        return padded[:-1], padded[1:]

    def _sum(self, a: Floats, b: Floats) -> Any:
        """Of the product of two fields over vertices, by their spectra."""
        product = a.real * b.real
        product += a.imag * b.imag
        return np.sum(product, axis=0) @ self._weight


def _crossed(matrix: Floats, half_spacing: float) -> Floats:
    """(3, rows, columns): the matrix for differences along the diagonals of cells, not the axes."""
    xx, xy, yy = matrix
    return np.asarray(half_spacing**2 * np.stack([xx + 2.0 * xy + yy, xx - yy, xx - 2.0 * xy + yy]))


def _table_range(values: Floats) -> tuple[int, int]:
    """First entry of a table over logarithms of positive values, and one past the last."""
    largest = max(float(values.max()), 1e-9)
    least = max(float(values.min()), 1e-6 * largest)
    return math.floor(math.log(least) / TABLE_STEP), math.ceil(math.log(largest) / TABLE_STEP) + 1
