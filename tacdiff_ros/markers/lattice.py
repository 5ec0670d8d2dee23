"""Order of scattered spots on a bent, tilted, incomplete lattice."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A spot is the expected neighbour when it is this near to the prediction, in steps.
_GATE = 0.38
#: A spot beyond a gap belongs to the lattice when its index is this near to a whole number.
_ISLAND_GATE = 0.25
#: Fewest spots that give a direction, and that support a curved map.
_MIN_STEPS, _MIN_FOR_CURVE = 4, 14


@dataclass(frozen=True, eq=False)
class Lattice:
    """Spots that form a lattice; indices are relative, from 0 at the top left of what is seen."""

    spot: NDArray[np.int_]
    """(K,) which of the given spots."""
    row: NDArray[np.int_]
    """(K,) row of each, 0 at the top."""
    column: NDArray[np.int_]
    """(K,) column of each, 0 at the left."""
    pitch_px: float
    """Median distance between neighbours, px."""

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Which nodes have a spot: (rows seen, columns seen)."""
        nodes = np.zeros((self.row.max() + 1, self.column.max() + 1), bool)
        nodes[self.row, self.column] = True
        return nodes


@dataclass(frozen=True)
class _Step:
    """A node to be added to the lattice; the smallest misfit is added first."""

    spot: int
    node: tuple[int, int]
    right: tuple[float, float]
    down: tuple[float, float]


def index_lattice(position: NDArray[np.float64]) -> Lattice | None:
    """Give each spot that belongs to the lattice its row and column; None without a lattice.

    position: (N, 2) px (x, y). The lattice may be bent and sheared, its steps changing by up to
    a third from node to node, and turned by up to about 30 degrees; spots may be missing or
    foreign. It grows from the most regular spot, best fits first, each node taking its local
    steps along. Spots beyond a gap join through a smooth map from position to index.
    """
    steps = _typical_steps(position)
    if steps is None:
        return None
    right, down = steps
    node_of: dict[int, tuple[int, int]] = {}
    seed = _most_regular(position, right, down)
    _grow(position, node_of, _Step(seed, (0, 0), tuple(right), tuple(down)))
    while (island := _next_island(position, node_of)) is not None:
        _grow(position, node_of, _Step(*island, tuple(right), tuple(down)))
    spot = np.array(sorted(node_of))
    node = np.array([node_of[s] for s in spot])
    node -= node.min(axis=0)
    pitch = 0.5 * float(np.hypot(*right) + np.hypot(*down))
    return Lattice(spot=spot, row=node[:, 0], column=node[:, 1], pitch_px=pitch)


def _typical_steps(
    position: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Median steps (2,) to the right and down between neighbours, px."""
    if len(position) < 2 * _MIN_STEPS:
        return None
    step = position[None] - position[:, None]
    length = np.hypot(step[..., 0], step[..., 1])
    np.fill_diagonal(length, np.inf)
    near = np.argsort(length, axis=1)[:, :4]
    usual = np.median(np.take_along_axis(length, near[:, :2], axis=1))
    step = np.take_along_axis(step, near[..., None], axis=1).reshape(-1, 2)
    length = np.take_along_axis(length, near, axis=1).reshape(-1)
    step = step[(length > 0.65 * usual) & (length < 1.45 * usual)]
    across = np.abs(step[:, 0]) > np.abs(step[:, 1])
    rights = step[across] * np.sign(step[across, :1])
    downs = step[~across] * np.sign(step[~across, 1:])
    if min(len(rights), len(downs)) < _MIN_STEPS:
        return None
    return np.median(rights, axis=0), np.median(downs, axis=0)


def _nearest(
    position: NDArray[np.float64], expected: NDArray[np.float64]
) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Nearest spot to each of (M, 2) expected places, and its distance, px."""
    distance = np.hypot(
        position[None, :, 0] - expected[:, None, 0], position[None, :, 1] - expected[:, None, 1]
    )
    spot = np.argmin(distance, axis=1)
    return spot, distance[np.arange(len(expected)), spot]


def _most_regular(
    position: NDArray[np.float64], right: NDArray[np.float64], down: NDArray[np.float64]
) -> int:
    """The spot whose four neighbours are nearest to where the typical steps say."""
    steps = np.stack([right, -right, down, -down])
    expected = (position[:, None] + steps).reshape(-1, 2)
    _, distance = _nearest(position, expected)
    return int(np.argmin(distance.reshape(-1, 4).sum(axis=1)))


def _grow(position: NDArray[np.float64], node_of: dict[int, tuple[int, int]], seed: _Step) -> None:
    """Add to `node_of` every spot that can be reached from the seed, best fits first."""
    taken = set(node_of.values())
    queue: list[tuple[float, int, _Step]] = [(0.0, 0, seed)]
    order = 0
    while queue:
        _, _, step = heapq.heappop(queue)
        if step.spot in node_of or step.node in taken:
            continue
        node_of[step.spot] = step.node
        taken.add(step.node)
        for misfit, following in _neighbours(position, step):
            order += 1
            heapq.heappush(queue, (misfit, order, following))


def _neighbours(position: NDArray[np.float64], step: _Step) -> list[tuple[float, _Step]]:
    """The up to four spots next to a node, with their misfit in steps."""
    here = position[step.spot]
    right, down = np.array(step.right), np.array(step.down)
    expected = here + np.stack([right, -right, down, -down])
    spots, distance = _nearest(position, expected)
    row, column = step.node
    nodes = [(row, column + 1), (row, column - 1), (row + 1, column), (row - 1, column)]
    found = []
    for side, (spot, node) in enumerate(zip(spots, nodes, strict=True)):
        along = right if side < 2 else down
        misfit = float(distance[side] / np.hypot(*along))
        if misfit > _GATE or spot == step.spot:
            continue
        seen = (position[spot] - here) * (1.0 if side % 2 == 0 else -1.0)
        # Half of the step just seen: the lattice may bend, but one odd dot must not bend it.
        blend = tuple(0.5 * (along + seen))
        steps = (blend, step.down) if side < 2 else (step.right, blend)
        found.append((misfit, _Step(int(spot), node, *steps)))
    return found


def _next_island(
    position: NDArray[np.float64], node_of: dict[int, tuple[int, int]]
) -> tuple[int, tuple[int, int]] | None:
    """A spot beyond a gap whose index is clear from the lattice so far, or None."""
    if len(node_of) < _MIN_FOR_CURVE:
        return None
    known = np.array(list(node_of))
    node = np.array([node_of[s] for s in known], dtype=np.float64)
    rest = np.setdiff1d(np.arange(len(position)), known)
    if rest.size == 0:
        return None
    coefficients, *_ = np.linalg.lstsq(_curve(position[known]), node, rcond=None)
    index = _curve(position[rest]) @ coefficients
    misfit = np.abs(index - np.rint(index)).max(axis=1)
    taken = set(node_of.values())
    beyond = np.maximum(node.min(axis=0) - index, index - node.max(axis=0)).max(axis=1)
    for i in np.argsort(misfit):
        candidate = (int(np.rint(index[i, 0])), int(np.rint(index[i, 1])))
        if misfit[i] < _ISLAND_GATE and beyond[i] < 2.5 and candidate not in taken:
            return int(rest[i]), candidate
    return None


def _curve(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Terms of a quadratic in x and y, (N, 6)."""
    x, y = 0.01 * position[:, 0], 0.01 * position[:, 1]
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=1)
