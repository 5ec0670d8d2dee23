"""Stiffness of the pad, condensed to the surface vertices that may come into contact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.gel_state import StepFailureError
from tacdiff_ros.mechanics.linear_gel import CondensedGel
from tacdiff_ros.mechanics.pardiso import CondensedFactor, FactorisationError
from tacdiff_ros.mechanics.surface_stiffness import SurfaceStiffness


class CondensedPad(SurfaceStiffness):
    """Factorised stiffness of the pad, reused until the caller marks it as stale.

    The sparsity pattern is analysed once for the candidate faces; as the pad deforms, only the
    numerical factorisation is repeated.
    """

    def __init__(self, pad: ElasticPad, points: ContactPoints, precise: bool = False) -> None:
        """Analyse the sparsity pattern; nothing is factorised yet.

        Args:
            pad: elastic pad.
            points: contact points whose vertices remain as unknowns.
            precise: True for a factor in double precision; single precision is enough for
                Newton's method.
        """
        nodes = pad.mesh.surface_nodes[points.chosen]
        super().__init__(points, nodes, pad.mesh.nodes()[nodes])
        self._pad = pad
        self._gel: CondensedGel | None = None
        unknowns = (3 * self.nodes[:, None] + np.arange(3)).ravel()
        self._factor = CondensedFactor(pad.pattern, unknowns, precise)

    @property
    def gel(self) -> CondensedGel:
        """Condensed stiffness and compliance of the candidate vertices, from the last factor.

        Raises:
            StepFailureError: nothing has been factorised yet.
        """
        if self._gel is None:
            raise StepFailureError("the stiffness has not been factorised")
        return self._gel

    def factorise(self, displacement: NDArray[np.float64], damping: float = 0.0) -> None:
        """Factorise the stiffness at a displacement.

        Args:
            displacement: (unknowns,) displacement of the pad, mm.
            damping: stiffness of a spring added to every unknown, N/mm.

        Raises:
            StepFailureError: the stiffness is singular or not finite.
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
        """Release the memory of the factor; nothing can be solved afterwards."""
        self._factor.close()
        self._gel = None
        super().close()

    def condense(
        self, load: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Condense a load to the candidate vertices (forward substitution).

        Args:
            load: (unknowns,) load on the pad, N.

        Returns:
            The (unknowns,) half solution, which `expand` completes, and the (3 n,) condensed load
            on the candidate vertices, N.
        """
        half = self._factor.forward(load)
        return half, half[self._factor.chosen]

    def expand(
        self, half: NDArray[np.float64], increment: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the displacement increment of the whole pad (back substitution).

        Args:
            half: (unknowns,) half solution from `condense`.
            increment: (n, 3) displacement increment of the candidate vertices, mm.

        Returns:
            (unknowns,) displacement increment, mm.

        Raises:
            StepFailureError: the increment is not finite.
        """
        whole = self._factor.backward(half, increment.ravel())
        if not np.isfinite(whole).all():
            raise StepFailureError("the displacement increment is not finite")
        return whole
