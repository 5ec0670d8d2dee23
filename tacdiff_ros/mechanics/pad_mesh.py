"""Hexahedral mesh of the gel pad, numbering of its unknowns and sparsity of its stiffness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tacdiff_ros.errors import InputError

MIN_LINES, MAX_LINES = 5, 257  # surface vertices along each side
GAUSS_POINTS = np.array(
    [[x, y, z] for z in (-1.0, 1.0) for y in (-1.0, 1.0) for x in (-1.0, 1.0)]
) / np.sqrt(3.0)
CORNERS = np.array([[x, y, z] for z in (-1.0, 1.0) for y in (-1.0, 1.0) for x in (-1.0, 1.0)])


@dataclass(frozen=True)
class PadMesh:
    """Box of `rows - 1` x `columns - 1` x `layers` hexahedra, glued to the glass at its bottom.

    Nodes are numbered with the height running fastest, then the columns (x), then the rows (y): the
    `layers` free nodes above one point of the glass have consecutive numbers. The nodes on the
    glass are fixed and have no number. Degree of freedom 3 n + i is the displacement of node n
    along axis i.

    Attributes:
        x_mm: (columns,) rising x coordinates of the surface's grid lines, mm.
        y_mm: (rows,) rising y coordinates of the surface's grid lines, mm.
        heights_mm: (layers + 1,) z coordinates of the node planes, from the glass (lowest) to 0,
            mm.
    """

    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    heights_mm: NDArray[np.float64]

    @property
    def columns(self) -> int:
        """Number of surface vertices along x."""
        return len(self.x_mm)

    @property
    def rows(self) -> int:
        """Number of surface vertices along y."""
        return len(self.y_mm)

    @property
    def layers(self) -> int:
        """Number of elements through the thickness."""
        return len(self.heights_mm) - 1

    @property
    def node_count(self) -> int:
        """Number of free nodes."""
        return self.rows * self.columns * self.layers

    @property
    def unknown_count(self) -> int:
        """Number of degrees of freedom."""
        return 3 * self.node_count

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Smallest distance of neighbouring vertices along x and along y, mm."""
        return float(np.diff(self.x_mm).min()), float(np.diff(self.y_mm).min())

    @property
    def surface_nodes(self) -> NDArray[np.int64]:
        """(rows * columns,) node numbers of the coated surface, row-major like `GelSurface`."""
        return np.arange(self.rows * self.columns) * self.layers + self.layers - 1

    def nodes(self) -> NDArray[np.float64]:
        """Return the (node_count, 3) rest positions of the free nodes in mm."""
        grid = np.meshgrid(self.y_mm, self.x_mm, self.heights_mm[1:], indexing="ij")
        return np.stack([grid[1], grid[0], grid[2]], axis=-1).reshape(-1, 3)

    def elements(self) -> NDArray[np.int32]:
        """Return the (elements, 8) node numbers, -1 on the glass; the layer index runs fastest."""
        number = np.full((self.rows, self.columns, self.layers + 1), -1, np.int32)
        number[:, :, 1:] = np.arange(self.node_count).reshape(self.rows, self.columns, self.layers)
        corners = [
            number[b : self.rows - 1 + b, a : self.columns - 1 + a, c : self.layers + c].ravel()
            for c in (0, 1)
            for b in (0, 1)
            for a in (0, 1)
        ]
        return np.stack(corners, axis=1)

    def tributary_area_mm2(self) -> NDArray[np.float64]:
        """Return the (rows * columns,) rest area of the surface around each vertex in mm^2."""
        return np.outer(_tributary_lengths(self.y_mm), _tributary_lengths(self.x_mm)).ravel()

    def element_sizes(self) -> NDArray[np.float64]:
        """Return the (elements, 3) edge lengths in mm, in the order of `elements`."""
        steps = (np.diff(self.y_mm), np.diff(self.x_mm), np.diff(self.heights_mm))
        along_y, along_x, along_z = np.meshgrid(*steps, indexing="ij")
        return np.stack([along_x, along_y, along_z], axis=-1).reshape(-1, 3)


def build_pad_mesh(
    width_mm: float,
    height_mm: float,
    thickness_mm: float,
    rows: int,
    columns: int,
    layers: int = 6,
    grading: float = 1.25,
) -> PadMesh:
    """Build a mesh whose layers grow by a constant factor from the coated surface to the glass.

    Args:
        width_mm: pad size along x, mm.
        height_mm: pad size along y, mm.
        thickness_mm: pad size along z, mm.
        rows: number of surface vertices along y.
        columns: number of surface vertices along x.
        layers: number of elements through the thickness.
        grading: thickness ratio of successive layers.

    Raises:
        InputError: rows or columns are not 5 to 257, layers not 2 to 64, grading not 1 to 2, or a
            length is not 0.5 to 200 mm.
    """
    for name, lines in (("rows", rows), ("columns", columns)):
        if not MIN_LINES <= lines <= MAX_LINES:
            raise InputError(
                f"pad mesh: {lines} {name}, expected {MIN_LINES} to {MAX_LINES} vertices"
            )
    if not 2 <= layers <= 64 or not 1.0 <= grading <= 2.0:
        raise InputError(
            f"pad mesh: {layers} layers growing by {grading}, expected 2 to 64 and 1.0 to 2.0"
        )
    for name, length in (("width", width_mm), ("height", height_mm), ("thickness", thickness_mm)):
        if not 0.5 <= length <= 200.0:
            raise InputError(f"pad mesh: {name} is {length} mm, expected 0.5 to 200 mm")
    steps = grading ** np.arange(layers)
    depth = np.concatenate([[0.0], np.cumsum(steps)]) * (thickness_mm / steps.sum())
    x = np.linspace(-width_mm / 2, width_mm / 2, columns)
    y = np.linspace(-height_mm / 2, height_mm / 2, rows)
    return PadMesh(x_mm=x, y_mm=y, heights_mm=-depth[::-1])


def _tributary_lengths(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) tributary length of each grid line: half of the distance to both neighbours."""
    half = 0.5 * np.diff(lines)
    return np.concatenate([half, [0.0]]) + np.concatenate([[0.0], half])


def shape_gradients() -> NDArray[np.float64]:
    """Return the gradients of the trilinear shape functions in [-1, 1]^3.

    Returns:
        (8, 8, 3) gradients: Gauss point, corner, axis.

    Source: Hughes, The Finite Element Method, 3.5.
    """
    factor = 1.0 + CORNERS[None] * GAUSS_POINTS[:, None]
    return np.stack(
        [
            CORNERS[:, i] * factor[:, :, (i + 1) % 3] * factor[:, :, (i + 2) % 3] / 8.0
            for i in range(3)
        ],
        axis=-1,
    )


@dataclass(frozen=True)
class StiffnessPattern:
    """Sparsity pattern of the stiffness: upper triangle in compressed sparse rows (CSR).

    Attributes:
        indptr: (unknowns + 1,) int32 row pointers.
        indices: (entries,) int32 column numbers, sorted within each row.
        targets: (elements, 300) int32 entry numbers to which each pair of element unknowns (upper
            triangle, row by row) is added; the number of entries for pairs with a fixed node.
    """

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    targets: NDArray[np.int32]


def stiffness_pattern(mesh: PadMesh) -> StiffnessPattern:
    """Return the sparsity pattern of the pad's stiffness matrix."""
    elements = mesh.elements()
    unknowns = np.where(elements[:, :, None] >= 0, 3 * elements[:, :, None] + np.arange(3), -1)
    unknowns = unknowns.reshape(-1, 24)
    upper = np.triu_indices(24)
    row, column = unknowns[:, upper[0]], unknowns[:, upper[1]]
    row, column = np.minimum(row, column), np.maximum(row, column)
    free = row >= 0
    keys = row[free].astype(np.int64) * mesh.unknown_count + column[free]
    entries, inverse = np.unique(keys, return_inverse=True)
    targets = np.full(row.shape, len(entries), np.int32)
    targets[free] = inverse
    rows = (entries // mesh.unknown_count).astype(np.int64)
    indptr = np.searchsorted(rows, np.arange(mesh.unknown_count + 1)).astype(np.int32)
    return StiffnessPattern(
        indptr=indptr,
        indices=(entries % mesh.unknown_count).astype(np.int32),
        targets=targets,
    )


def full_matrix(pattern: StiffnessPattern, entries: NDArray[np.float64]) -> sparse.csr_matrix:
    """Return the symmetric matrix with both triangles.

    Args:
        pattern: sparsity pattern of the upper triangle.
        entries: (entries,) values in the order of the pattern, N/mm.
    """
    size = len(pattern.indptr) - 1
    upper = sparse.csr_matrix((entries, pattern.indices, pattern.indptr), shape=(size, size))
    return upper + sparse.triu(upper, 1).T
