"""The pad's stiffness with all but the vertices that may touch eliminated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.condensed_contact import CondensedGel
from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.gel_state import StepFailureError
from tacdiff_ros.mechanics.pardiso import CondensedFactor, FactorisationError


class CondensedPad:
    """A factor of the pad's stiffness that is kept until it is told to be stale.

    The pattern is analysed once for the chosen faces; factors of it follow as the pad deforms.
    Whoever makes one closes it.
    """

    def __init__(self, pad: ElasticPad, points: ContactPoints, precise: bool = False) -> None:
        """Analyse; no factor yet.

        Args:
            pad: elastic.
            points: whose vertices are kept.
            precise: in double precision; Newton's method needs no more than single.
        """
        self.points = points
        self.nodes = pad.mesh.surface_nodes[points.chosen]
        self.rest = pad.mesh.nodes()[self.nodes]
        self.stale = True
        self.is_closed = False
        self._pad = pad
        self._gel: CondensedGel | None = None
        unknowns = (3 * self.nodes[:, None] + np.arange(3)).ravel()
        self._factor = CondensedFactor(pad.pattern, unknowns, precise)

    @property
    def gel(self) -> CondensedGel:
        """The gel as the chosen vertices feel it, of the last factor."""
        if self._gel is None:
            raise StepFailureError("the stiffness has not been factorised")
        return self._gel

    def factorise(self, displacement: NDArray[np.float64], damping: float = 0.0) -> None:
        """Factorise the stiffness at a displacement, with springs (N/mm) added to all unknowns.

        Raises:
            StepFailureError: it is singular or not finite.
        """
        _, entries = self._pad.stiffness(displacement)
        if damping:
            entries[self._pad.pattern.indptr[:-1]] += damping
        try:
            self._gel = CondensedGel.from_stiffness(self._factor.factorise(entries))
        except (FactorisationError, np.linalg.LinAlgError) as error:
            raise StepFailureError(str(error)) from error
        self.stale = damping > 0.0

    def close(self) -> None:
        """Give the memory of the factor back; nothing can be solved afterwards."""
        self._factor.close()
        self._gel = None
        self.stale = True
        self.is_closed = True

    def position(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) mm of the chosen vertices."""
        return np.asarray(self.rest + displacement.reshape(-1, 3)[self.nodes])

    def condense(
        self, load: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Half of a solution for a load (unknowns,) N, and the load as the vertices feel it."""
        half = self._factor.forward(load)
        return half, half[self._factor.chosen]

    def expand(self, half: NDArray[np.float64], move: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move (unknowns,) mm of the whole pad for a half solution and the vertices' move.

        Raises:
            StepFailureError: it is not finite.
        """
        whole = self._factor.backward(half, move.ravel())
        if not np.isfinite(whole).all():
            raise StepFailureError("the move is not finite")
        return whole

    def imbalance(
        self, force: NDArray[np.float64], point_force: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(nodes, 3) N: internal force (unknowns,) that the points' forces do not balance."""
        out = force.reshape(-1, 3).copy()
        out[self.nodes] -= self.points.gather(point_force)
        return out
