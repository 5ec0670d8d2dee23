"""Triangle meshes of distance fields, by marching tetrahedra."""

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
FIRST_CELLS = 8  # at most, along the longest side of the box
PROJECTIONS = 4
CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
# Six tetrahedra around the diagonal of a cell (Kuhn): neighbours split their shared face alike.
TETRAHEDRA = np.array(
    [
        [0, *(int(4 * a[0] + 2 * a[1] + a[2]) for a in np.cumsum(np.eye(3, dtype=int)[list(p)], 0))]
        for p in itertools.permutations(range(3))
    ]
)
OFF_CORNER = 0.15  # of an edge: keeps vertices apart where the surface passes through a corner


def surface_mesh(
    distance: Callable[[Floats], Floats],
    derivatives: Callable[[Floats], Derivatives],
    bounds: Floats,
    spacing_mm: float,
) -> Trimesh:
    """The zero level of a distance field as a watertight mesh with outward normals.

    Cells without a surface are left out from coarse to fine, which is safe as a distance changes
    by no more than the way gone. Vertices are moved onto the surface along the gradient. Parts of
    the body that are thinner than the spacing get lost.

    Args:
        distance: (N, 3) mm to (N,) mm.
        derivatives: the same with the gradient.
        bounds: (2, 3) mm, box around the body.
        spacing_mm: of the finest cells.

    Raises:
        InputError: see `Indenter.mesh`.
    """
    import trimesh

    _check_spacing(bounds, spacing_mm)
    # Off by an odd part of a cell: planes of the body do not run along those of the grid.
    origin = bounds[0] - (1.0 + math.sqrt(0.1)) * spacing_mm
    cells = _cells_at_surface(distance, origin, bounds[1] + spacing_mm, spacing_mm)
    keys, corner = np.unique(_keys(cells[:, None] + CORNERS), return_inverse=True)
    at = origin + spacing_mm * _unpack(keys)
    values = distance(at)
    corner = corner.reshape(-1, 8)
    inner = (values[corner] < 0).sum(axis=1)
    four = corner[(inner > 0) & (inner < 8)][:, TETRAHEDRA].reshape(-1, 4)
    pairs = _triangles_on_edges(four, values, at)
    edges, triangles = np.unique(_edge_keys(pairs, len(at)), return_inverse=True)
    inside, outside = edges // len(at), edges % len(at)
    part = values[inside] / (values[inside] - values[outside])
    part = np.clip(part, OFF_CORNER, 1 - OFF_CORNER)[:, None]
    points = (1 - part) * at[inside] + part * at[outside]
    for _ in range(PROJECTIONS):
        field = derivatives(points)
        points = points - field.distance[:, None] * field.gradient
    return trimesh.Trimesh(points, triangles.reshape(-1, 3), process=False)


def _check_spacing(bounds: Floats, spacing_mm: float) -> None:
    coarsest = float(np.ptp(bounds, axis=0).min()) / 4
    if not 0 < spacing_mm <= coarsest:
        raise InputError(
            f"mesh spacing is {spacing_mm:g} mm, expected above 0 and up to {coarsest:g} mm, "
            "a quarter of the body's least extent"
        )


def _cells_at_surface(
    distance: Callable[[Floats], Floats], origin: Floats, end: Floats, spacing: float
) -> Ints:
    """(M, 3) indices of the cells that the surface may pass through."""
    step = 2 ** max(0, math.ceil(math.log2(float((end - origin).max()) / spacing / FIRST_CELLS)))
    counts = np.ceil((end - origin) / (step * spacing)).astype(int)
    cells = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    while True:
        centre = origin + (cells + 0.5) * step * spacing
        cells = cells[np.abs(distance(centre)) <= 0.87 * step * spacing]
        if len(cells) * step**2 > MAX_CELLS:  # halving cells gives four times as many
            raise InputError(
                f"mesh spacing of {spacing:g} mm gives more than {MAX_CELLS} cells: give a "
                "coarser one"
            )
        if step == 1:
            return cells
        step //= 2
        cells = (2 * cells[:, None] + CORNERS).reshape(-1, 3)


def _keys(index: Ints) -> Ints:
    keys: Ints = (index[..., 0] << 42) + (index[..., 1] << 21) + index[..., 2]
    return keys


def _unpack(keys: Ints) -> Ints:
    mask = (1 << 21) - 1
    return np.stack([keys >> 42, (keys >> 21) & mask, keys & mask], axis=-1)


def _triangles_on_edges(four: Ints, values: Floats, at: Floats) -> Ints:
    """(T, 3, 2) corners inside and outside of the cut edge at each corner of each triangle."""
    inner = values[four] < 0
    count = inner.sum(axis=1)
    order = np.argsort(~inner, axis=1, kind="stable")
    sorted_four = np.take_along_axis(four, order, axis=1)
    pieces = []
    for inside_count, cuts in (
        (1, [((0, 1), (0, 2), (0, 3))]),
        (2, [((0, 2), (0, 3), (1, 2)), ((1, 2), (0, 3), (1, 3))]),
        (3, [((0, 3), (1, 3), (2, 3))]),
    ):
        some = sorted_four[count == inside_count]
        for cut in cuts:
            pairs = some[:, np.array(cut)]
            pieces.append(_turned_outward(pairs, some, inside_count, at))
    return np.concatenate(pieces)


def _turned_outward(pairs: Ints, four: Ints, inside_count: int, at: Floats) -> Ints:
    """With the middles of edges, which are never degenerate: triangles that face the outside."""
    middle = at[pairs].mean(axis=2)
    normal = np.cross(middle[:, 1] - middle[:, 0], middle[:, 2] - middle[:, 0])
    inside = at[four[:, :inside_count]].mean(axis=1)
    outside = at[four[:, inside_count:]].mean(axis=1)
    wrong = (normal * (outside - inside)).sum(axis=1) < 0
    pairs[wrong] = pairs[wrong][:, ::-1]
    return pairs


def _edge_keys(pairs: Ints, count: int) -> Ints:
    keys: Ints = pairs[..., 0] * count + pairs[..., 1]
    return keys
