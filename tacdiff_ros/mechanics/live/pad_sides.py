"""What the free sides of the pad change in the answer of a layer without sides.

The pad as linear brick elements, condensed to its surface, less the layer's exact kernel, is a
smooth field but for what coarse elements get wrong near a load. That part is alike everywhere; it
is read off a load in the middle of the pad, where no side is felt, and taken out. The rest is kept
on the coarse grid of the elements and interpolated.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.layer_compliance import BondedLayer, surface_kernel
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.smoothing import interpolation_matrix
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import build_pad_mesh
from tacdiff_ros.mechanics.pardiso import CondensedFactor

ELEMENT_OVER_THICKNESS = 0.21
MAX_LINES = 31
NEAR, FAR = 0.75, 1.5  # between these distances over the thickness, the local part is faded out


class PadSides:
    """Displacement that the sides add to the layer's, for forces on the vertices of a grid.

    Limits: linear; right to some per cent for loads farther than a millimetre from a side.
    """

    def __init__(self, pad: PadGrid, material: GelMaterial) -> None:
        """Solve for a pad; seconds for the first of its kind in a process."""
        lines = tuple(
            _odd_lines(length, pad.thickness_mm) for length in (pad.height_mm, pad.width_mm)
        )
        sizes = (pad.width_mm, pad.height_mm, pad.thickness_mm)
        per_modulus = _side_compliance(sizes, lines, material.poisson_ratio)
        self._compliance = (per_modulus / material.young_modulus_mpa).astype(np.float32)
        self._lines = lines
        self._down = interpolation_matrix(pad.rows, lines[0])
        self._across = interpolation_matrix(pad.columns, lines[1])

    def displacement(self, force: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, rows, columns) mm for vertex forces (3, rows, columns) N."""
        coarse = self._down.T @ force @ self._across
        answer = self._compliance @ coarse.astype(np.float32).ravel()
        return np.asarray(
            self._down @ answer.reshape(3, *self._lines).astype(np.float64) @ self._across.T
        )


def _odd_lines(length_mm: float, thickness_mm: float) -> int:
    cells = round(length_mm / (ELEMENT_OVER_THICKNESS * thickness_mm) / 2.0) * 2
    return int(np.clip(cells, 4, MAX_LINES - 1)) + 1


@functools.lru_cache(maxsize=4)
def _side_compliance(
    sizes: tuple[float, float, float], lines: tuple[int, int], poisson_ratio: float
) -> NDArray[np.float32]:
    """(3 n, 3 n) mm/N for a Young's modulus of 1 MPa; component, row, column of the coarse grid."""
    width, height, thickness = sizes
    rows, columns = lines
    mesh = build_pad_mesh(width, height, thickness, rows, columns)
    material = GelMaterial(young_modulus_mpa=1.0, poisson_ratio=poisson_ratio)
    pad = ElasticPad(mesh, material)
    unknowns = (3 * mesh.surface_nodes[:, None] + np.arange(3)).ravel()
    with CondensedFactor(pad.pattern, unknowns) as factor:
        schur = factor.factorise(pad.stiffness(np.zeros(mesh.unknown_count))[1])
    shape = (rows, columns, 3)
    sides = np.linalg.inv(schur).reshape(*shape, *shape)
    layer = BondedLayer(thickness, 1.0, poisson_ratio)
    kernel = surface_kernel(layer, rows, columns, mesh.spacing_mm).values
    local = _local_part(np.asarray(sides, np.float64), kernel, mesh.spacing_mm, thickness)
    for row in range(rows):
        for column in range(columns):
            part = np.s_[
                rows - 1 - row : 2 * rows - 1 - row, columns - 1 - column : 2 * columns - 1 - column
            ]
            sides[:, :, :, row, column, :] -= kernel[part] + local[part]
    matrix = sides.transpose(2, 0, 1, 5, 3, 4).reshape(3 * rows * columns, -1)
    return np.asarray(0.5 * (matrix + matrix.T), np.float32)


def _local_part(
    compliance: NDArray[np.float64],
    kernel: NDArray[np.float64],
    spacing_mm: tuple[float, float],
    thickness_mm: float,
) -> NDArray[np.float64]:
    """(2 rows - 1, 2 columns - 1, 3, 3) mm/N, elements less kernel near a load in the middle."""
    rows, columns = compliance.shape[:2]
    row, column = rows // 2, columns // 2
    local = np.zeros_like(kernel)
    part = np.s_[row : row + rows, column : column + columns]
    local[part] = compliance[:, :, :, row, column, :] - kernel[part]
    y = np.arange(1 - rows, rows)[:, None] * spacing_mm[1]
    x = np.arange(1 - columns, columns)[None, :] * spacing_mm[0]
    distance = np.hypot(x, y) / thickness_mm
    return local * np.clip((FAR - distance) / (FAR - NEAR), 0.0, 1.0)[:, :, None, None]
