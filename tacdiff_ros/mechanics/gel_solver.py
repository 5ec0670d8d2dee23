"""Quasi-static solution of the gel under a moving rigid indenter.

A step goes through these parts, each in its file:

1. `contact_candidates`: the faces near the indenter, whose points may come into contact.
2. `newton_step`: Newton iteration on the whole pad, with the contact solved on these faces.
3. `edge_crossing`: where that fails, descents of the energy with lagged friction.
4. `substeps`: where that fails too, the step in parts.

Parts 2 to 4 are repeated with the next strategy of `descent_strategies.ATTEMPTS` until one
succeeds.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.closing import Closing
from tacdiff_ros.mechanics.condensed_pad import CondensedPad
from tacdiff_ros.mechanics.contact_candidates import (
    find_candidates,
    is_dense,
    select_points,
)
from tacdiff_ros.mechanics.contact_points import ContactPoints
from tacdiff_ros.mechanics.descent_strategies import (
    ATTEMPTS,
    NEWTON_SUBSTEPS,
    DescentStrategy,
)
from tacdiff_ros.mechanics.edge_crossing import EdgeCrossing
from tacdiff_ros.mechanics.elasticity import ElasticPad
from tacdiff_ros.mechanics.energy_descent import CONTACT_TOLERANCE_N
from tacdiff_ros.mechanics.gel_state import GelState, StepFailureError, StepReport
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.linearisation import Linearisation, linearise
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.newton_step import NewtonStep, PadIterate, Tolerances
from tacdiff_ros.mechanics.pad_mesh import PadMesh
from tacdiff_ros.mechanics.pad_surface import PadSurface
from tacdiff_ros.mechanics.substep_law import substep_law
from tacdiff_ros.mechanics.substeps import advance
from tacdiff_ros.mechanics.surface_stiffness import SurfaceStiffness
from tacdiff_ros.mechanics.whole_pad import WholePad

__all__ = ["ATTEMPTS", "CONTACT_TOLERANCE_N", "RELATIVE_TOLERANCE", "GelSolver", "Linearisation"]

RELATIVE_TOLERANCE = 1e-5  # residual of an equilibrium over the largest internal force
MAX_PENETRATION_MM = 0.02  # depth of the deepest surface point inside the indenter, mm
# Compliance of a contact point times the local stiffness E h of the gel, with Young's modulus E and
# the vertex spacing h; dimensionless. Points that penetrate too deep get half of it, repeatedly.
RELATIVE_SOFTNESS = 0.015
MIN_SOFTNESS_RATIO = 1.0 / 16  # smallest compliance of a contact point over its initial value
MAX_REST_PENETRATION_MM = 0.005  # error of a sampled distance, at edges of coarse cells, mm


class GelSolver(Closing):
    """Solver for one pad under one indenter: `rest` returns the first state, `step` the next ones.

    The object owns a factor of the pad's stiffness: use it as a context manager, or call `close`.

    Limits: quasi-static (no viscosity, no inertia), no adhesion. Where no equilibrium is near,
    because the gel snaps over an edge, the state after the snap is one that the energy leads to,
    not a record of the snap.

    Attributes:
        mesh: mesh of the pad.
        material: gel material.
        indenter: rigid indenter.
        pad: elastic pad.
    """

    def __init__(
        self, mesh: PadMesh, material: GelMaterial, indenter: Indenter, precise: bool = False
    ) -> None:
        """Precompute the tables of a mesh; nothing is solved yet.

        Args:
            mesh: mesh of the pad.
            material: gel material.
            indenter: rigid indenter.
            precise: True for a factor in double precision, for tolerances that single precision
                does not reach.
        """
        self.mesh = mesh
        self.material = material
        self.indenter = indenter
        self.pad = ElasticPad(mesh, material)
        self._surface = PadSurface(mesh)
        self._precise = precise
        self._local_stiffness = material.young_modulus_mpa * math.sqrt(math.prod(mesh.spacing_mm))
        self._max_softness = RELATIVE_SOFTNESS / self._local_stiffness
        self._softness = self._max_softness
        no_faces = self._surface.faces.select(np.zeros(0, np.int64))
        self._condensed = self._condensed_to(no_faces)

    def close(self) -> None:
        """Release the factor; states stay valid, and a further step makes a new factor."""
        self._condensed.close()

    def rest(self, pose: IndenterPose | None = None) -> GelState:
        """Return the undeformed pad, with the indenter at a pose without contact.

        Args:
            pose: indenter pose in frame `gel`; None for the origin at depth 0.

        Raises:
            InputError: the indenter is inside the gel at this pose.
        """
        pose = pose or IndenterPose()
        gap = self.indenter.distance(pose.to_indenter(self._surface.rest))
        if gap.min() < -MAX_REST_PENETRATION_MM:
            raise InputError(
                f"the indenter starts {-gap.min():.3f} mm deep in the gel: start at depth 0 or less"
            )
        displacement = np.zeros(self.mesh.unknown_count)
        return self._surface.undeformed_state(
            displacement, pose, self._softness, self.pad.force(displacement)
        )

    @property
    def rest_position(self) -> NDArray[np.float64]:
        """(vertices, 3) undeformed positions of the surface vertices, mm."""
        return self._surface.rest

    def vertex_displacement(self, state: GelState) -> NDArray[np.float64]:
        """Return the (vertices, 3) displacement of the surface vertices, mm."""
        return self._surface.vertex_displacement(state.displacement)

    def position(self, state: GelState) -> NDArray[np.float64]:
        """Return the (vertices, 3) positions of the surface vertices, mm."""
        return self._surface.position(state.displacement)

    @one_blas_thread
    def step(self, state: GelState, goal: IndenterPose) -> GelState:
        """Return the equilibrium after a straight motion of the indenter to a pose.

        Args:
            state: equilibrium before the step.
            goal: indenter pose at the end of the step.

        Raises:
            StepFailureError: no strategy reached an equilibrium; the factor is released.
        """
        cause = ""
        self._update_candidates(state, goal)
        attempts = ATTEMPTS if is_dense(self._condensed.points) else (NEWTON_SUBSTEPS, *ATTEMPTS)
        for strategy in attempts:
            try:
                return self._advance(state, goal, strategy)
            except StepFailureError as error:
                self._condensed.stale = True
                # The exception itself would keep this frame, and with it the solver, in a cycle.
                cause = str(error)
        self.close()  # the caller may keep the exception, and with it the solver, for long
        raise StepFailureError(cause)

    @one_blas_thread
    def linearise(self, state: GelState) -> Linearisation:
        """Return the linearisation around an equilibrium; the caller has to close its `condensed`.

        Args:
            state: equilibrium.

        Raises:
            StepFailureError: the stiffness cannot be factorised.
        """
        position, faces = self.position(state), self._surface.faces
        return linearise(
            self.pad, faces, self.indenter, state, position, augmentation=self._local_stiffness
        )

    def _advance(self, state: GelState, goal: IndenterPose, strategy: DescentStrategy) -> GelState:
        """Attempt a step with one strategy, in substeps where that strategy allows them."""
        solve = functools.partial(self._shallow_substep, strategy)
        return advance(state, goal, strategy.min_substep, solve, strategy.first_substep)

    def _shallow_substep(
        self, strategy: DescentStrategy, state: GelState, goal: IndenterPose, substep: float
    ) -> GelState:
        """Solve one substep, with stiffer points where the surface would penetrate too deep.

        The points stay stiffer in later steps.

        Args:
            strategy: strategy where Newton's method fails.
            state: equilibrium before the substep.
            goal: indenter pose at the end of the substep.
            substep: length of the substep, as a fraction of the step.
        """
        while True:
            result = self._substep(strategy, state, goal, strategy.max_unsettled(substep))
            if result.penetration_mm <= MAX_PENETRATION_MM:
                return result
            if self._softness <= MIN_SOFTNESS_RATIO * self._max_softness:
                raise StepFailureError(
                    f"the surface is {result.penetration_mm:.3f} mm inside the indenter"
                )
            self._softness /= 2.0

    def _substep(
        self,
        strategy: DescentStrategy,
        state: GelState,
        goal: IndenterPose,
        max_unsettled: float,
    ) -> GelState:
        """Solve one substep by Newton's method or, where that fails, by descents."""
        self._update_candidates(state, goal)
        points = self._condensed.points
        position = self._condensed.position(state.displacement)
        force = state.point_force[points.faces].reshape(-1, 3)
        newton = self._newton_step(state.pose, goal, position, _loaded(force))
        start = PadIterate(state.displacement, force, state.elastic)
        carried = goal.to_gel(state.pose.to_indenter(position)) - position
        # Initial guess: loaded vertices stick to the indenter.
        guess = np.where(_loaded(points.gather(force))[:, None], carried, 0.0)
        report = StepReport(substeps=1)
        try:
            equilibrium = newton.solve(start, guess, report)
        except StepFailureError:
            self._condensed.stale = True
            crossing = EdgeCrossing(newton, strategy, max_unsettled)
            equilibrium = crossing.solve(start, guess, report)
        return self._surface.equilibrium_state(points, newton.law, self._softness, equilibrium)

    def _newton_step(
        self,
        start: IndenterPose,
        goal: IndenterPose,
        position: NDArray[np.float64],
        touches: NDArray[np.bool_],
    ) -> NewtonStep:
        """Set up Newton's method for a substep.

        Args:
            start: indenter pose before the substep.
            goal: indenter pose at the end of the substep.
            position: (n, 3) positions of the candidate vertices before the substep, mm.
            touches: (points,) bool, candidate points in contact before the substep.
        """
        points = self._condensed.points
        friction = self.material.friction
        return NewtonStep(
            pad=self.pad,
            condensed=self._condensed,
            law=substep_law(self.indenter, friction, start, goal, points, position, touches),
            softness=self._softness,
            augmentation=self._local_stiffness,
            tolerances=Tolerances(RELATIVE_TOLERANCE, CONTACT_TOLERANCE_N),
        )

    def _update_candidates(self, state: GelState, goal: IndenterPose) -> None:
        """Select new candidate faces, unless the present ones suffice for this step."""
        candidates = find_candidates(
            self._surface.faces, self.indenter, state, goal, self.position(state)
        )
        if not self._condensed.is_closed and candidates.are_covered_by(self._condensed.points):
            return
        points = select_points(self._surface.faces, candidates)
        self._condensed.close()
        self._condensed = self._condensed_to(points)

    def _condensed_to(self, points: ContactPoints) -> SurfaceStiffness:
        if is_dense(points):
            return CondensedPad(self.pad, points, self._precise)
        return WholePad(self.pad, points)


def _loaded(force: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) bool, rows of a force (N, 3) that are not 0."""
    return np.asarray(force.any(axis=1))
