"""Heights that the gel's mechanics predict for given contact forces.

The height fit's prior is linear and has normal tractions only. Here the same forces act on the full
model of the gel: tangential forces, finite strains, and the motion of material points in the plane
are included. The difference is the `offset`: heights less the offset are those of a linear layer
under normal tractions, so that tractions computed from them vanish outside of the contact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates

from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.mechanics.layer_compliance import BondedLayer, compliance
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.material import GelMaterial

Floats = NDArray[np.float64]

ROUNDS = 8  # fixed-point iterations from a position to its material point


@dataclass(frozen=True)
class MechanicalPrior:
    """Prior of the heights on their grid, from forces on the gel.

    Attributes:
        offset_mm: (rows, columns) heights that carry no normal traction in the linear layer, mm.
        traction: (rows, columns) normal traction over Young's modulus, positive upwards.
    """

    offset_mm: Floats
    traction: Floats


class MechanicalHeights:
    """Maps forces on the pad's grid to heights on the grid of the height fit."""

    def __init__(self, grid: HeightGrid, pad: PadGrid, material: GelMaterial) -> None:
        """Precompute the compliance of the layer on the height grid.

        Args:
            grid: grid of the heights.
            pad: dimensions and grid of the pad.
            material: gel material.
        """
        self.pad = pad
        layer = BondedLayer(pad.thickness_mm, material.young_modulus_mpa, material.poisson_ratio)
        kx, ky = grid.wave_numbers
        self._compliance = compliance(layer, kx, ky)[..., 2, 2].real
        x, y = np.meshgrid(grid.x_mm, grid.y_mm)
        spacing = pad.spacing_mm
        self._column = x / spacing[0] + 0.5 * (pad.columns - 1)
        self._row = y / spacing[1] + 0.5 * (pad.rows - 1)
        self._shape = grid.shape
        self._young_modulus_mpa = material.young_modulus_mpa

    def predict(self, force_n: Floats, displacement_mm: Floats) -> MechanicalPrior:
        """Return the prior of the heights that follows from forces.

        Args:
            force_n: (rows, columns, 3) forces on the pad's vertices, N.
            displacement_mm: (rows, columns, 3) displacement of the modelled gel under them, mm.
        """
        pressure = force_n[..., 2] / float(np.prod(self.pad.spacing_mm))
        height, pressure = self._at_positions(displacement_mm, displacement_mm[..., 2], pressure)
        linear = fft.irfft2(self._compliance * fft.rfft2(pressure), self._shape)
        return MechanicalPrior(
            np.asarray(height - linear), np.asarray(pressure / self._young_modulus_mpa)
        )

    def _at_positions(self, displacement: Floats, *fields: Floats) -> list[Floats]:
        """Fields of material points, sampled at the current positions of the height grid."""
        spacing = self.pad.spacing_mm
        row, column = self._row, self._column
        for _ in range(ROUNDS):
            across, down = (
                map_coordinates(displacement[..., k], [row, column], order=1, mode="nearest")
                for k in (0, 1)
            )
            row = 0.5 * (row + self._row - down / spacing[1])
            column = 0.5 * (column + self._column - across / spacing[0])
        return [
            np.asarray(map_coordinates(field, [row, column], order=1, mode="constant"))
            for field in fields
        ]
