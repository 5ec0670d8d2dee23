"""Quasi-static solution of the gel under a moving rigid indenter.

Each step is a Newton iteration on the whole pad in which the contact problem is solved to the end
on the condensed surface. The factor of the stiffness is kept over iterations and steps as long as
the residual falls fast enough; residuals are always those of the full nonlinear model, so that a
kept factor costs iterations but no accuracy. Where that finds no equilibrium, because the gel snaps
over an edge, the energy with lagged friction is followed downhill first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.closing import Closing
from tacdiff_ros.mechanics.condensed_contact import CondensedProblem, CondensedSolution
from tacdiff_ros.mechanics.condensed_pad import CondensedPad
from tacdiff_ros.mechanics.contact_energy import ContactPotential, lagged_potential
from tacdiff_ros.mechanics.contact_law import Anchors, ContactLaw, Projection, step_anchors
from tacdiff_ros.mechanics.contact_points import ContactPoints, SurfaceFaces
from tacdiff_ros.mechanics.elasticity import ElasticForce, ElasticPad
from tacdiff_ros.mechanics.energy_descent import (
    CONTACT_TOLERANCE_N,
    MAX_DESCENTS,
    MIN_LENGTH_FRACTION,
    MIN_VOLUME_RATIO,
    EnergyDescent,
)
from tacdiff_ros.mechanics.gel_state import GelState, StepFailureError, StepReport
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import PadMesh

SOFTNESS = 0.015  # of a contact point, over 1 / (E times the vertex spacing)
HARDEST = 1.0 / 16  # of it, where points would press too deep
REACH_MM, NEEDED_REACH_MM = 0.6, 0.25
MAX_VERTICES = 1500
MAX_ITERATIONS, PATIENCE_AFTER_DESCENT = 20, 8
FRICTION_TOLERANCE, FRICTION_LIMIT = 0.02, 0.1  # shares of all friction, see `_descend`
SLOW, DIVERGING = 0.5, 100.0
RELATIVE_TOLERANCE, MIN_FORCE_N = 1e-5, 1e-3
PENETRATION_TOLERANCE_MM, MAX_ALLOWANCE_MM = 0.02, 0.012
SHARPEST_PER_MM = 1.5  # curvature of an edge; there, no allowance is made
FACE_FRACTION = 0.75  # 0: vertices lie on a curved indenter, 1: faces do on average
RAMP_LAGS, WHOLE_LAGS = 6, 3  # descents with friction coming back, and with renewed bounds
CAUTIOUS, BOLDER = 0.5, 1.4  # share of the way to fresh bounds; its growth while they settle
PASSING_DESCENTS = 8  # steps of a descent whose friction bounds only lead to the next
NEARLY_SETTLED = 0.3  # share of friction elsewhere from which the law itself is tried


@dataclass(frozen=True)
class _Attempt:
    """One way to get a step over an edge.

    Attributes:
        lags: descents at most.
        loosest: longest part of a step in which `FRICTION_LIMIT` does.
        shortest: part of a step.
        ramps: friction is taken away first and brought back in `RAMP_LAGS` descents.
    """

    lags: int
    loosest: float = 1.0
    shortest: float = 1.0
    ramps: bool = False


ATTEMPTS = (
    _Attempt(3, loosest=0.0),
    _Attempt(16, ramps=True),
    _Attempt(3, loosest=1.0 / 8, shortest=1.0 / 16),
    _Attempt(16),
    _Attempt(16, shortest=1.0 / 16, ramps=True),
)


@dataclass(frozen=True)
class _Trial:
    """On the way to an equilibrium: displacement, forces at the candidates' points, elastic."""

    displacement: NDArray[np.float64]
    point_force: NDArray[np.float64]
    elastic: ElasticForce

    @property
    def force_scale_n(self) -> float:
        return max(float(np.abs(self.elastic.force).max()), MIN_FORCE_N)


@dataclass(frozen=True)
class Linearisation:
    """The pad and its contact around an equilibrium.

    Attributes:
        condensed: the pad's factor, condensed to the vertices of the faces in contact.
        force: (points, 3) N on the gel.
        place: (points, 3) mm, with the give of the points.
        contact: the law and its derivatives there.
        softness: of the points, mm/N.
    """

    condensed: CondensedPad
    force: NDArray[np.float64]
    place: NDArray[np.float64]
    contact: Projection
    softness: float


class GelSolver(Closing):
    """One pad, one indenter; `rest` gives the first state and `step` the next ones.

    It owns the factor of the pad's stiffness: use it as a context manager, or `close` it.

    Limits: quasi-static (no viscosity, no inertia); where no equilibrium is near, because the gel
    snaps over an edge, the state after the snap is one that the energy leads to, not a record of
    the snap. No adhesion.
    """

    def __init__(
        self, mesh: PadMesh, material: GelMaterial, indenter: Indenter, precise: bool = False
    ) -> None:
        """Tables for a mesh; nothing is solved yet.

        Args:
            mesh: of the pad.
            material: of the gel.
            indenter: rigid.
            precise: factor in double precision, for tolerances that single does not reach.
        """
        self.mesh = mesh
        self.material = material
        self.indenter = indenter
        self.pad = ElasticPad(mesh, material)
        self._nodes = mesh.surface_nodes
        self._rest = mesh.nodes()[self._nodes]
        self._faces = SurfaceFaces(mesh)
        self._everywhere = self._faces.select(np.arange(len(self._faces.vertices)))
        stiffness = material.young_modulus_mpa * math.sqrt(math.prod(mesh.spacing_mm))
        self._precise = precise
        self._softest = SOFTNESS / stiffness
        self._softness = self._softest
        self._scale = stiffness
        self._condensed = self._condensed_to(self._faces.select(np.zeros(0, np.int64)))

    def close(self) -> None:
        """Release the factor; states stay valid, and a further step would make a new factor."""
        self._condensed.close()

    def rest(self, pose: IndenterPose | None = None) -> GelState:
        """The untouched pad, with the indenter at a pose where it does not touch.

        Raises:
            InputError: it does.
        """
        pose = pose or IndenterPose()
        gap = self.indenter.distance(pose.to_indenter(self._rest))
        if gap.min() < -1e-9:
            raise InputError(
                f"the indenter starts {-gap.min():.3f} mm deep in the gel: start at depth 0 or less"
            )
        displacement = np.zeros(self.mesh.unknown_count)
        shape = (len(self._faces.vertices), len(self._faces.weights))
        return GelState(
            displacement,
            pose,
            np.zeros((*shape, 3)),
            Anchors(np.zeros((math.prod(shape), 3)), np.zeros(math.prod(shape), bool)),
            np.zeros(shape),
            self._softness,
            np.zeros((len(gap), 3)),
            0.0,
            self.pad.force(displacement),
            StepReport(),
        )

    def position(self, state: GelState) -> NDArray[np.float64]:
        """(vertices, 3) mm, current surface."""
        return np.asarray(self._rest + state.displacement.reshape(-1, 3)[self._nodes])

    @one_blas_thread
    def step(self, state: GelState, goal: IndenterPose) -> GelState:
        """The equilibrium after the indenter moved to a pose, in parts where that is needed.

        Raises:
            StepFailureError: no equilibrium was found even in the smallest parts.
            InputError: more of the pad is touched than can be solved for.
        """
        cause = ""
        for attempt in ATTEMPTS:
            try:
                return self._advance(state, goal, attempt)
            except StepFailureError as error:
                self._condensed.stale = True
                # The exception itself would keep this frame, and with it the solver, in a cycle.
                cause = str(error)
        self.close()  # the caller may keep the exception, and with it the solver, for long
        raise StepFailureError(cause)

    @one_blas_thread
    def linearise(self, state: GelState) -> Linearisation:
        """The pad around an equilibrium; the caller closes `condensed` of it.

        Raises:
            StepFailureError: its stiffness cannot be factorised.
        """
        touched = np.flatnonzero(state.point_force.any(axis=(1, 2)))
        points = self._faces.select(touched)
        index = points.numbers
        anchors = Anchors(state.anchors.position[index], state.anchors.valid[index])
        law = ContactLaw(
            self.indenter,
            state.pose,
            anchors,
            self.material.friction,
            state.allowance_mm[touched].ravel(),
        )
        force = state.point_force[touched].reshape(-1, 3)
        places = points.interpolate(self.position(state)[points.chosen]) + state.softness * force
        contact = law.project(force, places, np.full(len(places), self._scale))
        condensed = CondensedPad(self.pad, points, precise=True)
        try:
            condensed.factorise(state.displacement)
        except BaseException:
            condensed.close()
            raise
        return Linearisation(condensed, force, places, contact, state.softness)

    def _advance(self, state: GelState, goal: IndenterPose, attempt: _Attempt) -> GelState:
        start, done, share = state.pose, 0.0, 1.0
        total = StepReport()
        while done < 1.0:
            share = min(share, 1.0 - done)
            pose = goal if done + share >= 1.0 else start.toward(goal, done + share)
            enough = FRICTION_LIMIT if share <= attempt.loosest else FRICTION_TOLERANCE
            try:
                state = self._shallow_part(state, pose, attempt, enough)
            except StepFailureError:
                total = replace(total, cuts=total.cuts + 1)
                share /= 2.0
                if share < attempt.shortest:
                    raise
                continue
            total = total.plus(state.report)
            done += share
            share *= 2.0
        return replace(state, report=total)

    def _shallow_part(
        self, state: GelState, goal: IndenterPose, attempt: _Attempt, enough: float
    ) -> GelState:
        """One part of a step, with harder points where they would press too deep."""
        while True:
            found = self._part(state, goal, attempt, enough)
            if found.penetration_mm <= PENETRATION_TOLERANCE_MM:
                return found
            if self._softness <= HARDEST * self._softest:
                raise StepFailureError(
                    f"the surface is {found.penetration_mm:.3f} mm inside the indenter"
                )
            self._softness /= 2.0

    def _part(
        self, state: GelState, goal: IndenterPose, attempt: _Attempt, enough: float
    ) -> GelState:
        """One part of a step, as a descent where Newton's method fails."""
        self._choose_candidates(state, goal)
        points = self._condensed.points
        before = self.position(state)[points.chosen]
        force = state.point_force[points.faces].reshape(-1, 3)
        anchors = step_anchors(
            self.indenter, state.pose, goal, points.interpolate(before), _loaded(force)
        )
        law = ContactLaw(
            self.indenter, goal, anchors, self.material.friction, self._allowance(goal, before)
        )
        held = _loaded(points.gather(force))
        carried = goal.to_gel(state.pose.to_indenter(before)) - before
        guess = np.where(held[:, None], carried, 0.0)
        start = _Trial(state.displacement, force, state.elastic)
        report = StepReport(substeps=1)
        try:
            trial, contact, report = self._equilibrate(law, start, guess, report, MAX_ITERATIONS)
        except StepFailureError:
            self._condensed.stale = True
            trial, contact, report = self._descend(law, start, guess, report, attempt, enough)
        return self._accept(law, trial, contact, report)

    def _choose_candidates(self, state: GelState, goal: IndenterPose) -> None:
        """Keep the faces that may touch while they hold all that can be met in this step."""
        position = self.position(state)
        centres = self._faces.centres(position)
        gap = np.minimum(
            self.indenter.distance(goal.to_indenter(centres)),
            self.indenter.distance(state.pose.to_indenter(centres)),
        )
        gap -= self._faces.half_diagonals(position)
        touches = state.point_force.any(axis=(1, 2))
        needed = np.flatnonzero((gap < NEEDED_REACH_MM) | touches)
        kept = self._condensed
        if len(needed) and not kept.is_closed and np.isin(needed, kept.points.faces).all():
            return
        points = self._faces.select(np.flatnonzero((gap < REACH_MM) | touches))
        if len(points.chosen) > MAX_VERTICES:
            points = self._faces.select(needed)
        if len(points.chosen) > MAX_VERTICES:
            raise InputError(
                f"the contact covers {len(points.chosen)} surface vertices, at most "
                f"{MAX_VERTICES} are possible: use a coarser mesh or a smaller indenter"
            )
        self._condensed.close()
        self._condensed = self._condensed_to(points)

    def _condensed_to(self, points: ContactPoints) -> CondensedPad:
        return CondensedPad(self.pad, points, self._precise)

    def _allowance(self, goal: IndenterPose, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """(points,) mm that faces may cut into the curved indenter in this step.

        With it, contact forces on a sphere follow the layer theory; without, faces that are kept
        off the sphere everywhere stand for a larger one.
        """
        points = self._condensed.points
        local = goal.to_indenter(points.interpolate(position))
        bend = goal.matrix @ self.indenter.derivatives(local).hessian @ goal.matrix.T
        smooth = np.linalg.norm(bend, axis=(1, 2)) < SHARPEST_PER_MM
        depth = np.minimum(points.sagitta(position, bend), MAX_ALLOWANCE_MM) * smooth
        of_face = depth.reshape(len(points.faces), -1)
        return np.asarray((of_face - FACE_FRACTION * of_face.mean(axis=1, keepdims=True)).ravel())

    def _equilibrate(
        self,
        law: ContactLaw,
        trial: _Trial,
        guess: NDArray[np.float64],
        report: StepReport,
        patience: int,
    ) -> tuple[_Trial, Projection, StepReport]:
        """Newton iteration on the whole pad."""
        imbalance = math.inf
        for _ in range(patience):
            if self._condensed.stale:
                self._condensed.factorise(trial.displacement)
                report = replace(report, factorisations=report.factorisations + 1)
            solution, trial = self._linear_step(law, trial, guess)
            guess = np.zeros_like(guess)
            before = imbalance
            contact, imbalance = self._imbalance(trial, law)
            report = replace(
                report,
                iterations=report.iterations + 1,
                contact_iterations=report.contact_iterations + solution.iterations,
                residual_n=imbalance,
            )
            if imbalance <= RELATIVE_TOLERANCE * trial.force_scale_n:
                return trial, contact, report
            self._condensed.stale = imbalance > SLOW * before
            if not imbalance < DIVERGING * trial.force_scale_n:
                break
        raise StepFailureError(f"imbalance {imbalance:.2g} N after {report.iterations} iterations")

    def _linear_step(
        self, law: ContactLaw, trial: _Trial, guess: NDArray[np.float64]
    ) -> tuple[CondensedSolution, _Trial]:
        """Contact solution of the linearised gel, and the pad moved by it."""
        condensed = self._condensed
        half, load = condensed.condense(-trial.elastic.force)
        problem = CondensedProblem(
            condensed.gel,
            -load,
            law,
            condensed.points,
            condensed.position(trial.displacement),
            self._softness,
            CONTACT_TOLERANCE_N,
        )
        solution = problem.solve(guess, trial.point_force)
        if not solution.converged:
            raise StepFailureError("the contact of the linearised gel did not converge")
        move = condensed.expand(half, solution.increment)
        return solution, self._moved(trial.displacement, move, solution.force)

    def _moved(
        self,
        displacement: NDArray[np.float64],
        move: NDArray[np.float64],
        point_force: NDArray[np.float64],
    ) -> _Trial:
        """As far along a move as no element inverts."""
        share = 1.0
        while share > MIN_LENGTH_FRACTION:
            moved = displacement + share * move
            elastic = self.pad.force(moved)
            if elastic.smallest_volume_ratio > MIN_VOLUME_RATIO:
                return _Trial(moved, point_force, elastic)
            share /= 2.0
        raise StepFailureError("an element would invert")

    def _descend(
        self,
        law: ContactLaw,
        start: _Trial,
        guess: NDArray[np.float64],
        report: StepReport,
        attempt: _Attempt,
        enough: float,
    ) -> tuple[_Trial, Projection, StepReport]:
        """Over an edge: least energy with lagged friction, then the law itself from there.

        Where the law's own iteration does not finish, an equilibrium is taken whose friction bounds
        have settled to `FRICTION_TOLERANCE` of all friction. Where points at an edge flip between
        two sides of it no bounds settle: then `enough` must do, and the report says so.
        """
        condensed = self._condensed
        report = replace(report, descents=report.descents + 1)
        displacement, elastic = start.displacement, start.elastic
        places = condensed.points.interpolate(condensed.position(displacement))
        bound = law.friction * np.linalg.norm(start.point_force, axis=1)
        first = 0.0 if attempt.ramps else 1.0
        potential = replace(lagged_potential(law, self._softness, places), bound_n=first * bound)
        best: tuple[_Trial, StepReport] | None = None
        share, last = CAUTIOUS, math.inf
        for lag in range(attempt.lags):
            descent = EnergyDescent(self.pad, condensed, potential)
            if 0 < lag < WHOLE_LAGS and not attempt.ramps:
                potential = descent.settle_friction(displacement, elastic)
                descent = EnergyDescent(self.pad, condensed, potential)
            passing = attempt.ramps and lag < RAMP_LAGS
            most = PASSING_DESCENTS if passing else MAX_DESCENTS
            displacement, elastic, report = descent.run(displacement, elastic, guess, report, most)
            guess = np.zeros_like(guess)
            places = condensed.points.interpolate(condensed.position(displacement))
            trial = _Trial(displacement, potential.at(places).force, elastic)
            fresh = lagged_potential(law, self._softness, places)
            unsettled = fresh.friction_difference(potential)
            early = lag < WHOLE_LAGS and not attempt.ramps
            if early or unsettled <= NEARLY_SETTLED:
                try:
                    return self._equilibrate(law, trial, guess, report, PATIENCE_AFTER_DESCENT)
                except StepFailureError:
                    condensed.stale = True
            share = min(1.0, BOLDER * share) if unsettled < last else CAUTIOUS
            last = unsettled
            potential = _renewed(potential, fresh, lag, attempt, share)
            out = float(np.abs(condensed.imbalance(elastic.force, trial.point_force)).max())
            if out > RELATIVE_TOLERANCE * trial.force_scale_n:
                continue
            if best is None or unsettled < best[1].friction_unsettled:
                best = trial, replace(report, residual_n=out, friction_unsettled=unsettled)
            if unsettled <= FRICTION_TOLERANCE:
                break
        if best is None or best[1].friction_unsettled > enough:
            raise StepFailureError(f"friction did not settle in {attempt.lags} descents")
        contact, _ = self._imbalance(best[0], law)
        return best[0], contact, best[1]

    def _imbalance(self, trial: _Trial, law: ContactLaw) -> tuple[Projection, float]:
        """The law at the points, and the largest violation of it and of equilibrium in N."""
        condensed, force = self._condensed, trial.point_force
        places = condensed.points.interpolate(condensed.position(trial.displacement))
        places = places + self._softness * force
        contact = law.project(force, places, np.full(len(places), self._scale))
        violation = float(np.abs(force - contact.force).max(initial=0.0))
        out = condensed.imbalance(trial.elastic.force, force)
        return contact, max(float(np.abs(out).max()), violation)

    def _accept(
        self, law: ContactLaw, trial: _Trial, contact: Projection, report: StepReport
    ) -> GelState:
        points = self._condensed.points
        shape = (len(self._faces.vertices), len(self._faces.weights))
        position = self._rest + trial.displacement.reshape(-1, 3)[self._nodes]
        gap = self.indenter.distance(law.pose.to_indenter(self._everywhere.interpolate(position)))
        point_force = np.zeros((math.prod(shape), 3))
        kept = np.where(contact.touches[:, None], trial.point_force, 0.0)
        point_force[points.numbers] = kept
        force = np.zeros((len(position), 3))
        force[points.chosen] = points.gather(kept)
        anchors = Anchors(np.zeros_like(point_force), np.zeros(len(point_force), bool))
        anchors.position[points.numbers] = law.anchors.position
        anchors.valid[points.numbers] = law.anchors.valid
        allowance = np.zeros(len(point_force))
        allowance[points.numbers] = law.allowance_mm
        return GelState(
            trial.displacement,
            law.pose,
            point_force.reshape(*shape, 3),
            anchors,
            allowance.reshape(shape),
            self._softness,
            force,
            max(0.0, -float(gap.min())),
            trial.elastic,
            report,
        )


def _renewed(
    held: ContactPotential, fresh: ContactPotential, lag: int, attempt: _Attempt, share: float
) -> ContactPotential:
    """Friction for the next descent: as it is now, or a share of the way where that would swing."""
    if attempt.ramps and lag < RAMP_LAGS:
        return replace(fresh, bound_n=fresh.bound_n * min(1.0, (lag + 1) / RAMP_LAGS))
    if not attempt.ramps and lag < WHOLE_LAGS - 1:
        return fresh
    return held.toward(fresh, share)


def _loaded(force: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) rows of a force (N, 3) that are not 0."""
    return np.asarray(force.any(axis=1))
