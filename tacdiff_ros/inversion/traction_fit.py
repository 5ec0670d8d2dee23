"""Tractions on the gel that explain a measured deformation.

Unknowns are the forces on the surface vertices in a candidate contact area. They deform a bonded
elastic layer (`mechanics.layer_compliance`), whose displacement is corrected for finite strains
(`mechanics.live.second_order`), and must satisfy Coulomb's law: no tension, and a tangential part
of at most mu times the normal part. This is a convex quadratic problem with second-order cones,
solved by an accelerated projected gradient; the corrections are repeated with the last forces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from tacdiff_ros.mechanics.layer_compliance import BondedLayer, SurfaceConvolution, surface_kernel
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.pad_sides import PadSides
from tacdiff_ros.mechanics.live.second_order import SecondOrder, SecondOrderWeights
from tacdiff_ros.mechanics.material import GelMaterial

Floats = NDArray[np.float64]

CORRECTIONS = 3  # rounds of the corrections; more of them change forces by 2 %
GRADIENT_STEPS, GRADIENT_TOLERANCE = 150, 1e-4
PRESSURE_STDDEV = 2.0  # prior of a pressure, over Young's modulus
ELEMENT_OVER_THICKNESS = 0.3  # of the elements for the effect of the pad's sides
TANGENTIAL_STDDEV = 0.3  # of a tangential traction


@dataclass(frozen=True)
class Observations:
    """Measured displacements of N points of the surface, each along one axis.

    Attributes:
        position: (N, 2) row and column of each point on the pad's grid, not necessarily integer.
        axis: (N,) 0, 1 or 2 for x, y or z.
        value_mm: (N,) displacement, mm.
        stddev_mm: (N,) standard deviation, mm.
    """

    position: Floats
    axis: NDArray[np.intp]
    value_mm: Floats
    stddev_mm: Floats


@dataclass(frozen=True)
class FittedTractions:
    """Fitted vertex forces.

    Attributes:
        force_n: (rows, columns, 3) forces on the vertices of the pad's grid, N.
        displacement_mm: (rows, columns, 3) displacement of the modelled gel, mm.
        vertices: (n,) flat numbers of the vertices that carry a force.
        precision: (3 n, 3 n) inverse of the covariance of their forces from the observations,
            1/N^2, in the order vertex, axis.
    """

    force_n: Floats
    displacement_mm: Floats
    vertices: NDArray[np.intp]
    precision: Floats


class TractionFit:
    """Fits tractions on one pad."""

    def __init__(self, pad: PadGrid, material: GelMaterial) -> None:
        """Precompute the compliance of a pad.

        Args:
            pad: dimensions and grid of the pad.
            material: gel material; its friction bounds the tangential tractions.
        """
        self.pad, self.material = pad, material
        layer = BondedLayer(pad.thickness_mm, material.young_modulus_mpa, material.poisson_ratio)
        kernel = surface_kernel(layer, pad.rows, pad.columns, pad.spacing_mm)
        self._kernel = kernel.values
        self._convolution = SurfaceConvolution(kernel)
        self._sides = PadSides(pad, material, ELEMENT_OVER_THICKNESS)
        self._second_order = SecondOrder(
            SecondOrderWeights.fitted(),
            (pad.rows, pad.columns),
            pad.spacing_mm,
            pad.thickness_mm,
            material.shear_modulus_mpa,
        )

    def displacement(self, force: Floats, rounds: int = CORRECTIONS) -> Floats:
        """Return the displacement under vertex forces.

        Args:
            force: (rows, columns, 3) forces on the vertices, N.
            rounds: rounds of the second-order correction.

        Returns:
            (rows, columns, 3) displacement, mm.
        """
        linear = self._convolution.displacement(force)
        moved = linear
        for _ in range(rounds):
            moved = linear + self.correction(moved, force)
        return moved

    def correction(self, displacement: Floats, force: Floats) -> Floats:
        """Return what finite strains add to the displacement of the linear layer.

        Args:
            displacement: (rows, columns, 3) total displacement, mm.
            force: (rows, columns, 3) forces on the vertices, N.

        Returns:
            (rows, columns, 3) displacement, mm.
        """
        planes = [np.ascontiguousarray(np.moveaxis(part, 2, 0)) for part in (displacement, force)]
        added = self._second_order.displacement(*planes) + self._sides.displacement(planes[1])
        return np.moveaxis(added, 0, 2)

    def fit(self, observed: Observations, candidates: NDArray[np.bool_]) -> FittedTractions:
        """Fit forces to measured displacements.

        Args:
            observed: measured displacements.
            candidates: (rows, columns) bool, vertices that may carry a force.
        """
        shape = (self.pad.rows, self.pad.columns)
        vertices = np.flatnonzero(candidates)
        if not len(vertices):
            still = np.zeros((*shape, 3))
            return FittedTractions(still, still, vertices, np.zeros((0, 0)))
        weight = 1.0 / observed.stddev_mm
        matrix = weight[:, None] * self._compliance(observed, vertices)
        hessian = matrix.T @ matrix
        force_scale = self.material.young_modulus_mpa * float(np.prod(self.pad.spacing_mm))
        spread = force_scale * np.array([TANGENTIAL_STDDEV, TANGENTIAL_STDDEV, PRESSURE_STDDEV])
        hessian[np.diag_indices_from(hessian)] += np.tile(spread**-2, len(vertices))
        force, moved = np.zeros((shape[0] * shape[1], 3)), np.zeros((*shape, 3))
        loads = np.zeros(3 * len(vertices))
        step = 1.0 / _max_eigenvalue(hessian)
        for _ in range(CORRECTIONS):
            grid_force = force.reshape(*shape, 3)
            added = self.correction(moved, grid_force)
            target = weight * (observed.value_mm - _sampled(added, observed))
            loads = self._solved(hessian, matrix.T @ target, loads, step)
            force[vertices] = loads.reshape(-1, 3)
            moved = self._convolution.displacement(grid_force) + added
        pressed = loads.reshape(-1, 3)[:, 2] < 0.0
        chosen = np.repeat(pressed, 3)
        precision = hessian[np.ix_(chosen, chosen)]
        return FittedTractions(force.reshape(*shape, 3), moved, vertices[pressed], precision)

    def _compliance(self, observed: Observations, vertices: NDArray[np.intp]) -> Floats:
        """(N, 3 n) displacement of the observed points per force on each vertex, mm/N."""
        rows, columns = self.pad.rows, self.pad.columns
        row, column = np.divmod(vertices, columns)
        first = np.minimum(observed.position.astype(int), [rows - 2, columns - 2])
        fraction = observed.position - first
        result = np.zeros((len(first), len(vertices), 3))
        for down in (0, 1):
            for across in (0, 1):
                ratio = np.abs(1 - down - fraction[:, 0]) * np.abs(1 - across - fraction[:, 1])
                used = np.flatnonzero(ratio > 1e-9)
                m = rows - 1 + (first[used, 0] + down)[:, None] - row
                n = columns - 1 + (first[used, 1] + across)[:, None] - column
                part = self._kernel[m, n, observed.axis[used][:, None]]
                result[used] += ratio[used, None, None] * part
        return result.reshape(len(first), -1)

    def _solved(self, hessian: Floats, right: Floats, start: Floats, step: float) -> Floats:
        """Minimiser of the quadratic over the friction cones, by FISTA with restarts."""
        if not start.any():
            start = self._projected(cho_solve(cho_factor(hessian), right))
        loads, moving, momentum = start, start, 1.0
        for _ in range(GRADIENT_STEPS):
            goal = self._projected(moving - step * (hessian @ moving - right))
            change = goal - loads
            if np.vdot(moving - goal, change) > 0.0:
                momentum, moving = 1.0, goal
            else:
                following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
                moving = goal + (momentum - 1.0) / following * change
                momentum = following
            loads = goal
            if np.abs(change).max() < GRADIENT_TOLERANCE * np.abs(goal).max():
                break
        return loads

    def _projected(self, loads: Floats) -> Floats:
        """Nearest loads (3 n,) in the friction cones of all vertices."""
        force = loads.reshape(-1, 3)
        pressing, size = -force[:, 2], np.hypot(force[:, 0], force[:, 1])
        friction = self.material.friction
        inside = size <= friction * pressing
        apex = friction * size <= -pressing
        onto = (pressing + friction * size) / (1.0 + friction**2)
        normal = np.where(inside, pressing, np.where(apex, 0.0, onto))
        along = np.where(inside, 1.0, friction * normal / np.maximum(size, 1e-15))
        return np.column_stack([along * force[:, 0], along * force[:, 1], -normal]).ravel()


def _sampled(field: Floats, observed: Observations) -> Floats:
    """(N,) component of a (rows, columns, 3) field at the observed points."""
    limit = np.array(field.shape[:2]) - 2
    first = np.minimum(observed.position.astype(int), limit)
    fraction = observed.position - first
    result = np.zeros(len(first))
    for down in (0, 1):
        for across in (0, 1):
            ratio = np.abs(1 - down - fraction[:, 0]) * np.abs(1 - across - fraction[:, 1])
            result += ratio * field[first[:, 0] + down, first[:, 1] + across, observed.axis]
    return result


def _max_eigenvalue(matrix: Floats) -> float:
    """Upper estimate of the maximum eigenvalue of a positive matrix, by power iteration."""
    vector = np.ones(len(matrix))
    for _ in range(20):
        vector = matrix @ (vector / np.linalg.norm(vector))
    return 1.05 * float(np.linalg.norm(vector))
