"""Contact of the live gel with the indenter at one pose, starting from a nearby state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_law import step_anchors
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.live.contact_sweeps import (
    PointContact,
    SweepLimits,
    solve_contact_forces,
)
from tacdiff_ros.mechanics.live.gel_response import GelResponse
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.surface_points import SurfacePoints
from tacdiff_ros.mechanics.material import GelMaterial

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SOFTNESS = 0.05  # compliance of a contact point, over 1 / (E times the vertex spacing)
TOLERANCE_MM = 0.02  # contact error of a converged step
CORRECTION_TOLERANCE_MM = 0.02  # last change of the correction in a converged step
CORRECTION_RELAXATION = 0.5  # fraction of the correction's change that is applied
SWEEP_TOLERANCE_MM = 1e-3
MAX_SWEEPS = 6
MAX_NORMAL_UPDATES = 3
MAX_CORRECTION_UPDATES = 2
CANDIDATE_GAP_MM = 0.35  # largest gap of a face that may come into contact
NORMAL_UPDATE_GAP_MM = 0.1  # largest gap of a point whose normal is recomputed
SLIP_FRACTION = 0.999  # friction over its bound from which a point counts as slipping
LOADED_FRACTION = 0.02  # of the largest point force; a gap at points above it is an error
SEARCH_MARGIN_MM = 1.0


@dataclass(frozen=True)
class LiveState:
    """Gel under an indenter, with N vertices and p contact points on every face.

    Attributes:
        pose: indenter pose in frame `gel`.
        point_force: (faces, p, 3) contact forces on the gel, N.
        anchor: (faces, p, 3) friction anchors of the points in the indenter's frame, mm.
        sticks: (faces, p) bool, points in contact that have not slipped from their anchor.
        force: (N, 3) contact forces on the vertices, N.
        displacement: (N, 3) displacement of the vertices, mm.
        correction: (N, 3) part of the displacement that `GelResponse.correction` adds to that of
            the layer, mm.
    """

    pose: IndenterPose
    point_force: Floats
    anchor: Floats
    sticks: NDArray[np.bool_]
    force: Floats
    displacement: Floats
    correction: Floats


@dataclass(frozen=True)
class ContactStep:
    """Result of one step, for the F faces that may be in contact.

    Attributes:
        state: gel after the step.
        faces: (F,) numbers of the candidate faces.
        normal_force: (F, p) compressive normal forces, N, 0 or more.
        slips: (F, p) bool, points whose friction is at its bound.
        error_mm: largest penetration, gap at a loaded point, or last contact update, mm.
        sweeps: number of sweeps.
        converged: True if the error is below `TOLERANCE_MM` and the last change of the correction
            below `CORRECTION_TOLERANCE_MM`.
    """

    state: LiveState
    faces: Ints
    normal_force: Floats
    slips: NDArray[np.bool_]
    error_mm: float
    sweeps: int
    converged: bool


@dataclass(frozen=True)
class _Candidates:
    """Contact candidates at the goal pose.

    Attributes:
        goal: indenter pose to solve for.
        faces: (F,) numbers of the candidate faces.
        anchor: (F, p, 3) friction anchors in frame `gel`, mm.
        anchored: (F, p) bool, points with friction.
    """

    goal: IndenterPose
    faces: Ints
    anchor: Floats
    anchored: NDArray[np.bool_]


class LiveContact:
    """Contact solver for a pad and an indenter; it holds no state of the gel.

    The displacement of the layer is solved together with the contact. The smooth and small
    corrections to it (`GelResponse.correction`) are taken from the previous state and updated up to
    `MAX_CORRECTION_UPDATES` times.

    Attributes:
        indenter: rigid indenter.
        points: faces of the surface and the contact points on them.
    """

    def __init__(
        self, indenter: Indenter, material: GelMaterial, pad: PadGrid, response: GelResponse
    ) -> None:
        """Number the contact points.

        Args:
            indenter: rigid indenter.
            material: gel material.
            pad: dimensions and grid of the pad.
            response: displacement of the gel under vertex forces.
        """
        self.indenter = indenter
        self.points = SurfacePoints(pad, response.kernel.weights)
        self._response = response
        self._limits = SweepLimits(material.friction, MAX_SWEEPS, SWEEP_TOLERANCE_MM)
        spacing = math.sqrt(math.prod(pad.spacing_mm))
        self._softness = SOFTNESS / (material.young_modulus_mpa * spacing)

    def rest(self, pose: IndenterPose) -> LiveState:
        """Return the undeformed gel without contact.

        Args:
            pose: indenter pose above the gel, in frame `gel`.
        """
        zero = np.zeros_like(self.points.rest)
        at_points = np.zeros((*self.points.shape, 3))
        return LiveState(
            pose=pose,
            point_force=at_points,
            anchor=at_points,
            sticks=np.zeros(self.points.shape, bool),
            force=zero,
            displacement=zero,
            correction=zero,
        )

    def advance(self, state: LiveState, goal: IndenterPose) -> ContactStep:
        """Solve for contact at a pose that is close to the pose of a state.

        Args:
            state: gel before the step.
            goal: indenter pose after a short, straight motion, in frame `gel`.
        """
        candidates = self._candidates(state, goal)
        force, displacement = state.point_force[candidates.faces], state.displacement
        nodal, correction, sweeps = state.force, state.correction, 0
        for _ in range(MAX_CORRECTION_UPDATES):
            change = CORRECTION_RELAXATION * (
                self._response.correction(displacement, nodal) - correction
            )
            max_change = float(np.abs(change).max())
            displacement, correction = displacement + change, correction + change
            force, last_update, made = self._solve_forces(candidates, displacement, force)
            sweeps += made
            nodal = self.points.gather(force, candidates.faces)
            displacement = self._response.layer_displacement(nodal) + correction
            position = self.points.positions(displacement, candidates.faces)
            position = position + self._softness * force
            gap, normal = self._gap_and_normal(goal, position)
            normal_force = np.einsum("fpi,fpi->fp", force, normal)
            loaded = normal_force > LOADED_FRACTION * normal_force.max(initial=0.0)
            error = max(-gap.min(initial=0.0), gap[loaded].max(initial=0.0), last_update)
            converged = error < TOLERANCE_MM and max_change < CORRECTION_TOLERANCE_MM
            if converged:
                break
        tangential = np.linalg.norm(force - normal_force[..., None] * normal, axis=-1)
        touches = force.any(axis=-1)
        bound = SLIP_FRACTION * self._limits.friction * normal_force
        slips = touches & (tangential > bound)
        return ContactStep(
            state=self._new_state(
                state, candidates, force, touches & ~slips, nodal, displacement, correction
            ),
            faces=candidates.faces,
            normal_force=normal_force,
            slips=slips,
            error_mm=float(error),
            sweeps=sweeps,
            converged=bool(converged),
        )

    def _new_state(
        self,
        state: LiveState,
        candidates: _Candidates,
        force: Floats,
        sticks: NDArray[np.bool_],
        nodal: Floats,
        displacement: Floats,
        correction: Floats,
    ) -> LiveState:
        """State after a step, with the points' values scattered to the arrays of all faces."""
        point_force, anchor = np.zeros_like(state.point_force), np.zeros_like(state.anchor)
        all_sticks = np.zeros_like(state.sticks)
        point_force[candidates.faces] = force
        anchor[candidates.faces] = candidates.goal.to_indenter(candidates.anchor)
        all_sticks[candidates.faces] = sticks
        return LiveState(
            pose=candidates.goal,
            point_force=point_force,
            anchor=anchor,
            sticks=all_sticks,
            force=nodal,
            displacement=displacement,
            correction=correction,
        )

    def _candidates(self, state: LiveState, goal: IndenterPose) -> _Candidates:
        """Return the faces that may come into contact, and the anchors of their points.

        Points that stuck keep their anchor over steps: new anchors at their current positions would
        accumulate the remaining errors of the steps, and the points would creep.
        """
        faces = self._nearby_faces(state, goal)
        position = self.points.positions(state.displacement, faces)
        gap = self.indenter.distance(goal.to_indenter(position.reshape(-1, 3)))
        min_gap = gap.reshape(position.shape[:2]).min(axis=1, initial=np.inf)
        chosen = (min_gap < CANDIDATE_GAP_MM) | state.point_force[faces].any(axis=(1, 2))
        faces = faces[chosen]
        force = state.point_force[faces]
        position = position[chosen] + self._softness * force
        touches = force.any(axis=-1)
        anchors = step_anchors(
            self.indenter, state.pose, goal, position.reshape(-1, 3), touches.ravel()
        )
        local_anchor = np.where(
            state.sticks[faces][..., None],
            state.anchor[faces],
            anchors.position.reshape(position.shape),
        )
        return _Candidates(
            goal=goal,
            faces=faces,
            anchor=goal.to_gel(local_anchor),
            anchored=anchors.valid.reshape(touches.shape),
        )

    def _nearby_faces(self, state: LiveState, goal: IndenterPose) -> Ints:
        """Faces in contact or with their first corner within `SEARCH_MARGIN_MM` of the indenter."""
        local = goal.to_indenter(self.points.rest + state.displacement)
        low, high = self.indenter.bounds
        inside = (local[:, :2] > low[:2] - SEARCH_MARGIN_MM) & (
            local[:, :2] < high[:2] + SEARCH_MARGIN_MM
        )
        vertices = np.flatnonzero(inside.all(axis=1))
        near = np.zeros(len(local), bool)
        near[vertices] = self.indenter.distance(local[vertices]) < SEARCH_MARGIN_MM
        loaded = state.point_force.any(axis=(1, 2))
        return np.flatnonzero(near[self.points.vertices[:, 0]] | loaded)

    def _solve_forces(
        self, candidates: _Candidates, displacement: Floats, force: Floats
    ) -> tuple[Floats, float, int]:
        """Solve for the contact forces, with the normals updated between the sweeps.

        Returns:
            The (F, p, 3) forces in N, the last displacement update in mm, and the number of sweeps.
        """
        position = self.points.positions(displacement, candidates.faces) + self._softness * force
        gap, normal = self._gap_and_normal(candidates.goal, position)
        cells, sweeps, last_update = self.points.cells[candidates.faces], 0, 0.0
        for update in range(MAX_NORMAL_UPDATES):
            if update:
                self._update_normals(candidates.goal, position, force, gap, normal)
            contact = PointContact(
                faces=cells,
                normal=normal,
                gap_mm=gap,
                off_anchor=position - candidates.anchor,
                anchored=candidates.anchored,
                force=force,
                softness=self._softness,
            )
            result = solve_contact_forces(self._response.kernel, contact, self._limits)
            moved = result.displacement_change + self._softness * (result.force - force)
            position = position + moved
            gap += np.einsum("fpi,fpi->fp", normal, moved)
            force = result.force
            sweeps += result.sweeps
            last_update = float(np.abs(result.displacement_change).max(initial=0.0))
            if last_update < SWEEP_TOLERANCE_MM:
                break
        return force, last_update, sweeps

    def _update_normals(
        self, goal: IndenterPose, position: Floats, force: Floats, gap: Floats, normal: Floats
    ) -> None:
        """Recompute gaps and normals of points near contact, in place; others stay linearised."""
        near = (gap < NORMAL_UPDATE_GAP_MM) | force.any(axis=-1)
        field = self.indenter.derivatives(goal.to_indenter(position[near]))
        gap[near] = field.distance
        normal[near] = field.gradient @ goal.matrix.T

    def _gap_and_normal(self, goal: IndenterPose, position: Floats) -> tuple[Floats, Floats]:
        """Gaps (F, p) in mm and outward normals (F, p, 3) at positions (F, p, 3) in frame `gel`."""
        field = self.indenter.derivatives(goal.to_indenter(position.reshape(-1, 3)))
        normal = field.gradient @ goal.matrix.T
        return field.distance.reshape(position.shape[:2]), normal.reshape(position.shape)
