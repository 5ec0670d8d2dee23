"""Tricubic B-spline interpolation of a field on a regular grid, with derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from tacdiff_ros.mechanics.indenters.derivatives import Derivatives

Floats = NDArray[np.float64]

RIM = 2  # cells at the border of the grid in which the spline would need samples outside the grid
BATCH_POINTS = 20_000
TINY_MM = 1e-12
# Cubic B-spline weights of the four knots around position t in a cell: row k multiplies t^k.
BASIS = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6.0


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
        """Returns the value of the field at points (N, 3), mm, with its gradient and Hessian."""
        parts = [
            self._derivatives(points[start : start + BATCH_POINTS])
            for start in range(0, max(len(points), 1), BATCH_POINTS)
        ]
        return Derivatives(
            np.concatenate([part.distance for part in parts]),
            np.concatenate([part.gradient for part in parts]),
            np.concatenate([part.hessian for part in parts]),
        )

    def _derivatives(self, points: Floats) -> Derivatives:
        """Returns value, gradient and Hessian at one batch of points (N, 3), mm.

        The extrapolation f(clipped) + |points - clipped| depends on the spline only along the axes
        that are not clipped; along the others it has the derivatives of the distance.
        """
        low, high = self.box
        clipped = np.clip(points, low, high)
        partials = self._partial_derivatives(clipped)
        overshoot = points - clipped
        distance = np.linalg.norm(overshoot, axis=1)
        gradient = np.stack(
            [partials[:, 1, 0, 0], partials[:, 0, 1, 0], partials[:, 0, 0, 1]], axis=1
        )
        hessian = np.empty((len(points), 3, 3))
        for i in range(3):
            for j in range(3):
                order = np.bincount([i, j], minlength=3)
                hessian[:, i, j] = partials[:, order[0], order[1], order[2]]
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
        return Derivatives(partials[:, 0, 0, 0] + distance, gradient, hessian)

    def _partial_derivatives(self, points: Floats) -> Floats:
        """Returns (N, 3, 3, 3) partial derivatives [n, i, j, k] of order i, j, k in x, y, z."""
        position = (points - self.origin) / self.spacing
        last_cell = np.array(self.coefficients.shape) - 2 - RIM
        cell = np.clip(np.floor(position).astype(int), RIM, last_cell)
        t = position - cell
        powers = np.ones((*t.shape, 3, 4))
        powers[..., 0, 1], powers[..., 0, 2], powers[..., 0, 3] = t, t**2, t**3
        powers[..., 1, :] = np.stack([0 * t, 0 * t + 1, 2 * t, 3 * t**2], -1) / self.spacing
        powers[..., 2, :] = np.stack([0 * t, 0 * t, 0 * t + 2, 6 * t], -1) / self.spacing**2
        weights = powers @ BASIS
        knots = cell[:, :, None] + np.arange(-1, 3)
        near = self.coefficients[
            knots[:, 0, :, None, None], knots[:, 1, None, :, None], knots[:, 2, None, None, :]
        ]
        partials = np.einsum("nijk,nck->nijc", near, weights[:, 2])
        partials = np.einsum("nijc,nbj->nibc", partials, weights[:, 1])
        return np.einsum("nibc,nai->nabc", partials, weights[:, 0])
