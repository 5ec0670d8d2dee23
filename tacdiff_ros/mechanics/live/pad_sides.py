"""Effect of the pad's free sides on the displacement, relative to an infinite layer.

The compliance of the pad from linear brick elements, condensed to its surface, minus the exact
kernel of the layer is a smooth field, except for the discretisation error of the coarse elements
near a load. This error is the same everywhere; it is measured at a load in the centre of the pad,
where the sides have no influence, and subtracted. The remainder is stored on the coarse grid of the
elements and interpolated.
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
# The local_error error is faded out between these distances from the load, over the thickness.
FADE_START, FADE_END = 0.75, 1.5


class PadSides:
    """Displacement that the sides add to that of the layer, for vertex forces on a grid.

    Limits: linear; accurate to some per cent for loads more than a millimetre from a side.
    """

    def __init__(
        self,
        pad: PadGrid,
        material: GelMaterial,
        element_over_thickness: float = ELEMENT_OVER_THICKNESS,
    ) -> None:
        """Compute the compliance of a pad; takes seconds, once per pad size in a process.

        Args:
            pad: dimensions and grid of the pad.
            material: gel material.
            element_over_thickness: size of the coarse elements over the pad's thickness; 0.3 takes
                a quarter of the time of the default and agrees with it to 0.001 mm RMS.
        """
        lines = tuple(
            _odd_lines(length, element_over_thickness * pad.thickness_mm)
            for length in (pad.height_mm, pad.width_mm)
        )
        sizes = (pad.width_mm, pad.height_mm, pad.thickness_mm)
        per_modulus = _side_compliance(sizes, lines, material.poisson_ratio)
        self._compliance = (per_modulus / material.young_modulus_mpa).astype(np.float32)
        self._lines = lines
        self._down = interpolation_matrix(pad.rows, lines[0])
        self._across = interpolation_matrix(pad.columns, lines[1])

    def displacement(self, force: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the displacement that the sides add.

        Args:
            force: (3, rows, columns) vertex forces, N.

        Returns:
            (3, rows, columns) displacement, mm.
        """
        coarse_force = self._down.T @ force @ self._across
        coarse = self._compliance @ coarse_force.astype(np.float32).ravel()
        return np.asarray(
            self._down @ coarse.reshape(3, *self._lines).astype(np.float64) @ self._across.T
        )


def _odd_lines(length_mm: float, element_mm: float) -> int:
    """Odd number of coarse grid lines along a side, so that one of them is central."""
    cells = round(length_mm / element_mm / 2.0) * 2
    return int(np.clip(cells, 4, MAX_LINES - 1)) + 1


@functools.lru_cache(maxsize=4)
def _side_compliance(
    sizes: tuple[float, float, float], lines: tuple[int, int], poisson_ratio: float
) -> NDArray[np.float32]:
    """Return the compliance that the sides add, for a Young's modulus of 1 MPa.

    Args:
        sizes: width, height and thickness of the pad, mm.
        lines: rows and columns of the coarse grid.
        poisson_ratio: Poisson's ratio.

    Returns:
        (3 n, 3 n) compliance on the n vertices of the coarse grid, mm/N, in the order component,
        row, column.
    """
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
    local_error = _local_error(np.asarray(sides, np.float64), kernel, mesh.spacing_mm, thickness)
    for row in range(rows):
        for column in range(columns):
            part = np.s_[
                rows - 1 - row : 2 * rows - 1 - row, columns - 1 - column : 2 * columns - 1 - column
            ]
            sides[:, :, :, row, column, :] -= kernel[part] + local_error[part]
    matrix = sides.transpose(2, 0, 1, 5, 3, 4).reshape(3 * rows * columns, -1)
    return np.asarray(0.5 * (matrix + matrix.T), np.float32)


def _local_error(
    compliance: NDArray[np.float64],
    kernel: NDArray[np.float64],
    spacing_mm: tuple[float, float],
    thickness_mm: float,
) -> NDArray[np.float64]:
    """Return the local_error discretisation error: elements minus kernel, around a central load.

    Args:
        compliance: (rows, columns, 3, rows, columns, 3) compliance of the elements, mm/N.
        kernel: (2 rows - 1, 2 columns - 1, 3, 3) kernel of the layer, mm/N.
        spacing_mm: spacing of the coarse grid along x and along y, mm.
        thickness_mm: thickness of the pad, mm.

    Returns:
        (2 rows - 1, 2 columns - 1, 3, 3) error by offset from the load, mm/N.
    """
    rows, columns = compliance.shape[:2]
    row, column = rows // 2, columns // 2
    local_error = np.zeros_like(kernel)
    part = np.s_[row : row + rows, column : column + columns]
    local_error[part] = compliance[:, :, :, row, column, :] - kernel[part]
    y = np.arange(1 - rows, rows)[:, None] * spacing_mm[1]
    x = np.arange(1 - columns, columns)[None, :] * spacing_mm[0]
    distance = np.hypot(x, y) / thickness_mm
    return (
        local_error
        * np.clip((FADE_END - distance) / (FADE_END - FADE_START), 0.0, 1.0)[:, :, None, None]
    )
