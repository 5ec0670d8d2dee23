"""Assignment of scattered blobs to rows and columns of a bent, tilted, incomplete lattice."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Largest distance between a neighbour and its predicted position, in steps.
_GATE = 0.38
#: Largest difference between the index of a blob across a gap and a whole number.
_ISLAND_GATE = 0.25
#: Largest distance of a blob across a gap from the extent of the lattice, in steps.
_MAX_GAP = 2.5
#: Minimum numbers of neighbour pairs for a lattice direction, and of blobs for a quadratic map.
_MIN_STEPS, _MIN_FOR_CURVE = 4, 14


@dataclass(frozen=True, eq=False)
class Lattice:
    """K blobs on a lattice, with indices that begin at 0 at the top left of the visible part."""

    blob: NDArray[np.int_]
    """(K,) indices into the array of blobs."""
    row: NDArray[np.int_]
    """(K,) rows, 0 at the top."""
    column: NDArray[np.int_]
    """(K,) columns, 0 at the left."""
    pitch_px: float
    """Median distance between neighbours, px."""

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """(visible rows, visible columns) bool, true for nodes with a blob."""
        nodes = np.zeros((self.row.max() + 1, self.column.max() + 1), bool)
        nodes[self.row, self.column] = True
        return nodes


@dataclass(frozen=True)
class _Step:
    """Candidate of the region growing: a blob for a node, with the local lattice steps."""

    blob: int
    node: tuple[int, int]
    """Row and column relative to the seed."""
    right: tuple[float, float]
    """Local step to the next column (x, y), px."""
    down: tuple[float, float]
    """Local step to the next row (x, y), px."""


def index_lattice(position: NDArray[np.float64]) -> Lattice | None:
    """Assign a row and column to each blob that belongs to a lattice.

    The lattice grows from the most regular blob, smallest misfits first, and each node passes its
    local steps on to its neighbours. Blobs across a gap are added with a quadratic map from
    position to index.

    Limits: the lattice may be bent and sheared such that its steps change by up to a third from
    node to node, and rotated by up to about 30 degrees. Blobs may be missing or foreign.

    Args:
        position: (N, 2) positions of the blobs (x, y), px.

    Returns:
        The lattice, or None if the blobs form none.
    """
    steps = _typical_steps(position)
    if steps is None:
        return None
    right, down = steps
    node_of: dict[int, tuple[int, int]] = {}
    seed = _regular_seed(position, right, down)
    _grow(position, node_of, _Step(seed, (0, 0), tuple(right), tuple(down)))
    while (island := _next_island(position, node_of)) is not None:
        _grow(position, node_of, _Step(*island, tuple(right), tuple(down)))
    blob = np.array(sorted(node_of))
    node = np.array([node_of[b] for b in blob])
    node -= node.min(axis=0)
    pitch = 0.5 * float(np.hypot(*right) + np.hypot(*down))
    return Lattice(blob=blob, row=node[:, 0], column=node[:, 1], pitch_px=pitch)


def _typical_steps(
    position: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the median steps (2,) to the next column and row, px.

    Steps are taken from the four nearest neighbours of each blob, if their length is between 0.65
    and 1.45 of the median distance of the two nearest ones. None if there are too few of either.
    """
    if len(position) < 2 * _MIN_STEPS:
        return None
    step = position[None] - position[:, None]
    length = np.hypot(step[..., 0], step[..., 1])
    np.fill_diagonal(length, np.inf)
    near = np.argsort(length, axis=1)[:, :4]
    typical = np.median(np.take_along_axis(length, near[:, :2], axis=1))
    step = np.take_along_axis(step, near[..., None], axis=1).reshape(-1, 2)
    length = np.take_along_axis(length, near, axis=1).reshape(-1)
    step = step[(length > 0.65 * typical) & (length < 1.45 * typical)]
    is_horizontal = np.abs(step[:, 0]) > np.abs(step[:, 1])
    right = step[is_horizontal] * np.sign(step[is_horizontal, :1])
    down = step[~is_horizontal] * np.sign(step[~is_horizontal, 1:])
    if min(len(right), len(down)) < _MIN_STEPS:
        return None
    return np.median(right, axis=0), np.median(down, axis=0)


def _nearest(
    position: NDArray[np.float64], expected: NDArray[np.float64]
) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Return the blob nearest to each of (M, 2) expected positions, and its distance, px."""
    distance = np.hypot(
        position[None, :, 0] - expected[:, None, 0], position[None, :, 1] - expected[:, None, 1]
    )
    blob = np.argmin(distance, axis=1)
    return blob, distance[np.arange(len(expected)), blob]


def _regular_seed(
    position: NDArray[np.float64], right: NDArray[np.float64], down: NDArray[np.float64]
) -> int:
    """Return the blob whose four neighbours are nearest to their predicted positions."""
    steps = np.stack([right, -right, down, -down])
    expected = (position[:, None] + steps).reshape(-1, 2)
    _, distance = _nearest(position, expected)
    return int(np.argmin(distance.reshape(-1, 4).sum(axis=1)))


def _grow(position: NDArray[np.float64], node_of: dict[int, tuple[int, int]], seed: _Step) -> None:
    """Add all blobs that can be reached from the seed to `node_of`, smallest misfits first."""
    occupied = set(node_of.values())
    queue: list[tuple[float, int, _Step]] = [(0.0, 0, seed)]
    order = 0
    while queue:
        _, _, step = heapq.heappop(queue)
        if step.blob in node_of or step.node in occupied:
            continue
        node_of[step.blob] = step.node
        occupied.add(step.node)
        for misfit, neighbour in _neighbours(position, step):
            order += 1
            heapq.heappush(queue, (misfit, order, neighbour))


def _neighbours(position: NDArray[np.float64], step: _Step) -> list[tuple[float, _Step]]:
    """Return the up to four neighbours of a node, each after its misfit in steps."""
    centre = position[step.blob]
    right, down = np.array(step.right), np.array(step.down)
    expected = centre + np.stack([right, -right, down, -down])
    blobs, distance = _nearest(position, expected)
    row, column = step.node
    nodes = [(row, column + 1), (row, column - 1), (row + 1, column), (row - 1, column)]
    neighbours = []
    for side, (blob, node) in enumerate(zip(blobs, nodes, strict=True)):
        predicted = right if side < 2 else down
        misfit = float(distance[side] / np.hypot(*predicted))
        if misfit > _GATE or blob == step.blob:
            continue
        measured = (position[blob] - centre) * (1.0 if side % 2 == 0 else -1.0)
        # The mean of both steps follows a bent lattice, but limits the effect of a single outlier.
        blend = tuple(0.5 * (predicted + measured))
        steps = (blend, step.down) if side < 2 else (step.right, blend)
        neighbours.append((misfit, _Step(int(blob), node, *steps)))
    return neighbours


def _next_island(
    position: NDArray[np.float64], node_of: dict[int, tuple[int, int]]
) -> tuple[int, tuple[int, int]] | None:
    """Return a blob across a gap and its node, or None if no blob has an unambiguous node.

    A quadratic map from position to index, fitted to the lattice so far, predicts the nodes of the
    other blobs; the one nearest to a whole index is taken.
    """
    if len(node_of) < _MIN_FOR_CURVE:
        return None
    assigned = np.array(list(node_of))
    node = np.array([node_of[b] for b in assigned], dtype=np.float64)
    others = np.setdiff1d(np.arange(len(position)), assigned)
    if others.size == 0:
        return None
    coefficients, *_ = np.linalg.lstsq(_quadratic_terms(position[assigned]), node, rcond=None)
    index = _quadratic_terms(position[others]) @ coefficients
    misfit = np.abs(index - np.rint(index)).max(axis=1)
    occupied = set(node_of.values())
    gap = np.maximum(node.min(axis=0) - index, index - node.max(axis=0)).max(axis=1)
    for i in np.argsort(misfit):
        candidate = (int(np.rint(index[i, 0])), int(np.rint(index[i, 1])))
        if misfit[i] < _ISLAND_GATE and gap[i] < _MAX_GAP and candidate not in occupied:
            return int(others[i]), candidate
    return None


def _quadratic_terms(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the terms (N, 6) of a quadratic polynomial in x and y, scaled to order 1."""
    x, y = 0.01 * position[:, 0], 0.01 * position[:, 1]
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=1)
