"""What is likely of a gel's heights before the image is seen, by wave number.

`smooth`: the curvature is small. `elastic`: the tractions that would press a linear layer into this
shape are small (see `mechanics.layer_compliance`), which also makes the gel bulge beside a contact
and settles the mean height, of which slopes say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.mechanics.layer_compliance import BondedLayer, compliance

Floats = NDArray[np.floating]
PriorKind = Literal["smooth", "elastic"]

POISSON_RATIO = 0.48
USUAL_CURVATURE_PER_MM = 2.0
USUAL_HEIGHT_MM = 3.0  # of the smooth prior, which else would not hold the mean height
MIN_SPACING_FRACTION = 0.5  # of the elastic prior's curvature term


@dataclass(frozen=True)
class HeightPrior:
    """What is likely of heights, by wave number, each (rows, columns // 2 + 1).

    Attributes:
        strength: per squared height (mm) of a vertex.
        traction: over Young's modulus, per height (1/mm), of a linear layer; 0 without it.
    """

    strength: Floats
    traction: Floats


def height_prior(kind: PriorKind, grid: HeightGrid, thickness_mm: float) -> HeightPrior:
    """A prior.

    Args:
        kind: of it.
        grid: of the heights.
        thickness_mm: of the gel.
    """
    kx, ky = grid.waves
    area = grid.spacing_mm**2
    curvature = ((kx**2 + ky**2) / USUAL_CURVATURE_PER_MM) ** 2
    if kind == "smooth":
        return HeightPrior(area * (curvature + USUAL_HEIGHT_MM**-2), np.zeros_like(curvature))
    layer = BondedLayer(thickness_mm, 1.0, POISSON_RATIO)
    traction = 1.0 / compliance(layer, kx, ky)[..., 2, 2].real
    return HeightPrior(area * MIN_SPACING_FRACTION * curvature, grid.spacing_mm * traction)
