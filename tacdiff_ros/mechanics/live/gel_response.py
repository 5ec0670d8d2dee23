"""How the surface of the pad moves under forces on its vertices."""

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
    """Displacement in three parts: layer without sides, what the sides change, second order.

    Attributes:
        kernel: of the first part, for contact.
        second_order: the third part.
    """

    def __init__(self, pad: PadGrid, material: GelMaterial, weights: SecondOrderWeights) -> None:
        """Tables for a pad.

        Args:
            pad: its sizes and vertices.
            material: of the gel.
            weights: of the second-order term.
        """
        self._shape = (pad.rows, pad.columns)
        layer = BondedLayer(pad.thickness_mm, material.young_modulus_mpa, material.poisson_ratio)
        kernel = surface_kernel(layer, *self._shape, pad.spacing_mm)
        self.kernel = PointKernel.of(kernel.values)
        self._convolution = SurfaceConvolution(kernel)
        self._sides = PadSides(pad, material)
        self.second_order = SecondOrder(
            weights, self._shape, pad.spacing_mm, pad.thickness_mm, material.shear_modulus_mpa
        )

    def layer(self, force: Floats) -> Floats:
        """(N, 3) mm, of the layer without sides for vertex forces (N, 3) N."""
        grid = force.reshape(*self._shape, 3)
        return self._convolution.displacement(grid).reshape(-1, 3)

    def beyond(self, displacement: Floats, force: Floats) -> Floats:
        """(N, 3) mm, what the other parts add for vertex forces (N, 3) N.

        Args:
            displacement: (N, 3) mm, of the surface under these forces, all parts.
            force: (N, 3) N.
        """
        planes = (3, *self._shape)
        forces = np.ascontiguousarray(force.T).reshape(planes)
        moved = np.ascontiguousarray(displacement.T).reshape(planes)
        added = self._sides.displacement(forces)
        added += self.second_order.displacement(moved, forces)
        return np.ascontiguousarray(added.reshape(3, -1).T)
