"""Displacement of the pad's surface under forces on its vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.layer_compliance import (
    BondedLayer,
    SurfaceConvolution,
    surface_kernel,
)
from tacdiff_ros.mechanics.live.contact_sweeps import PointKernel
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.pad_sides import PadSides
from tacdiff_ros.mechanics.live.second_order import SecondOrder, SecondOrderWeights
from tacdiff_ros.mechanics.material import GelMaterial

Floats = NDArray[np.float64]


class GelResponse:
    """Displacement in three parts: infinite layer, effect of the pad's sides, second-order term.

    Attributes:
        kernel: kernel of the infinite layer at the contact points.
        second_order: second-order term.
    """

    def __init__(self, pad: PadGrid, material: GelMaterial, weights: SecondOrderWeights) -> None:
        """Precompute the tables of a pad.

        Args:
            pad: dimensions and grid of the pad.
            material: gel material.
            weights: weights of the second-order term.
        """
        self._shape = (pad.rows, pad.columns)
        layer = BondedLayer(pad.thickness_mm, material.young_modulus_mpa, material.poisson_ratio)
        kernel = surface_kernel(layer, *self._shape, pad.spacing_mm)
        self.kernel = PointKernel.from_values(kernel.values)
        self._convolution = SurfaceConvolution(kernel)
        self._sides = PadSides(pad, material)
        self.second_order = SecondOrder(
            weights, self._shape, pad.spacing_mm, pad.thickness_mm, material.shear_modulus_mpa
        )

    def layer_displacement(self, force: Floats) -> Floats:
        """Return the displacement of the infinite layer.

        Args:
            force: (N, 3) vertex forces, N.

        Returns:
            (N, 3) displacement, mm.
        """
        grid = force.reshape(*self._shape, 3)
        return self._convolution.displacement(grid).reshape(-1, 3)

    def correction(self, displacement: Floats, force: Floats) -> Floats:
        """Return what the sides and the second-order term add to the layer's displacement.

        Args:
            displacement: (N, 3) total displacement of the surface under these forces, mm.
            force: (N, 3) vertex forces, N.

        Returns:
            (N, 3) displacement, mm.
        """
        planes = (3, *self._shape)
        force_planes = np.ascontiguousarray(force.T).reshape(planes)
        displacement_planes = np.ascontiguousarray(displacement.T).reshape(planes)
        added = self._sides.displacement(force_planes)
        added += self.second_order.displacement(displacement_planes, force_planes)
        return np.ascontiguousarray(added.reshape(3, -1).T)
