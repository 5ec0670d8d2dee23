"""A field on a regular grid as a tricubic B-spline, with its derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives

Floats = NDArray[np.float64]

RIM = 2  # cells at the border of the grid in which the spline would need values beyond it
AT_ONCE = 20_000
TINY_MM = 1e-12
# Cubic B-spline at the four knots around a place t in a cell: rows are powers of t.
BASIS = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0


@dataclass(frozen=True, eq=False)
class SplineField:
    """Twice continuously differentiable interpolation of grid values.

    Outside of the grid, less a rim, the field goes on from the nearest point of that box with the
    distance to it: continuous, rising, but no exact distance.

    Attributes:
        coefficients: of the spline, one per grid point.
        origin: (3,) mm of the first grid point.
        spacing: mm.
    """

    coefficients: Floats
    origin: Floats
    spacing: float

    @classmethod
    def through(cls, values: Floats, origin: Floats, spacing: float) -> SplineField:
        """The spline that has the values at the grid points; at least 6 points each way."""
        return cls(spline_filter(values, order=3, mode="mirror"), origin, spacing)

    @property
    def box(self) -> Floats:
        """(2, 3) mm, within which the field is the spline."""
        last = np.array(self.coefficients.shape) - 1 - RIM
        return self.origin + self.spacing * np.stack([np.full(3, RIM), last])

    def derivatives(self, points: Floats) -> Derivatives:
        """Values of points (N, 3) mm with gradient and Hessian."""
        parts = [
            self._derivatives(points[start : start + AT_ONCE])
            for start in range(0, max(len(points), 1), AT_ONCE)
        ]
        return Derivatives(
            np.concatenate([part.distance for part in parts]),
            np.concatenate([part.gradient for part in parts]),
            np.concatenate([part.hessian for part in parts]),
        )

    def _derivatives(self, points: Floats) -> Derivatives:
        low, high = self.box
        held = np.clip(points, low, high)
        jet = self._jet(held)
        beyond = points - held
        away = np.linalg.norm(beyond, axis=1)
        gradient = np.stack([jet[:, 1, 0, 0], jet[:, 0, 1, 0], jet[:, 0, 0, 1]], axis=1)
        hessian = np.empty((len(points), 3, 3))
        for i in range(3):
            for j in range(3):
                order = np.bincount([i, j], minlength=3)
                hessian[:, i, j] = jet[:, order[0], order[1], order[2]]
        out = beyond != 0
        if out.any():
            safe = np.maximum(away, TINY_MM)[:, None]
            unit = beyond / safe
            gradient = np.where(out, unit, gradient)
            across = np.eye(3) * out[:, None, :] - unit[:, :, None] * unit[:, None, :]
            free = ~(out[:, :, None] | out[:, None, :])
            hessian = np.where(free, hessian, across / safe[:, :, None])
        return Derivatives(jet[:, 0, 0, 0] + away, gradient, hessian)

    def _jet(self, points: Floats) -> Floats:
        """(N, 3, 3, 3): derivatives of order 0 to 2 along x, y and z."""
        place = (points - self.origin) / self.spacing
        most = np.array(self.coefficients.shape) - 2 - RIM
        cell = np.clip(np.floor(place).astype(int), RIM, most)
        t = place - cell
        powers = np.ones((*t.shape, 3, 4))
        powers[..., 0, 1], powers[..., 0, 2], powers[..., 0, 3] = t, t**2, t**3
        powers[..., 1, :] = np.stack([0 * t, 0 * t + 1, 2 * t, 3 * t**2], -1) / self.spacing
        powers[..., 2, :] = np.stack([0 * t, 0 * t, 0 * t + 2, 6 * t], -1) / self.spacing**2
        weights = powers @ BASIS
        knots = cell[:, :, None] + np.arange(-1, 3)
        near = self.coefficients[
            knots[:, 0, :, None, None], knots[:, 1, None, :, None], knots[:, 2, None, None, :]
        ]
        jet = np.einsum("nijk,nck->nijc", near, weights[:, 2])
        jet = np.einsum("nijc,nbj->nibc", jet, weights[:, 1])
        return np.einsum("nibc,nai->nabc", jet, weights[:, 0])
