"""Unilateral contact and Coulomb friction of points of the surface on a rigid indenter.

The law is written as a projection: for the force l that the gel needs at a point and its place x,
P(l, x) = F n + T with F = max(0, l.n - c g) and T the part of l - c s across n, cut to the length
mu F; g is the gap, n the indenter's normal and s the slip since the step began. Contact and
friction hold where l = P(l, x), whatever the number c > 0: then the gap of a touching point is
exactly 0 and a sticking point has not slipped (Alart & Curnier, Comput. Methods Appl. Mech. Eng.
92, 1991). The derivative is not symmetric where points slip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter


@dataclass(frozen=True)
class Anchors:
    """Where N points met the indenter: slip counts from there.

    Attributes:
        place: (N, 3) mm, in the indenter's frame.
        valid: (N,) bool; points without an anchor have no friction in this step.
    """

    place: NDArray[np.float64]
    valid: NDArray[np.bool_]


def begin_step(
    indenter: Indenter,
    start: IndenterPose,
    goal: IndenterPose,
    position: NDArray[np.float64],
    touches: NDArray[np.bool_],
) -> Anchors:
    """Anchors of points (N, 3) mm for a step of the indenter.

    Touching points hold where they are; those that are about to be met, where the indenter's
    surface meets them while they rest, so that friction acts from the first touch on.
    """
    before = start.to_indenter(position)
    after = goal.to_indenter(position)
    gap_before, gap_after = indenter.distance(before), indenter.distance(after)
    met = ~touches & (gap_after < 0.0)
    share = np.clip(gap_before / np.maximum(gap_before - gap_after, 1e-12), 0.0, 1.0)
    share = np.where(touches, 0.0, share)
    return Anchors(before + share[:, None] * (after - before), touches | met)


@dataclass(frozen=True)
class Projection:
    """The law at N points.

    Attributes:
        gap_mm: (N,) distance from the indenter, allowance included; negative inside.
        force: (N, 3) N, P(l, x).
        by_force: (N, 3, 3) derivative of `force` by l.
        by_place: (N, 3, 3) N/mm, derivative of `force` by x.
        normal: (N, 3) unit, off the indenter, where points press; else 0.
        normal_force_n: (N,) pressing, 0 or more.
        slips: (N,) bool, friction is at its bound.
    """

    gap_mm: NDArray[np.float64]
    force: NDArray[np.float64]
    by_force: NDArray[np.float64]
    by_place: NDArray[np.float64]
    normal: NDArray[np.float64]
    normal_force_n: NDArray[np.float64]
    slips: NDArray[np.bool_]

    @property
    def touches(self) -> NDArray[np.bool_]:
        """(N,) points that carry a normal force."""
        return self.normal_force_n > 0.0


@dataclass(frozen=True)
class ContactLaw:
    """The law of one step.

    Attributes:
        indenter: its distance field.
        pose: at the end of the step.
        anchors: of N points.
        friction: Coulomb coefficient mu.
        allowance_mm: (N,) how deep points may be before they count as touching.
    """

    indenter: Indenter
    pose: IndenterPose
    anchors: Anchors
    friction: float
    allowance_mm: NDArray[np.float64]

    def gap(self, local: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) mm for places in the indenter's frame, allowance included."""
        return np.asarray(self.indenter.distance(local) + self.allowance_mm)

    def project(
        self,
        needed: NDArray[np.float64],
        position: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> Projection:
        """P(l, x) for forces l (N, 3) N, places x (N, 3) mm and numbers c (N,) N/mm."""
        count = len(needed)
        local = self.pose.to_indenter(position)
        result = Projection(
            gap_mm=self.gap(local),
            force=np.zeros((count, 3)),
            by_force=np.zeros((count, 3, 3)),
            by_place=np.zeros((count, 3, 3)),
            normal=np.zeros((count, 3)),
            normal_force_n=np.zeros(count),
            slips=np.zeros(count, bool),
        )
        near = np.flatnonzero((result.gap_mm < 0.0) | needed.any(axis=1))
        if len(near):
            self._press(result, near, local[near], needed[near], position[near], scale[near])
        return result

    def _press(
        self,
        result: Projection,
        near: NDArray[np.integer],
        local: NDArray[np.float64],
        needed: NDArray[np.float64],
        position: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> None:
        """Fill in the points that may be in contact."""
        field = self.indenter.derivatives(local)
        turn = self.pose.matrix
        normal = field.gradient @ turn.T
        bend = turn @ field.hessian @ turn.T
        along = np.einsum("ni,ni->n", needed, normal)
        pressing = along - scale * result.gap_mm[near]
        touching = np.flatnonzero(pressing > 0.0)
        if not len(touching):
            return
        near, needed, position = near[touching], needed[touching], position[touching]
        scale = scale[touching]
        normal, bend, pressing = normal[touching], bend[touching], pressing[touching]
        by_place = np.einsum("nij,nj->ni", bend, needed) - scale[:, None] * normal
        result.normal[near], result.normal_force_n[near] = normal, pressing
        result.force[near] = pressing[:, None] * normal
        result.by_force[near] = _outer(normal, normal)
        result.by_place[near] = _outer(normal, by_place) + pressing[:, None, None] * bend
        if self.friction > 0.0:
            rubs = self.anchors.valid[near]
            self._rub(
                result,
                near[rubs],
                needed[rubs],
                position[rubs],
                scale[rubs],
                normal[rubs],
                bend[rubs],
                by_place[rubs],
            )

    def _rub(
        self,
        result: Projection,
        rubs: NDArray[np.integer],
        needed: NDArray[np.float64],
        position: NDArray[np.float64],
        scale: NDArray[np.float64],
        normal: NDArray[np.float64],
        bend: NDArray[np.float64],
        pressing_by_place: NDArray[np.float64],
    ) -> None:
        """Add friction to touching points."""
        from_anchor = position - self.pose.to_gel(self.anchors.place[rubs])
        trial, by_force, by_place = _trial_friction(needed, from_anchor, scale, normal, bend)
        bound = self.friction * result.normal_force_n[rubs]
        length = np.linalg.norm(trial, axis=1)
        result.slips[rubs] = cut = length > bound
        way = trial[cut] / length[cut, None]
        turning = (bound[cut] / length[cut])[:, None, None] * (np.eye(3) - _outer(way, way))
        trial[cut] = bound[cut, None] * way
        rubbing = self.friction * way
        by_force[cut] = turning @ by_force[cut] + _outer(rubbing, normal[cut])
        by_place[cut] = turning @ by_place[cut] + _outer(rubbing, pressing_by_place[cut])
        result.force[rubs] += trial
        result.by_force[rubs] += by_force
        result.by_place[rubs] += by_place


def _trial_friction(
    needed: NDArray[np.float64],
    from_anchor: NDArray[np.float64],
    scale: NDArray[np.float64],
    normal: NDArray[np.float64],
    bend: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The part of l - c s across the normal (N, 3), and its derivatives by l and x (N, 3, 3)."""
    driving = needed - scale[:, None] * from_anchor
    along = np.einsum("ni,ni->n", driving, normal)
    across = np.eye(3) - _outer(normal, normal)
    trial = driving - along[:, None] * normal
    bent = np.einsum("nij,nj->ni", bend, driving)
    by_place = -scale[:, None, None] * across
    by_place -= along[:, None, None] * bend + _outer(normal, bent)
    return trial, across, by_place


def _outer(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) products of rows."""
    return np.asarray(left[:, :, None] * right[:, None, :])
