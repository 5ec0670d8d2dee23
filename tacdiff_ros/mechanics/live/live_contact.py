"""Contact of the live gel with the indenter at one pose, near the last one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_law import begin_step
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.live.contact_sweeps import PointContact, SweepLimits, settle
from tacdiff_ros.mechanics.live.gel_response import GelResponse
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.surface_points import SurfacePoints
from tacdiff_ros.mechanics.material import GelMaterial

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SOFTNESS = 0.05  # of a contact point, over 1 / (E times the vertex spacing)
TOLERANCE_MM = 0.02
LAG_MM = 0.02
RENEWED_FRACTION = 0.5
SWEEP_TOLERANCE_MM = 1e-3
MAX_SWEEPS = 6
MAX_RENEWALS = 3
MAX_CHECKS = 2
CANDIDATE_MM = 0.35
RENEWED_MM = 0.1
SLIPPING_FRACTION = 0.999
CARRYING_FRACTION = 0.02  # of the largest point force, from which on a gap under it is an error
NEAR_MM = 1.0


@dataclass(frozen=True)
class LiveState:
    """The gel under an indenter, N vertices, with p contact points on every face.

    Attributes:
        pose: of the indenter.
        point_force: (faces, p, 3) N on the gel.
        anchor: (faces, p, 3) mm, where points hold on to the indenter, in its frame.
        sticks: (faces, p) bool, points that have not slipped from their anchor.
        force: (N, 3) N, of the vertices.
        displacement: (N, 3) mm.
        beyond: (N, 3) mm, the part of the displacement that is not the layer's.
    """

    pose: IndenterPose
    point_force: Floats
    anchor: Floats
    sticks: NDArray[np.bool_]
    force: Floats
    displacement: Floats
    beyond: Floats


@dataclass(frozen=True)
class ContactStep:
    """How contact was left at F faces.

    Attributes:
        state: of the gel.
        faces: (F,) numbers of the faces that may touch.
        pressing: (F, p) N along the normal, 0 or more.
        slips: (F, p) bool, friction is at its bound.
        error_mm: largest penetration, gap under a carrying point, or last correction.
        sweeps: made.
        converged: the error is below `TOLERANCE_MM` and what lags behind below `LAG_MM`.
    """

    state: LiveState
    faces: Ints
    pressing: Floats
    slips: NDArray[np.bool_]
    error_mm: float
    sweeps: int
    converged: bool


@dataclass(frozen=True)
class _Points:
    """Candidates for contact at the pose that is solved for, and where they met the indenter."""

    goal: IndenterPose
    faces: Ints
    anchor: Floats
    anchored: NDArray[np.bool_]


class LiveContact:
    """A pad and an indenter; no state of its own.

    The layer's answer is solved for at once with the contact. The other parts of the gel's answer
    (`GelResponse.beyond`) are smooth and small: they are taken from the state before, solved with
    and renewed up to `MAX_CHECKS` times.
    """

    def __init__(
        self, indenter: Indenter, material: GelMaterial, pad: PadGrid, response: GelResponse
    ) -> None:
        """Number the contact points.

        Args:
            indenter: what is pressed.
            material: of the gel.
            pad: its sizes and vertices.
            response: of the gel.
        """
        self.indenter = indenter
        self.points = SurfacePoints(pad, response.kernel.weights)
        self._response = response
        self._limits = SweepLimits(material.friction, MAX_SWEEPS, SWEEP_TOLERANCE_MM)
        spacing = math.sqrt(math.prod(pad.spacing_mm))
        self._softness = SOFTNESS / (material.young_modulus_mpa * spacing)

    def rest(self, pose: IndenterPose) -> LiveState:
        """The untouched gel."""
        zero = np.zeros_like(self.points.rest)
        at_points = np.zeros((*self.points.shape, 3))
        sticks = np.zeros(self.points.shape, bool)
        return LiveState(pose, at_points, at_points, sticks, zero, zero, zero)

    def advance(self, state: LiveState, goal: IndenterPose) -> ContactStep:
        """Contact at a pose, for a straight and short way there from the state's pose."""
        points = self._candidates(state, goal)
        force, displacement = state.point_force[points.faces], state.displacement
        nodal, beyond, sweeps = state.force, state.beyond, 0
        for _ in range(MAX_CHECKS):
            change = RENEWED_FRACTION * (self._response.beyond(displacement, nodal) - beyond)
            lag = float(np.abs(change).max())
            displacement, beyond = displacement + change, beyond + change
            force, correction, made = self._settle(points, displacement, force)
            sweeps += made
            nodal = self.points.gather(force, points.faces)
            displacement = self._response.layer(nodal) + beyond
            place = self.points.places(displacement, points.faces) + self._softness * force
            gap, normal = self._field(goal, place)
            pressing = np.einsum("fpi,fpi->fp", force, normal)
            loaded = pressing > CARRYING_FRACTION * pressing.max(initial=0.0)
            error = max(-gap.min(initial=0.0), gap[loaded].max(initial=0.0), correction)
            converged = error < TOLERANCE_MM and lag < LAG_MM
            if converged:
                break
        rubbing = np.linalg.norm(force - pressing[..., None] * normal, axis=-1)
        touches = force.any(axis=-1)
        slips = touches & (rubbing > SLIPPING_FRACTION * self._limits.friction * pressing)
        point_force, anchor = np.zeros_like(state.point_force), np.zeros_like(state.anchor)
        sticks = np.zeros_like(state.sticks)
        point_force[points.faces] = force
        anchor[points.faces] = goal.to_indenter(points.anchor)
        sticks[points.faces] = touches & ~slips
        return ContactStep(
            state=LiveState(goal, point_force, anchor, sticks, nodal, displacement, beyond),
            faces=points.faces,
            pressing=pressing,
            slips=slips,
            error_mm=float(error),
            sweeps=sweeps,
            converged=bool(converged),
        )

    def _candidates(self, state: LiveState, goal: IndenterPose) -> _Points:
        """Faces that may touch, and anchors of their points.

        Points that stuck keep their anchor over steps: starting anew from where they are would add
        up what each step leaves unsolved, and let them creep.
        """
        faces = self._near(state, goal)
        place = self.points.places(state.displacement, faces)
        gap = self.indenter.distance(goal.to_indenter(place.reshape(-1, 3)))
        closest = gap.reshape(place.shape[:2]).min(axis=1, initial=np.inf)
        chosen = (closest < CANDIDATE_MM) | state.point_force[faces].any(axis=(1, 2))
        faces = faces[chosen]
        force = state.point_force[faces]
        soft = place[chosen] + self._softness * force
        touches = force.any(axis=-1)
        anchors = begin_step(self.indenter, state.pose, goal, soft.reshape(-1, 3), touches.ravel())
        held = np.where(
            state.sticks[faces][..., None], state.anchor[faces], anchors.place.reshape(soft.shape)
        )
        return _Points(goal, faces, goal.to_gel(held), anchors.valid.reshape(touches.shape))

    def _near(self, state: LiveState, goal: IndenterPose) -> Ints:
        """Faces whose first corner is not far from the indenter, and those in contact."""
        place = goal.to_indenter(self.points.rest + state.displacement)
        low, high = self.indenter.bounds
        inside = (place[:, :2] > low[:2] - NEAR_MM) & (place[:, :2] < high[:2] + NEAR_MM)
        vertices = np.flatnonzero(inside.all(axis=1))
        close = np.zeros(len(place), bool)
        close[vertices] = self.indenter.distance(place[vertices]) < NEAR_MM
        loaded = state.point_force.any(axis=(1, 2))
        return np.flatnonzero(close[self.points.vertices[:, 0]] | loaded)

    def _settle(
        self, points: _Points, displacement: Floats, force: Floats
    ) -> tuple[Floats, float, int]:
        """Forces (F, p, 3) with normals renewed, the last correction in mm and sweeps made."""
        place = self.points.places(displacement, points.faces) + self._softness * force
        gap, normal = self._field(points.goal, place)
        cells, sweeps, change = self.points.cells[points.faces], 0, 0.0
        for renewal in range(MAX_RENEWALS):
            if renewal:
                self._renew(points.goal, place, force, gap, normal)
            contact = PointContact(
                cells, normal, gap, place - points.anchor, points.anchored, force, self._softness
            )
            settled = settle(self._response.kernel, contact, self._limits)
            moved = settled.move + self._softness * (settled.force - force)
            place = place + moved
            gap += np.einsum("fpi,fpi->fp", normal, moved)
            force = settled.force
            sweeps += settled.sweeps
            change = float(np.abs(settled.move).max(initial=0.0))
            if change < SWEEP_TOLERANCE_MM:
                break
        return force, change, sweeps

    def _renew(
        self, goal: IndenterPose, place: Floats, force: Floats, gap: Floats, normal: Floats
    ) -> None:
        """Gaps and normals anew where contact is or may be; elsewhere they stay linear."""
        where = (gap < RENEWED_MM) | force.any(axis=-1)
        field = self.indenter.derivatives(goal.to_indenter(place[where]))
        gap[where] = field.distance
        normal[where] = field.gradient @ goal.matrix.T

    def _field(self, goal: IndenterPose, place: Floats) -> tuple[Floats, Floats]:
        """Gaps (F, p) mm and normals (F, p, 3) off the indenter for places (F, p, 3)."""
        field = self.indenter.derivatives(goal.to_indenter(place.reshape(-1, 3)))
        normal = field.gradient @ goal.matrix.T
        return field.distance.reshape(place.shape[:2]), normal.reshape(place.shape)
