"""Triangle meshes of signed distance fields, by marching tetrahedra."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters.derivatives import Derivatives

if TYPE_CHECKING:
    from trimesh import Trimesh

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_CELLS = 2_000_000
MAX_FIRST_CELLS = 8  # coarsest cells along the longest side of the box
PROJECTIONS = 4  # Newton steps of the vertices onto the surface
CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
# Six tetrahedra around the diagonal of a cell (Kuhn): adjacent cells split their shared face in
# the same way.
TETRAHEDRA = np.array(
    [
        [0, *(int(4 * a[0] + 2 * a[1] + a[2]) for a in np.cumsum(np.eye(3, dtype=int)[list(p)], 0))]
        for p in itertools.permutations(range(3))
    ]
)
MIN_EDGE_FRACTION = 0.15  # keeps vertices apart where the surface passes through a grid corner


def surface_mesh(
    distance: Callable[[Floats], Floats],
    derivatives: Callable[[Floats], Derivatives],
    bounds: Floats,
    spacing_mm: float,
) -> Trimesh:
    """Returns the zero level set of a distance field as a watertight mesh with outward normals.

    Cells that cannot contain the surface are discarded from coarse to fine; the test is safe
    because a distance field has a Lipschitz constant of 1. Vertices are projected onto the surface
    along the gradient.

    Limits: parts of the body that are thinner than the spacing are missing.

    Args:
        distance: function from points (N, 3), mm, to signed distances (N,), mm.
        derivatives: function from points (N, 3), mm, to distances with gradients.
        bounds: (2, 3) bounding box of the body, mm.
        spacing_mm: size of the finest cells, mm.

    Returns:
        Watertight mesh, mm.

    Raises:
        InputError: the spacing is out of bounds; see `Indenter.mesh`.
    """
    import trimesh

    _check_spacing(bounds, spacing_mm)
    # An irrational fraction of a cell keeps planes of the body off the planes of the grid.
    origin = bounds[0] - (1.0 + math.sqrt(0.1)) * spacing_mm
    cells = _cells_at_surface(distance, origin, bounds[1] + spacing_mm, spacing_mm)
    keys, corner = np.unique(_corner_keys(cells[:, None] + CORNERS), return_inverse=True)
    position = origin + spacing_mm * _corner_indices(keys)
    values = distance(position)
    corner = corner.reshape(-1, 8)
    inside_count = (values[corner] < 0).sum(axis=1)
    cut = (inside_count > 0) & (inside_count < 8)
    tetrahedra = corner[cut][:, TETRAHEDRA].reshape(-1, 4)
    pairs = _triangles_on_edges(tetrahedra, values, position)
    edges, triangles = np.unique(_edge_keys(pairs, len(position)), return_inverse=True)
    inside, outside = edges // len(position), edges % len(position)
    fraction = values[inside] / (values[inside] - values[outside])
    fraction = np.clip(fraction, MIN_EDGE_FRACTION, 1 - MIN_EDGE_FRACTION)[:, None]
    points = (1 - fraction) * position[inside] + fraction * position[outside]
    points = _projected(points, derivatives)
    return trimesh.Trimesh(points, triangles.reshape(-1, 3), process=False)


def _projected(points: Floats, derivatives: Callable[[Floats], Derivatives]) -> Floats:
    """Returns points (N, 3), mm, after Newton steps onto the surface along the gradient."""
    for _ in range(PROJECTIONS):
        field = derivatives(points)
        points = points - field.distance[:, None] * field.gradient
    return points


def _check_spacing(bounds: Floats, spacing_mm: float) -> None:
    """Raises an InputError unless a spacing fits the bounding box (2, 3) of a body, mm."""
    max_spacing_mm = float(np.ptp(bounds, axis=0).min()) / 4
    if not 0 < spacing_mm <= max_spacing_mm:
        raise InputError(
            f"mesh spacing is {spacing_mm:g} mm, expected above 0 and up to {max_spacing_mm:g} mm, "
            "a quarter of the body's smallest extent"
        )


def _cells_at_surface(
    distance: Callable[[Floats], Floats], origin: Floats, end: Floats, spacing: float
) -> Ints:
    """Returns indices (M, 3) of the finest cells that the surface may pass through.

    A cell of size h is kept if the distance at its centre is at most 0.87 h, which is above half
    of its diagonal, sqrt(3) / 2 h.
    """
    step = 2 ** max(
        0, math.ceil(math.log2(float((end - origin).max()) / spacing / MAX_FIRST_CELLS))
    )
    counts = np.ceil((end - origin) / (step * spacing)).astype(int)
    cells = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    while True:
        centre = origin + (cells + 0.5) * step * spacing
        cells = cells[np.abs(distance(centre)) <= 0.87 * step * spacing]
        if len(cells) * step**2 > MAX_CELLS:  # halving the cell size quadruples their number
            raise InputError(
                f"mesh spacing of {spacing:g} mm gives more than {MAX_CELLS} cells: give a "
                "coarser spacing"
            )
        if step == 1:
            return cells
        step //= 2
        cells = (2 * cells[:, None] + CORNERS).reshape(-1, 3)


def _corner_keys(index: Ints) -> Ints:
    """Returns one integer (...,) for each corner index (..., 3), 21 bits for each axis."""
    keys: Ints = (index[..., 0] << 42) + (index[..., 1] << 21) + index[..., 2]
    return keys


def _corner_indices(keys: Ints) -> Ints:
    """Returns the corner indices (..., 3) of the keys (...,) from `_corner_keys`."""
    mask = (1 << 21) - 1
    return np.stack([keys >> 42, (keys >> 21) & mask, keys & mask], axis=-1)


def _triangles_on_edges(tetrahedra: Ints, values: Floats, position: Floats) -> Ints:
    """Returns the triangles in which the surface cuts tetrahedra.

    Args:
        tetrahedra: (M, 4) indices of grid corners.
        values: (N,) distances at the grid corners, mm.
        position: (N, 3) grid corners, mm.

    Returns:
        (T, 3, 2) indices of the grid corners inside and outside the surface, between which each
        vertex of each triangle lies.
    """
    is_inside = values[tetrahedra] < 0
    count = is_inside.sum(axis=1)
    order = np.argsort(~is_inside, axis=1, kind="stable")
    inside_first = np.take_along_axis(tetrahedra, order, axis=1)
    pieces = []
    for inside_count, cuts in (
        (1, [((0, 1), (0, 2), (0, 3))]),
        (2, [((0, 2), (0, 3), (1, 2)), ((1, 2), (0, 3), (1, 3))]),
        (3, [((0, 3), (1, 3), (2, 3))]),
    ):
        selected = inside_first[count == inside_count]
        for cut in cuts:
            pairs = selected[:, np.array(cut)]
            pieces.append(_oriented_outward(pairs, selected, inside_count, position))
    return np.concatenate(pieces)


def _oriented_outward(pairs: Ints, tetrahedra: Ints, inside_count: int, position: Floats) -> Ints:
    """Returns triangles (T, 3, 2) in an order of vertices whose normal points outward.

    The normal is that of the triangle between the middles of the edges, which is never degenerate.
    """
    middle = position[pairs].mean(axis=2)
    normal = np.cross(middle[:, 1] - middle[:, 0], middle[:, 2] - middle[:, 0])
    inside = position[tetrahedra[:, :inside_count]].mean(axis=1)
    outside = position[tetrahedra[:, inside_count:]].mean(axis=1)
    inward = (normal * (outside - inside)).sum(axis=1) < 0
    pairs[inward] = pairs[inward][:, ::-1]
    return pairs


def _edge_keys(pairs: Ints, count: int) -> Ints:
    """Returns one integer (...,) for each pair (..., 2) of indices below a count."""
    keys: Ints = pairs[..., 0] * count + pairs[..., 1]
    return keys
