"""Unilateral contact and Coulomb friction of surface points on a rigid indenter.

The law is written as a projection. For the force l that the gel requires at a point and its
position x,

    P(l, x) = F n + T,    F = max(0, l.n - c g),

where T is the part of l - c s across n, shortened to mu F if its length exceeds that; g is the gap,
n the indenter's outward normal and s the slip since the step began. Contact and friction hold
where l = P(l, x), whatever the augmentation parameter c > 0: then the gap of a point in contact is
exactly 0, and a sticking point has not slipped. The derivative is not symmetric where points slip.

Source: Alart & Curnier, Comput. Methods Appl. Mech. Eng. 92, 1991.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter


@dataclass(frozen=True)
class Anchors:
    """Positions at which N points met the indenter; slip is measured from there.

    Attributes:
        position: (N, 3) anchor positions in the indenter's frame, mm.
        valid: (N,) bool; points without an anchor have no friction in this step.
    """

    position: NDArray[np.float64]
    valid: NDArray[np.bool_]


def step_anchors(
    indenter: Indenter,
    start: IndenterPose,
    goal: IndenterPose,
    position: NDArray[np.float64],
    touches: NDArray[np.bool_],
) -> Anchors:
    """Return the friction anchors of the points for one step of the indenter.

    Points in contact are anchored at their current position. Points that the indenter reaches in
    this step are anchored where its surface meets them while they rest, so that friction acts from
    the first contact on.

    Args:
        indenter: rigid indenter.
        start: indenter pose before the step.
        goal: indenter pose after the step.
        position: (N, 3) point positions before the step in frame `gel`, mm.
        touches: (N,) bool, points that are in contact before the step.
    """
    before = start.to_indenter(position)
    after = goal.to_indenter(position)
    gap_before, gap_after = indenter.distance(before), indenter.distance(after)
    reached = ~touches & (gap_after < 0.0)
    fraction = np.clip(gap_before / np.maximum(gap_before - gap_after, 1e-12), 0.0, 1.0)
    fraction = np.where(touches, 0.0, fraction)
    return Anchors(position=before + fraction[:, None] * (after - before), valid=touches | reached)


@dataclass(frozen=True)
class Projection:
    """Contact law, evaluated at N points.

    Attributes:
        gap_mm: (N,) distance from the indenter, allowance included, mm; negative inside.
        force: (N, 3) projected force P(l, x), N.
        by_force: (N, 3, 3) derivative of `force` with respect to l.
        by_position: (N, 3, 3) derivative of `force` with respect to x, N/mm.
        normal: (N, 3) unit outward normal of the indenter at points in contact, 0 elsewhere.
        normal_force_n: (N,) compressive normal force, N, 0 or more.
        slips: (N,) bool, points whose friction is at its bound.
    """

    gap_mm: NDArray[np.float64]
    force: NDArray[np.float64]
    by_force: NDArray[np.float64]
    by_position: NDArray[np.float64]
    normal: NDArray[np.float64]
    normal_force_n: NDArray[np.float64]
    slips: NDArray[np.bool_]

    @property
    def touches(self) -> NDArray[np.bool_]:
        """(N,) bool, points that carry a normal force."""
        return self.normal_force_n > 0.0


@dataclass(frozen=True)
class _ContactSubset:
    """Arguments of the law at the k points that are or may be in contact.

    Attributes:
        index: (k,) numbers of the points.
        force: (k, 3) required force l, N.
        position: (k, 3) position x, mm.
        augmentation: (k,) augmentation parameter c, N/mm.
        normal: (k, 3) unit outward normal of the indenter.
        hessian: (k, 3, 3) Hessian of the indenter's distance in frame `gel`, 1/mm.
    """

    index: NDArray[np.integer]
    force: NDArray[np.float64]
    position: NDArray[np.float64]
    augmentation: NDArray[np.float64]
    normal: NDArray[np.float64]
    hessian: NDArray[np.float64]

    def select(self, chosen: NDArray[np.integer] | NDArray[np.bool_]) -> _ContactSubset:
        """Return a part of the points."""
        return _ContactSubset(
            index=self.index[chosen],
            force=self.force[chosen],
            position=self.position[chosen],
            augmentation=self.augmentation[chosen],
            normal=self.normal[chosen],
            hessian=self.hessian[chosen],
        )


@dataclass(frozen=True)
class ContactLaw:
    """Contact and friction law of one step.

    Attributes:
        indenter: rigid indenter, given by its distance field.
        pose: indenter pose at the end of the step.
        anchors: friction anchors of the N points.
        friction: Coulomb coefficient mu.
        allowance_mm: (N,) penetration up to which points do not count as touching, mm.
    """

    indenter: Indenter
    pose: IndenterPose
    anchors: Anchors
    friction: float
    allowance_mm: NDArray[np.float64]

    def gap(self, local: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (N,) gaps in mm, allowance included.

        Args:
            local: (N, 3) point positions in the indenter's frame, mm.
        """
        return np.asarray(self.indenter.distance(local) + self.allowance_mm)

    def project(
        self,
        force: NDArray[np.float64],
        position: NDArray[np.float64],
        augmentation: NDArray[np.float64],
    ) -> Projection:
        """Return the projection P(l, x) and its derivatives.

        Args:
            force: (N, 3) force l that the gel requires at each point, N.
            position: (N, 3) point positions x in frame `gel`, mm.
            augmentation: (N,) augmentation parameters c, N/mm.
        """
        count = len(force)
        local = self.pose.to_indenter(position)
        result = Projection(
            gap_mm=self.gap(local),
            force=np.zeros((count, 3)),
            by_force=np.zeros((count, 3, 3)),
            by_position=np.zeros((count, 3, 3)),
            normal=np.zeros((count, 3)),
            normal_force_n=np.zeros(count),
            slips=np.zeros(count, bool),
        )
        near = np.flatnonzero((result.gap_mm < 0.0) | force.any(axis=1))
        if len(near):
            field = self.indenter.derivatives(local[near])
            rotation = self.pose.matrix
            self._add_contact(
                result,
                _ContactSubset(
                    index=near,
                    force=force[near],
                    position=position[near],
                    augmentation=augmentation[near],
                    normal=field.gradient @ rotation.T,
                    hessian=rotation @ field.hessian @ rotation.T,
                ),
            )
        return result

    def _add_contact(self, result: Projection, near: _ContactSubset) -> None:
        """Fill in normal force and friction of the points that may be in contact."""
        along = np.einsum("ni,ni->n", near.force, near.normal)
        normal_force = along - near.augmentation * result.gap_mm[near.index]
        touching = np.flatnonzero(normal_force > 0.0)
        if not len(touching):
            return
        contact, normal_force = near.select(touching), normal_force[touching]
        index, normal = contact.index, contact.normal
        normal_force_by_position = np.einsum("nij,nj->ni", contact.hessian, contact.force)
        normal_force_by_position -= contact.augmentation[:, None] * normal
        result.normal[index], result.normal_force_n[index] = normal, normal_force
        result.force[index] = normal_force[:, None] * normal
        result.by_force[index] = _outer(normal, normal)
        result.by_position[index] = _outer(normal, normal_force_by_position)
        result.by_position[index] += normal_force[:, None, None] * contact.hessian
        if self.friction > 0.0:
            anchored = self.anchors.valid[index]
            self._add_friction(result, contact.select(anchored), normal_force_by_position[anchored])

    def _add_friction(
        self,
        result: Projection,
        contact: _ContactSubset,
        normal_force_by_position: NDArray[np.float64],
    ) -> None:
        """Add friction to points in contact.

        Args:
            result: projection to be completed in place.
            contact: k points in contact that have an anchor.
            normal_force_by_position: (k, 3) gradient of the normal force, N/mm.
        """
        index, normal = contact.index, contact.normal
        from_anchor = contact.position - self.pose.to_gel(self.anchors.position[index])
        trial, by_force, by_position = _trial_friction(contact, from_anchor)
        bound = self.friction * result.normal_force_n[index]
        length = np.linalg.norm(trial, axis=1)
        result.slips[index] = slips = length > bound
        direction = trial[slips] / length[slips, None]
        rotating = (bound[slips] / length[slips])[:, None, None] * (
            np.eye(3) - _outer(direction, direction)
        )
        trial[slips] = bound[slips, None] * direction
        by_normal_force = self.friction * direction
        by_force[slips] = rotating @ by_force[slips] + _outer(by_normal_force, normal[slips])
        by_position[slips] = rotating @ by_position[slips] + _outer(
            by_normal_force, normal_force_by_position[slips]
        )
        result.force[index] += trial
        result.by_force[index] += by_force
        result.by_position[index] += by_position


def _trial_friction(
    contact: _ContactSubset, from_anchor: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the part of l - c s across the normal (k, 3), and its derivatives by l and x.

    Args:
        contact: k points in contact.
        from_anchor: (k, 3) displacement s from the anchor, mm.
    """
    normal, augmentation, hessian = contact.normal, contact.augmentation, contact.hessian
    driving = contact.force - augmentation[:, None] * from_anchor
    along = np.einsum("ni,ni->n", driving, normal)
    tangent_projection = np.eye(3) - _outer(normal, normal)
    trial = driving - along[:, None] * normal
    along_by_position = np.einsum("nij,nj->ni", hessian, driving)
    by_position = -augmentation[:, None, None] * tangent_projection
    by_position -= along[:, None, None] * hessian + _outer(normal, along_by_position)
    return trial, tangent_projection, by_position


def _outer(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) outer products of the rows."""
    return np.asarray(left[:, :, None] * right[:, None, :])
