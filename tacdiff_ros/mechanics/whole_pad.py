"""Contact problem on all nodes of the pad, for contacts too large for a dense matrix.

The same interface as `CondensedPad`, with nothing condensed: the contact stiffness couples only
vertices of one face, which the stiffness of the pad couples anyway. So the matrix of a contact
iteration has the pattern of the pad's stiffness, and is factorised as a sparse matrix: a contact
of 1100 vertices takes 0.3 s and 0.1 GB an iteration, where a dense matrix takes some seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.gel_state import StepFailureError
from tacdiff_ros.mechanics.linear_gel import LinearGel
from tacdiff_ros.mechanics.pad_mesh import full_matrix
from tacdiff_ros.mechanics.pardiso import FactorisationError, SparseFactor
from tacdiff_ros.mechanics.surface_stiffness import SurfaceStiffness

# Compliance of a contact point times E h, with the vertex spacing h (a square of side h on a
# half-space, mean of the three directions; Johnson, Contact Mechanics, 1985, section 3.3).
POINT_COMPLIANCE = 0.8
REFINEMENTS = 2  # of solutions, to the accuracy of double precision


class WholePad(SurfaceStiffness):
    """Stiffness of the pad as a sparse matrix, reused until the caller marks it as stale."""

    inexactness = 0.01

    def __init__(self, pad: ElasticPad, points: ContactPoints) -> None:
        """Analyse the sparsity pattern; nothing is factorised yet.

        Args:
            pad: elastic pad.
            points: contact points on the candidate faces.
        """
        count = pad.mesh.node_count
        on_nodes = replace(
            points,
            vertices=pad.mesh.surface_nodes[points.chosen][points.vertices],
            chosen=np.arange(count),
        )
        super().__init__(on_nodes, np.arange(count), pad.mesh.nodes())
        self._pad = pad
        self._gel: SparseGel | None = None
        self._pattern = SparsePattern.of_pad(pad)
        self._coupled = self._pattern.coupled_entries(on_nodes.vertices)
        self._factor = SparseFactor(self._pattern.indptr, self._pattern.indices)
        spacing_mm = float(np.sqrt(np.prod(pad.mesh.spacing_mm)))
        self._compliance = POINT_COMPLIANCE / (pad.material.young_modulus_mpa * spacing_mm)

    @property
    def gel(self) -> SparseGel:
        """Stiffness of the pad at the last call of `factorise`.

        Raises:
            StepFailureError: there was no such call.
        """
        if self._gel is None:
            raise StepFailureError("the stiffness has not been computed")
        return self._gel

    def factorise(self, displacement: NDArray[np.float64], damping: float = 0.0) -> None:
        """Compute the stiffness at a displacement; it is factorised with that of the contact.

        Args:
            displacement: (unknowns,) displacement of the pad, mm.
            damping: stiffness of a spring added to every unknown, N/mm.
        """
        _, entries = self._pad.stiffness(displacement)
        if damping:
            entries[self._pad.pattern.indptr[:-1]] += damping
        matrix = self._pattern.matrix(entries)
        self._gel = SparseGel(matrix, self._factor, self._coupled, self._compliance)
        self.stale = damping > 0.0

    def condense(
        self, load: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the (unknowns,) load twice, as nothing is condensed."""
        return load, load

    def expand(
        self, half: NDArray[np.float64], increment: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the (unknowns,) increment of all nodes (nodes, 3) in mm; `half` is not used.

        Raises:
            StepFailureError: the increment is not finite.
        """
        if not np.isfinite(increment).all():
            raise StepFailureError("the displacement increment is not finite")
        return increment.ravel()

    def close(self) -> None:
        """Release the memory of the factor; nothing can be solved afterwards."""
        self._factor.close()
        self._gel = None
        super().close()


@dataclass(frozen=True)
class SparsePattern:
    """Pattern of the pad's whole stiffness matrix, both triangles.

    Attributes:
        indptr: (unknowns + 1,) int32 row pointers.
        indices: (entries,) int32 column numbers, sorted within each row.
        source: (entries,) numbers of these entries in the pattern of the upper triangle.
    """

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    source: NDArray[np.int64]

    @classmethod
    def of_pad(cls, pad: ElasticPad) -> SparsePattern:
        """Return the pattern of a pad."""
        numbers = np.arange(1, len(pad.pattern.indices) + 1, dtype=np.float64)
        full = full_matrix(pad.pattern, numbers).tocsr()
        full.sort_indices()
        return cls(
            indptr=full.indptr.astype(np.int32),
            indices=full.indices.astype(np.int32),
            source=full.data.astype(np.int64) - 1,
        )

    def matrix(self, entries: NDArray[np.float64]) -> sparse.csr_matrix:
        """Return the whole matrix for (entries,) values of the upper triangle."""
        size = len(self.indptr) - 1
        return sparse.csr_matrix(
            (entries[self.source], self.indices, self.indptr), shape=(size, size)
        )

    def coupled_entries(self, vertices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the entries that couple the unknowns of each face.

        Args:
            vertices: (f, 4) node numbers of the faces.

        Returns:
            (f, 12, 12) entry numbers.
        """
        size = len(self.indptr) - 1
        rows = np.repeat(np.arange(size, dtype=np.int64), np.diff(self.indptr))
        keys = rows * size + self.indices
        unknowns = (3 * vertices[:, :, None] + np.arange(3)).reshape(-1, 12)
        wanted = unknowns[:, :, None] * size + unknowns[:, None, :]
        return np.asarray(np.searchsorted(keys, wanted))


@dataclass(frozen=True)
class SparseGel(LinearGel):
    """Stiffness of all nodes of the pad.

    Attributes:
        stiffness: (unknowns, unknowns) stiffness of the pad, N/mm.
        factor: factor for this pattern, which is computed anew for every solution.
        coupled: (f, 12, 12) entries that couple the unknowns of each candidate face.
        compliance: compliance of a contact point, mm/N.
    """

    stiffness: sparse.csr_matrix
    factor: SparseFactor
    coupled: NDArray[np.int64]
    compliance: float

    def force(self, increment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return S v."""
        return np.asarray(self.stiffness @ increment)

    def point_compliance(self, points: ContactPoints) -> NDArray[np.float64]:
        """Return the same compliance for all points."""
        return np.full(points.count, self.compliance)

    def solve(
        self,
        right: NDArray[np.float64],
        points: ContactPoints,
        jacobian: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Factorise the sum of both stiffnesses, and refine the solution twice."""
        added = np.bincount(
            self.coupled.ravel(),
            points.face_jacobians(jacobian).ravel(),
            len(self.stiffness.data),
        )
        data = self.stiffness.data - added
        matrix = sparse.csr_matrix(
            (data, self.stiffness.indices, self.stiffness.indptr), shape=self.stiffness.shape
        )
        try:
            self.factor.factorise(data)
            solution = self.factor.solve(right)
            for _ in range(REFINEMENTS):
                solution += self.factor.solve(right - matrix @ solution)
        except FactorisationError as error:
            raise np.linalg.LinAlgError(str(error)) from error
        return solution
