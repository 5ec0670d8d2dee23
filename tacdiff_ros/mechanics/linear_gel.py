"""Linearised gel behind the contact: a stiffness, and solutions with contact stiffness added."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tacdiff_ros.mechanics.contact_points import ContactPoints


class LinearGel(ABC):
    """Stiffness S of n vertices or nodes."""

    @abstractmethod
    def force(self, increment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (3 n,) internal force S v in N for a (3 n,) displacement increment v in mm."""

    @abstractmethod
    def point_compliance(self, points: ContactPoints) -> NDArray[np.float64]:
        """Return the (points,) displacement of contact points under a unit force there, mm/N.

        The mean of the three directions; it only scales the contact law.
        """

    @abstractmethod
    def solve(
        self,
        right: NDArray[np.float64],
        points: ContactPoints,
        jacobian: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the (3 n,) solution d of (S - N^T J N) d = right, where N interpolates to points.

        Args:
            right: (3 n,) right-hand side, N.
            points: contact points.
            jacobian: (points, 3, 3) derivative J of each point's force by its position, N/mm.

        Raises:
            numpy.linalg.LinAlgError: the matrix is singular.
        """


@dataclass(frozen=True)
class CondensedGel(LinearGel):
    """Gel condensed to n candidate vertices.

    Attributes:
        stiffness: (3 n, 3 n) Schur complement S, N/mm.
        compliance: (3 n, 3 n) inverse of S, mm/N.
    """

    stiffness: NDArray[np.float64]
    compliance: NDArray[np.float64]

    @classmethod
    def from_stiffness(cls, stiffness: NDArray[np.float64]) -> CondensedGel:
        """Return the condensed gel for a Schur complement, which is inverted once, here.

        Args:
            stiffness: (3 n, 3 n) Schur complement S, N/mm.
        """
        return cls(stiffness, np.asarray(linalg.inv(stiffness, check_finite=False)))

    def force(self, increment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return S v."""
        return np.asarray(self.stiffness @ increment)

    def point_compliance(self, points: ContactPoints) -> NDArray[np.float64]:
        """Return the compliance of the points from that of their vertices."""
        vertices, weights = points.vertices, points.weights
        count = len(self.stiffness) // 3
        mean = np.einsum("aibi->ab", self.compliance.reshape(count, 3, count, 3)) / 3.0
        of_face = mean[vertices[:, :, None], vertices[:, None, :]]
        compliance = np.einsum("pa,fab,pb->fp", weights, of_face, weights, optimize=True)
        return np.abs(compliance).ravel()

    def solve(
        self,
        right: NDArray[np.float64],
        points: ContactPoints,
        jacobian: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Solve a dense system for the vertices in contact; the others follow."""
        contact_free = np.asarray(self.compliance @ right)
        faces = np.unique(np.flatnonzero(jacobian.any(axis=(1, 2))) // len(points.weights))
        if not len(faces):
            return contact_free
        used, coupling = points.assemble_jacobian(jacobian, faces)
        index = (3 * used[:, None] + np.arange(3)).ravel()
        system = np.eye(len(index)) - self.compliance[np.ix_(index, index)] @ coupling
        solved = np.asarray(linalg.solve(system, contact_free[index], check_finite=False))
        return np.asarray(contact_free + self.compliance[:, index] @ (coupling @ solved))
