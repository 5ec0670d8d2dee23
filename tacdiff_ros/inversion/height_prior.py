"""Priors of the gel's heights, as weights by wave number.

`smooth`: the curvature is small. `elastic`: the tractions that would press a linear elastic layer
into this shape are small (see `mechanics.layer_compliance`). The elastic prior also makes the gel
bulge beside a contact and determines the mean height, which slopes do not constrain.
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
USUAL_HEIGHT_MM = 3.0  # of the smooth prior, which would otherwise leave the mean height free
MIN_SPACING_FRACTION = 0.5  # of the elastic prior's curvature term


@dataclass(frozen=True)
class HeightPrior:
    """Quadratic prior of the heights in the Fourier domain.

    Attributes:
        strength: (rows, columns // 2 + 1) weight of the squared height (mm) of a vertex.
        traction: (rows, columns // 2 + 1) traction on a linear elastic layer, over Young's modulus,
            per height (1/mm); 0 for the smooth prior.
    """

    strength: Floats
    traction: Floats


def height_prior(kind: PriorKind, grid: HeightGrid, thickness_mm: float) -> HeightPrior:
    """Return the prior of one kind on one grid.

    Args:
        kind: kind of prior, "smooth" or "elastic".
        grid: grid of the heights.
        thickness_mm: thickness of the gel, mm; used by the elastic prior.
    """
    kx, ky = grid.wave_numbers
    area = grid.spacing_mm**2
    curvature = ((kx**2 + ky**2) / USUAL_CURVATURE_PER_MM) ** 2
    if kind == "smooth":
        return HeightPrior(area * (curvature + USUAL_HEIGHT_MM**-2), np.zeros_like(curvature))
    layer = BondedLayer(thickness_mm, 1.0, POISSON_RATIO)
    traction = 1.0 / compliance(layer, kx, ky)[..., 2, 2].real
    return HeightPrior(area * MIN_SPACING_FRACTION * curvature, grid.spacing_mm * traction)
