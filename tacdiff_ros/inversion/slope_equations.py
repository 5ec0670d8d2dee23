"""Heights from what pixels say of slopes: a sparse least-squares problem on a periodic grid.

Every cell of the grid has a 2 x 2 matrix M and a vector b: the photometric error changes by
s M s + 2 b s when its slope changes by s. Added is a prior, given by its strength per wave number.
Conjugate gradients, preconditioned by the same problem with one M everywhere, which Fourier
transforms solve at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.interpolate import RegularGridInterpolator

from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.height_prior import HeightPrior

Floats = NDArray[np.floating]

TABLE = 12  # entries each way
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
        change = np.zeros(self._shape)
        better = self._filtered(residual, inverse)
        direction = better.copy()
        size = _product(residual, better)
        enough = tolerance**2 * size
        for _ in range(iterations):
            if size <= enough:
                break
            image = self._apply(equations.matrix, direction, calm)
            share = size / _product(direction, image)
            change += share * direction
            residual -= share * image
            better = self._filtered(residual, inverse)
            before, size = size, _product(residual, better)
            direction = better + (size / before) * direction
        return change

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
        held = np.geomspace(*_span(information), TABLE)
        still = np.geomspace(*_span(calm), TABLE)
        spread = [
            [
                float(np.mean(1.0 / (m * self._bend + c * self._traction**2 + self._smooth)))
                for c in still
            ]
            for m in held
        ]
        table = RegularGridInterpolator((np.log(held), np.log(still)), 0.5 * np.log(spread))
        place = np.stack(
            [np.clip(information, held[0], held[-1]), np.clip(calm, still[0], still[-1])]
        )
        return np.asarray(np.exp(table(np.moveaxis(np.log(place), 0, -1))))

    def _apply(self, matrix: Floats, height: Floats, calm: Floats) -> Floats:
        x, y = self.slopes(height)
        bent = np.stack([matrix[0] * x + matrix[1] * y, matrix[1] * x + matrix[2] * y])
        return self._fall(bent) + self._held(height, calm)

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


def _span(values: Floats) -> tuple[float, float]:
    """Least (within reason) and largest of positive values."""
    largest = max(float(values.max()), 1e-9)
    return max(float(values.min()), 1e-6 * largest), largest * (1.0 + 1e-9)


def _product(a: Floats, b: Floats) -> float:
    """Not BLAS: its threads cost more than they gain on arrays of this size."""
    return float(np.sum(a * b))
