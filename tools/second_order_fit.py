"""Fit the weights of the second-order term to states of the full solver."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.live.second_order import (
    SCALARS,
    VECTORS,
    WIDTHS,
    SecondOrder,
    SecondOrderWeights,
)
from tacdiff_ros.mechanics.live.smoothing import slopes

Floats = NDArray[np.float64]
RIDGE = 1e-2


@dataclass(frozen=True)
class FitState:
    """A state of the full solver beside the linear answer to the same forces.

    Attributes:
        group: states of one group (an indenter) count as much as those of another, however many
            and however deformed they are.
        term: of the grid of this state; its weights do not matter.
        displacement: (3, rows, columns) mm, of the full solver.
        linear: (3, rows, columns) mm, of the linear gel under `force`.
        force: (3, rows, columns) N, of the full solver.
    """

    group: str
    term: SecondOrder
    displacement: Floats
    linear: Floats
    force: Floats


@dataclass
class _Normal:
    """Normal equations of one group."""

    matrix: Floats
    right: Floats
    power: float

    @classmethod
    def empty(cls, terms: int) -> _Normal:
        return cls(np.zeros((terms, terms)), np.zeros(terms), 0.0)

    def add(self, design: Floats, goal: Floats) -> None:
        self.matrix += design @ design.T
        self.right += design @ goal
        self.power += float(goal @ goal)


def fit_second_order(states: Iterable[FitState], ridge: float = RIDGE) -> SecondOrderWeights:
    """Weights by ridge regression on the difference of full and linear displacement.

    Args:
        states: pressed, sheared and twisted, by several indenters.
        ridge: added to the diagonal of the normalised normal equations.

    Raises:
        InputError: no states.
    """
    plane: dict[str, _Normal] = {}
    normal: dict[str, _Normal] = {}
    terms = len(WIDTHS) * (len(VECTORS) + len(SCALARS))
    for state in states:
        in_plane, upright = _design(state)
        missing = state.displacement - state.linear
        for table, design, goal in (
            (plane, in_plane, missing[:2]),
            (normal, upright, missing[2]),
        ):
            group = table.setdefault(state.group, _Normal.empty(terms))
            group.add(design.reshape(terms, -1), goal.ravel())
    if not plane:
        raise InputError("second-order fit: no states given")
    split = len(WIDTHS) * len(VECTORS)
    in_plane, upright = _solve(plane, ridge), _solve(normal, ridge)
    rows = len(WIDTHS)
    return SecondOrderWeights(
        in_plane[:split].reshape(rows, -1),
        in_plane[split:].reshape(rows, -1),
        upright[split:].reshape(rows, -1),
        upright[:split].reshape(rows, -1),
    )


def _solve(groups: dict[str, _Normal], ridge: float) -> Floats:
    matrix = sum(group.matrix / group.power for group in groups.values())
    right = sum(group.right / group.power for group in groups.values())
    scale = np.sqrt(np.diag(matrix)) + 1e-12
    scaled = matrix / np.outer(scale, scale) + ridge * np.eye(len(scale))
    return np.asarray(np.linalg.solve(scaled, right / scale) / scale)


def _design(state: FitState) -> tuple[Floats, Floats]:
    """Terms for in-plane (terms, 2, rows, columns) and normal (terms, rows, columns), mm."""
    term = state.term
    vectors, scalars = term.products(state.displacement, state.force)
    count = len(WIDTHS)
    shape = scalars.shape[1:]
    wide = np.broadcast_to(
        np.concatenate([vectors.reshape(-1, *shape), scalars]),
        (count, 2 * len(VECTORS) + len(SCALARS), *shape),
    )
    smooth = term.thickness_mm * term.smoothed(wide)
    vector = smooth[:, : 2 * len(VECTORS)].reshape(count * len(VECTORS), 2, *shape)
    scalar = smooth[:, 2 * len(VECTORS) :].reshape(count * len(SCALARS), *shape)
    by_x, by_y = slopes(scalar, term.spacing)
    spread = slopes(vector[:, 0], term.spacing)[0] + slopes(vector[:, 1], term.spacing)[1]
    in_plane = np.concatenate([vector, np.stack([by_x, by_y], axis=1)])
    return in_plane, np.concatenate([spread, scalar])
