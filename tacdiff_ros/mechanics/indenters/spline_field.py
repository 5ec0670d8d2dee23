"""Tricubic B-spline interpolation of a field on a regular grid, with derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from tacdiff_ros.kernel_cache import cached_njit
from tacdiff_ros.mechanics.indenters.derivatives import Derivatives

Floats = NDArray[np.float64]

RIM = 2  # cells at the border of the grid in which the spline would need samples outside the grid
TINY_MM = 1e-12
# Cubic B-spline weights of the four knots around position t in a cell: row k multiplies t^k.
BASIS = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0
HESSIAN_COLUMNS = np.array([[4, 5, 6], [5, 7, 8], [6, 8, 9]])  # of the values of `_evaluate`


@dataclass(frozen=True, eq=False)
class SplineField:
    """Twice continuously differentiable interpolation of grid samples.

    Outside `box` (the grid without its rim), the field is the value at the nearest point of the
    box plus the distance to that point: continuous and increasing, but no exact distance.

    Attributes:
        coefficients: (X, Y, Z) spline coefficients, one for each grid point.
        origin: (3,) position of the first grid point, mm.
        spacing: distance between grid points, mm.
    """

    coefficients: Floats
    origin: Floats
    spacing: float

    @classmethod
    def from_samples(cls, values: Floats, origin: Floats, spacing: float) -> SplineField:
        """Builds the spline that interpolates samples on a grid.

        Args:
            values: (X, Y, Z) samples, at least 6 along each axis.
            origin: (3,) position of the first grid point, mm.
            spacing: distance between grid points, mm.

        Returns:
            The interpolating field.
        """
        return cls(spline_filter(values, order=3, mode="mirror"), origin, spacing)

    @property
    def box(self) -> Floats:
        """(2, 3) lowest and highest corner of the box in which the field is the spline, mm."""
        last = np.array(self.coefficients.shape) - 1 - RIM
        return self.origin + self.spacing * np.stack([np.full(3, RIM), last])

    def derivatives(self, points: Floats) -> Derivatives:
        """Returns the value of the field at points (N, 3), mm, with its gradient and Hessian.

        The extrapolation f(clipped) + |points - clipped| depends on the spline only along the axes
        that are not clipped; along the others it has the derivatives of the distance.
        """
        low, high = self.box
        clipped = np.clip(points, low, high)
        value, gradient, hessian = self._spline(clipped)
        overshoot = points - clipped
        distance = np.linalg.norm(overshoot, axis=1)
        outside = overshoot != 0
        if outside.any():
            safe_distance = np.maximum(distance, TINY_MM)[:, None]
            direction = overshoot / safe_distance
            gradient = np.where(outside, direction, gradient)
            projection = (
                np.eye(3) * outside[:, None, :] - direction[:, :, None] * direction[:, None, :]
            )
            inside = ~(outside[:, :, None] | outside[:, None, :])
            hessian = np.where(inside, hessian, projection / safe_distance[:, :, None])
        return Derivatives(value + distance, gradient, hessian)

    def _spline(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Returns value (N,), gradient (N, 3) and Hessian (N, 3, 3) at points in the box, mm."""
        position = (points - self.origin) / self.spacing
        last_cell = np.array(self.coefficients.shape) - 2 - RIM
        cell = np.clip(np.floor(position).astype(np.int64), RIM, last_cell)
        values = np.empty((len(points), 10))
        _evaluate(self.coefficients, cell, position - cell, values)
        gradient = values[:, 1:4] / self.spacing
        hessian = values[:, HESSIAN_COLUMNS] / self.spacing**2
        return values[:, 0], gradient, hessian


@cached_njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _evaluate(
    coefficients: Floats, cell: NDArray[np.int64], t: Floats, values: Floats
) -> None:  # pragma: no cover - compiled
    """Evaluates the spline and its derivatives in units of cells.

    Args:
        coefficients: (X, Y, Z) spline coefficients.
        cell: (N, 3) cell of each point.
        t: (N, 3) position of each point in its cell, 0 to 1.
        values: (N, 10) output: value, gradient x, y, z, and Hessian xx, xy, xz, yy, yz, zz.
    """
    weights = np.empty((3, 3, 4))  # axis, order of the derivative, knot
    for point in range(len(cell)):
        for axis in range(3):
            u = t[point, axis]
            for knot in range(4):
                a, b, c, d = BASIS[0, knot], BASIS[1, knot], BASIS[2, knot], BASIS[3, knot]
                weights[axis, 0, knot] = a + u * (b + u * (c + u * d))
                weights[axis, 1, knot] = b + u * (2 * c + 3 * u * d)
                weights[axis, 2, knot] = 2 * c + 6 * u * d
        values[point] = 0.0
        x0, y0, z0 = cell[point, 0] - 1, cell[point, 1] - 1, cell[point, 2] - 1
        for i in range(4):
            value = gradient_y = gradient_z = yy = yz = zz = 0.0
            for j in range(4):
                line = line_z = line_zz = 0.0
                for k in range(4):
                    coefficient = coefficients[x0 + i, y0 + j, z0 + k]
                    line += weights[2, 0, k] * coefficient
                    line_z += weights[2, 1, k] * coefficient
                    line_zz += weights[2, 2, k] * coefficient
                value += weights[1, 0, j] * line
                gradient_y += weights[1, 1, j] * line
                yy += weights[1, 2, j] * line
                gradient_z += weights[1, 0, j] * line_z
                yz += weights[1, 1, j] * line_z
                zz += weights[1, 0, j] * line_zz
            w, w_x, w_xx = weights[0, 0, i], weights[0, 1, i], weights[0, 2, i]
            values[point, 0] += w * value
            values[point, 1] += w_x * value
            values[point, 2] += w * gradient_y
            values[point, 3] += w * gradient_z
            values[point, 4] += w_xx * value
            values[point, 5] += w_x * gradient_y
            values[point, 6] += w_x * gradient_z
            values[point, 7] += w * yy
            values[point, 8] += w * yz
            values[point, 9] += w * zz
