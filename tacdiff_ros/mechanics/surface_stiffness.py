"""Stiffness behind the contact as the solver sees it: condensed or whole."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.closing import Closing
from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.linear_gel import LinearGel


class SurfaceStiffness(Closing):
    """Stiffness of the pad for n nodes, reused until the caller marks it as stale.

    The creator has to call `close`.

    Attributes:
        points: contact points on the candidate faces; their vertices are indices into `nodes`.
        nodes: (n,) node numbers.
        rest: (n, 3) rest positions of these nodes, mm.
        stale: True if the stiffness has to be computed again before the next solution.
        is_closed: True after `close`.
        inexactness: residual of the linearised contact problem, over that of the nonlinear model,
            at which its solution may end; 0 for solutions as exact as possible.
    """

    inexactness: ClassVar[float] = 0.0

    def __init__(
        self, points: ContactPoints, nodes: NDArray[np.int64], rest: NDArray[np.float64]
    ) -> None:
        """Keep the nodes; there is no stiffness yet."""
        self.points = points
        self.nodes = nodes
        self.rest = rest
        self.stale = True
        self.is_closed = False

    @property
    @abstractmethod
    def gel(self) -> LinearGel:
        """Linearised gel at the last call of `factorise`."""

    @abstractmethod
    def factorise(self, displacement: NDArray[np.float64], damping: float = 0.0) -> None:
        """Compute the stiffness at a displacement of the pad (unknowns,) in mm."""

    @abstractmethod
    def condense(
        self, load: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the half solution for a load (unknowns,), and the load on the nodes (3 n,), N."""

    @abstractmethod
    def expand(
        self, half: NDArray[np.float64], increment: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the increment of the whole pad (unknowns,) for one of the nodes (n, 3), mm."""

    def close(self) -> None:
        """Release the stiffness; nothing can be solved afterwards."""
        self.stale = True
        self.is_closed = True

    def position(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (n, 3) positions of the nodes in mm for a (unknowns,) displacement."""
        return np.asarray(self.rest + displacement.reshape(-1, 3)[self.nodes])

    def imbalance(
        self, force: NDArray[np.float64], point_force: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the part of the internal force that the contact forces do not balance.

        Args:
            force: (unknowns,) internal force of the pad, N.
            point_force: (points, 3) contact forces on the gel, N.

        Returns:
            (nodes of the pad, 3) imbalance, N.
        """
        out = force.reshape(-1, 3).copy()
        out[self.nodes] -= self.points.gather(point_force)
        return out
