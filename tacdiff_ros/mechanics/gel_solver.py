"""Quasi-static solution of the gel under a moving rigid indenter.

Each step is a Newton iteration on the whole pad in which the contact problem is solved to the end
on the condensed surface. The factor of the stiffness is kept over iterations and steps as long as
the residual falls fast enough; residuals are always those of the full nonlinear model, so that a
kept factor costs iterations but no accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.condensed_contact import (
    CondensedGel,
    CondensedProblem,
    CondensedSolution,
)
from tacdiff_ros.mechanics.contact_energy import CondensedEnergy, ContactPotential, lagged
from tacdiff_ros.mechanics.contact_law import Anchors, ContactLaw, Projection, begin_step
from tacdiff_ros.mechanics.contact_points import ContactPoints, SurfaceFaces
from tacdiff_ros.mechanics.elasticity import ElasticForce, ElasticPad
from tacdiff_ros.mechanics.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import PadMesh
from tacdiff_ros.mechanics.pardiso import CondensedFactor, FactorisationError

CONTACT_SCALE = 1.0  # of the law, over G times the vertex spacing
SOFTNESS = 0.015  # of a contact point, over 1 / (E times the vertex spacing)
HARDEST = 1.0 / 16  # of it, where points would press too deep
REACH_MM, NEEDED_REACH_MM = 1.3, 0.25
MOST_VERTICES = 1500
MOST_ITERATIONS = 20
SLOW, DIVERGING = 0.2, 100.0
RELATIVE_TOLERANCE, LEAST_FORCE_N = 1e-5, 1e-3
CONTACT_TOLERANCE_N = 1e-8
PENETRATION_TOLERANCE_MM, LARGEST_ALLOWANCE_MM = 0.02, 0.012
SHARPEST_PER_MM = 1.5  # curvature of an edge; there, no allowance is made
FACE_SHARE = 0.75  # 0: vertices lie on a curved indenter, 1: faces do on average
SMALLEST_VOLUME_RATIO = 0.02
SHORTEST_SUBSTEP, DESCENT_SUBSTEP = 1.0 / 16, 1.0 / 2
MOST_LAGS, MOST_DESCENTS = 12, 25
DESCENT_TOLERANCE = 1e-3
LEAST_DAMPING, SHORTEST_SHARE = 0.02, 0.01


LOG: list = []


class StepFailure(RuntimeError):
    """A step did not converge; the message says how."""


@dataclass(frozen=True)
class StepReport:
    """What a step cost.

    Attributes:
        substeps: converged parts of it.
        cuts: attempts that were given up and repeated in halves.
        creeps: parts that were solved as overdamped motion.
        iterations: residual evaluations of the whole pad.
        contact_iterations: linear systems of the condensed contact problem.
        factorisations: of the stiffness.
        residual_n: largest imbalance of a force at the end.
    """

    substeps: int = 0
    cuts: int = 0
    creeps: int = 0
    iterations: int = 0
    contact_iterations: int = 0
    factorisations: int = 0
    residual_n: float = 0.0


@dataclass(frozen=True)
class GelState:
    """The pad in equilibrium.

    Attributes:
        displacement: (unknowns,) mm.
        pose: of the indenter.
        point_force: (faces, points of a face, 3) N on the gel.
        anchors: of the last step, for all points of all faces.
        allowance_mm: of the last step, (faces, points of a face).
        force: (vertices, 3) N on the gel.
        penetration_mm: how deep the deepest contact point is inside the indenter, 0 or more.
        elastic: internal forces.
        report: what the step to here cost.
    """

    displacement: NDArray[np.float64]
    pose: IndenterPose
    point_force: NDArray[np.float64]
    anchors: Anchors
    allowance_mm: NDArray[np.float64]
    force: NDArray[np.float64]
    penetration_mm: float
    elastic: ElasticForce
    report: StepReport

    @property
    def touches(self) -> NDArray[np.bool_]:
        """(vertices,) bool, with a contact point on a face beside them."""
        return np.asarray(self.force.any(axis=1))


@dataclass(frozen=True)
class Linearisation:
    """The pad and its contact around an equilibrium.

    Attributes:
        points: of the faces in contact.
        force: (points, 3) N on the gel.
        place: (points, 3) mm, with the give of the points.
        contact: the law and its derivatives there.
        softness: of the points, mm/N.
        factor: of the stiffness, condensed to the vertices of `points`.
        schur: (3 n, 3 n) N/mm, the condensed stiffness without contact.
    """

    points: ContactPoints
    force: NDArray[np.float64]
    place: NDArray[np.float64]
    contact: Projection
    softness: float
    factor: CondensedFactor
    schur: NDArray[np.float64]


@dataclass(frozen=True)
class _Trial:
    """On the way to an equilibrium: displacement, forces at the candidates' points, elastic."""

    displacement: NDArray[np.float64]
    point_force: NDArray[np.float64]
    elastic: ElasticForce


class GelSolver:
    """One pad, one indenter; `rest` gives the first state and `step` the next ones.

    Limits: quasi-static (no viscosity, no inertia); where no equilibrium is near, because the gel
    snaps over an edge, the state after the snap is found by overdamped motion. No adhesion.
    """

    def __init__(self, mesh: PadMesh, material: GelMaterial, indenter: Indenter) -> None:
        """Tables for a mesh; nothing is solved yet."""
        self.mesh = mesh
        self.material = material
        self.indenter = indenter
        self.pad = ElasticPad(mesh, material)
        self._nodes = mesh.surface_nodes
        self._rest = mesh.nodes()[self._nodes]
        self._faces = SurfaceFaces(mesh)
        stiffness = material.shear_modulus_mpa * math.sqrt(math.prod(mesh.spacing_mm))
        self._scale = CONTACT_SCALE * stiffness
        self.softness = self._softest = SOFTNESS / (material.young_modulus_mpa * math.sqrt(math.prod(mesh.spacing_mm)))
        self._points = self._faces.some(np.zeros(0, np.int64))
        self._factor: CondensedFactor | None = None
        self._gel: CondensedGel | None = None

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
        faces, points = len(self._faces.vertices), len(self._faces.weights)
        return GelState(
            displacement,
            pose,
            np.zeros((faces, points, 3)),
            Anchors(np.zeros((faces * points, 3)), np.zeros(faces * points, bool)),
            np.zeros((faces, points)),
            np.zeros((len(gap), 3)),
            0.0,
            self.pad.force(displacement),
            StepReport(),
        )

    def position(self, state: GelState) -> NDArray[np.float64]:
        """(vertices, 3) mm, current surface."""
        return self._rest + state.displacement.reshape(-1, 3)[self._nodes]

    def step(self, state: GelState, goal: IndenterPose) -> GelState:
        """The equilibrium after the indenter moved to a pose, in parts where that is needed.

        Raises:
            StepFailure: no equilibrium was found even in the smallest parts.
        """
        with threadpool_limits(1):
            return self._advance(state, goal)

    def _advance(self, state: GelState, goal: IndenterPose) -> GelState:
        start, done, share = state.pose, 0.0, 1.0
        total = StepReport()
        while done < 1.0:
            share = min(share, 1.0 - done)
            pose = goal if done + share >= 1.0 else start.toward(goal, done + share)
            try:
                state = self._shallow_part(state, pose, share <= DESCENT_SUBSTEP)
            except StepFailure:
                total = replace(total, cuts=total.cuts + 1)
                share /= 2.0
                if share < SHORTEST_SUBSTEP:
                    raise
                continue
            total = _add(total, state.report)
            done += share
            share *= 2.0
        return replace(state, report=total)

    def _shallow_part(self, state: GelState, goal: IndenterPose, descending: bool) -> GelState:
        """One part of a step, with harder points where they would press too deep."""
        while True:
            found = self._part(state, goal, descending)
            if found.penetration_mm <= PENETRATION_TOLERANCE_MM:
                return found
            if self.softness <= HARDEST * self._softest:
                raise StepFailure(f"the surface is {found.penetration_mm:.3f} mm in the indenter")
            self.softness /= 2.0

    def _part(self, state: GelState, goal: IndenterPose, descending: bool) -> GelState:
        """One part of a step, as a descent where that is allowed and needed."""
        self._choose_candidates(state, goal)
        points = self._points
        before = self.position(state)[points.chosen]
        force = state.point_force[points.faces].reshape(-1, 3)
        anchors = begin_step(
            self.indenter, state.pose, goal, points.places(before), force.any(axis=1)
        )
        allowance = self._allowance(goal, before)
        law = ContactLaw(self.indenter, goal, anchors, self.material.friction, allowance)
        held = points.gather(force).any(axis=1)
        carried = goal.to_gel(state.pose.to_indenter(before)) - before
        guess = np.where(held[:, None], carried, 0.0)
        start = _Trial(state.displacement, force, state.elastic)
        report = StepReport(substeps=1)
        try:
            trial, contact, report = self._equilibrate(law, start, guess, report)
        except StepFailure:
            if not descending:
                raise
            self._gel = None
            trial, contact, report = self._descend(law, start, guess, report)
        return self._accept(law, trial, contact, report)

    def _allowance(
        self, goal: IndenterPose, position: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(points,) mm that faces may cut into the curved indenter in this step.

        With it, contact forces on a sphere follow the layer theory; without, faces that are kept
        off the sphere everywhere stand for a larger one.
        """
        local = goal.to_indenter(self._points.places(position))
        bend = goal.matrix @ self.indenter.derivatives(local).hessian @ goal.matrix.T
        smooth = np.linalg.norm(bend, axis=(1, 2)) < SHARPEST_PER_MM
        depth = np.minimum(self._points.sagitta(position, bend), LARGEST_ALLOWANCE_MM) * smooth
        of_face = depth.reshape(len(self._points.faces), -1)
        return np.asarray((of_face - FACE_SHARE * of_face.mean(axis=1, keepdims=True)).ravel())

    def _equilibrate(
        self,
        law: ContactLaw,
        trial: _Trial,
        guess: NDArray[np.float64],
        report: StepReport,
        patience: int = MOST_ITERATIONS,
    ) -> tuple[_Trial, Projection, StepReport]:
        """Newton iteration on the whole pad."""
        imbalance = math.inf
        for _ in range(patience):
            if self._gel is None:
                self._factorise(trial.displacement)
                report = replace(report, factorisations=report.factorisations + 1)
            solution, move = self._linear_step(law, trial, guess)
            if not solution.converged:
                self._gel = None
                raise StepFailure("the contact of the linearised gel did not converge")
            guess = np.zeros_like(guess)
            trial = self._damped(trial.displacement, move, solution.force)
            before = imbalance
            contact, imbalance = self._imbalance(trial, law)
            scale = max(float(np.abs(trial.elastic.force).max()), LEAST_FORCE_N)
            report = replace(
                report,
                iterations=report.iterations + 1,
                contact_iterations=report.contact_iterations + solution.iterations,
                residual_n=imbalance,
            )
            LOG.append((report.iterations, "%.1e"%imbalance, "%.1e"%scale, solution.iterations, solution.converged, "%.1e"%solution.violation_n, int(contact.touches.sum()), int(contact.slips.sum()), "%.2f"%trial.elastic.smallest_volume_ratio))
            if imbalance <= RELATIVE_TOLERANCE * scale:
                return trial, contact, report
            if imbalance > SLOW * before:
                self._gel = None
            if not imbalance < DIVERGING * scale:
                break
        raise StepFailure(f"imbalance {imbalance:.2g} N after {report.iterations} iterations")

    def _descend(
        self, law: ContactLaw, start: _Trial, guess: NDArray[np.float64], report: StepReport
    ) -> tuple[_Trial, Projection, StepReport]:
        """Over an edge: least energy with lagged friction, then the law itself from there."""
        report = replace(report, creeps=report.creeps + 1)
        displacement, elastic = start.displacement, start.elastic
        potential = lagged(law, self.softness, self._places(displacement))
        bounds = law.friction * np.linalg.norm(start.point_force, axis=1)
        potential = replace(potential, bound_n=bounds)
        for lag in range(MOST_LAGS):
            displacement, elastic, report = self._least_energy(
                potential, displacement, elastic, guess, report
            )
            guess = np.zeros_like(guess)
            places = self._places(displacement)
            force = potential.at(places).force
            potential = lagged(law, self.softness, places)
            try:
                return self._equilibrate(
                    law, _Trial(displacement, force, elastic), guess, report, patience=8
                )
            except StepFailure:
                continue
        raise StepFailure(f"friction did not settle in {MOST_LAGS} descents")

    def _least_energy(
        self,
        potential: ContactPotential,
        displacement: NDArray[np.float64],
        elastic: ElasticForce,
        guess: NDArray[np.float64],
        report: StepReport,
    ) -> tuple[NDArray[np.float64], ElasticForce, StepReport]:
        """Descent of the whole pad's energy with friction bounds held.

        Springs to where the pad is (damping, N/mm) are added while a step leads uphill.
        """
        nodes = self._nodes[self._points.chosen]
        damping = 0.0
        for _ in range(MOST_DESCENTS):
            self._factorise(displacement, damping)
            found = self._downhill(potential, displacement, elastic, guess)
            guess = np.zeros_like(guess)
            report = replace(
                report,
                iterations=report.iterations + 1,
                factorisations=report.factorisations + 1,
            )
            if found is None:
                damping = max(4.0 * damping, LEAST_DAMPING)
                continue
            displacement, elastic, count = found
            report = replace(report, contact_iterations=report.contact_iterations + count)
            out = elastic.force.reshape(-1, 3).copy()
            out[nodes] -= self._points.gather(potential.at(self._places(displacement)).force)
            LOG.append(("descent", "%.1e"%np.abs(out).max(), "%.1e"%np.abs(elastic.force).max(), count, "damp%.3f"%damping, "%.2f"%elastic.smallest_volume_ratio))
            if np.abs(out).max() <= DESCENT_TOLERANCE * np.abs(elastic.force).max():
                break
            damping = damping / 4.0 if damping > LEAST_DAMPING else 0.0
        if damping:
            self._gel = None
        return displacement, elastic, report

    def _downhill(
        self,
        potential: ContactPotential,
        displacement: NDArray[np.float64],
        elastic: ElasticForce,
        guess: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], ElasticForce, int] | None:
        """One step of the descent and its contact iterations; None where it leads uphill."""
        assert self._factor is not None
        assert self._gel is not None
        points = self._points
        half = self._factor.forward(-elastic.force)
        position = self._rest[points.chosen] + displacement.reshape(-1, 3)[self._nodes[points.chosen]]
        energy = CondensedEnergy(
            self._gel, -half[self._factor.chosen], potential, points, position
        )
        found = energy.minimise(guess, CONTACT_TOLERANCE_N)
        if found is None:
            return None
        whole = self._factor.backward(half, found[0].ravel())
        before = elastic.energy_mj + potential.at(self._places(displacement)).energy_mj
        share = 1.0
        while share > SHORTEST_SHARE:
            moved = displacement + share * whole
            trial = self.pad.force(moved)
            after = trial.energy_mj + potential.at(self._places(moved)).energy_mj
            if trial.smallest_volume_ratio > SMALLEST_VOLUME_RATIO and after < before:
                return moved, trial, found[1]
            share /= 2.0
        return None

    def _places(self, displacement: NDArray[np.float64]) -> NDArray[np.float64]:
        nodes = self._nodes[self._points.chosen]
        return self._points.places(
            self._rest[self._points.chosen] + displacement.reshape(-1, 3)[nodes]
        )

    def _choose_candidates(self, state: GelState, goal: IndenterPose) -> None:
        """Keep the faces that may touch while they hold all that can be met in this step."""
        centres = self._faces.centres(self.position(state))
        gap = np.minimum(
            self.indenter.distance(goal.to_indenter(centres)),
            self.indenter.distance(state.pose.to_indenter(centres)),
        )
        gap -= 0.5 * math.hypot(*self.mesh.spacing_mm)
        touches = state.point_force.any(axis=(1, 2))
        needed = np.flatnonzero((gap < NEEDED_REACH_MM) | touches)
        if np.isin(needed, self._points.faces).all() and self._factor is not None:
            return
        points = self._faces.some(np.flatnonzero((gap < REACH_MM) | touches))
        if len(points.chosen) > MOST_VERTICES:
            points = self._faces.some(needed)
        if len(points.chosen) > MOST_VERTICES:
            raise InputError(
                f"the contact covers {len(points.chosen)} surface vertices, at most "
                f"{MOST_VERTICES} are possible: use a coarser mesh or a smaller indenter"
            )
        self._points = points
        unknowns = (3 * self._nodes[points.chosen][:, None] + np.arange(3)).ravel()
        self._factor = CondensedFactor(self.pad.pattern, unknowns)
        self._gel = None

    def _factorise(self, displacement: NDArray[np.float64], damping: float = 0.0) -> None:
        assert self._factor is not None
        _, entries = self.pad.stiffness(displacement)
        if damping:
            entries[self.pad.pattern.indptr[:-1]] += damping
        try:
            self._gel = CondensedGel.from_stiffness(self._factor.factorise(entries))
        except (FactorisationError, np.linalg.LinAlgError) as error:
            raise StepFailure(str(error)) from error

    def _linear_step(
        self,
        law: ContactLaw,
        trial: _Trial,
        guess: NDArray[np.float64],
    ) -> tuple[CondensedSolution, NDArray[np.float64]]:
        """Contact solution of the linearised gel and the move (unknowns,) of the whole pad."""
        assert self._factor is not None
        assert self._gel is not None
        nodes = self._nodes[self._points.chosen]
        half = self._factor.forward(-trial.elastic.force)
        problem = CondensedProblem(
            self._gel,
            -half[self._factor.chosen],
            law,
            self._points,
            self._rest[self._points.chosen] + trial.displacement.reshape(-1, 3)[nodes],
            self.softness,
            CONTACT_TOLERANCE_N,
        )
        solution = problem.solve(guess, trial.point_force)
        move = self._factor.backward(half, solution.move.ravel())
        if not np.isfinite(move).all():
            raise StepFailure("the move is not finite")
        return solution, move

    def _damped(
        self,
        displacement: NDArray[np.float64],
        move: NDArray[np.float64],
        point_force: NDArray[np.float64],
    ) -> _Trial:
        """Go as far along a move as no element inverts."""
        share = 1.0
        while share > SHORTEST_SHARE:
            moved = displacement + share * move
            elastic = self.pad.force(moved)
            if elastic.smallest_volume_ratio > SMALLEST_VOLUME_RATIO:
                return _Trial(moved, point_force, elastic)
            share /= 2.0
        raise StepFailure("an element would invert")

    def _imbalance(
        self, trial: _Trial, law: ContactLaw
    ) -> tuple[Projection, float]:
        """The law at the points, and the largest violation of it and of equilibrium in N."""
        nodes = self._nodes[self._points.chosen]
        position = self._rest[self._points.chosen] + trial.displacement.reshape(-1, 3)[nodes]
        places = self._points.places(position) + self.softness * trial.point_force
        contact = law.project(trial.point_force, places, np.full(len(places), self._scale))
        out = trial.elastic.force.reshape(-1, 3).copy()
        out[nodes] -= self._points.gather(trial.point_force)
        violation = np.abs(trial.point_force - contact.force).max(initial=0.0)
        return contact, max(float(np.abs(out).max()), float(violation))

    def _accept(
        self, law: ContactLaw, trial: _Trial, contact: Projection, report: StepReport
    ) -> GelState:
        position = self._rest + trial.displacement.reshape(-1, 3)[self._nodes]
        everywhere = self._faces.some(np.arange(len(self._faces.vertices)))
        gap = self.indenter.distance(law.pose.to_indenter(everywhere.places(position)))
        penetration = max(0.0, -float(gap.min()))
        point_force = np.zeros((len(self._faces.vertices), len(self._faces.weights), 3))
        kept = np.where(contact.touches[:, None], trial.point_force, 0.0)
        point_force[self._points.faces] = kept.reshape(len(self._points.faces), -1, 3)
        force = np.zeros((len(position), 3))
        force[self._points.chosen] = self._points.gather(kept)
        place = np.zeros((*point_force.shape[:2], 3))
        valid = np.zeros(point_force.shape[:2], bool)
        allowance = np.zeros(point_force.shape[:2])
        shape = (len(self._points.faces), -1)
        place[self._points.faces] = law.anchors.place.reshape(*shape, 3)
        valid[self._points.faces] = law.anchors.valid.reshape(shape)
        allowance[self._points.faces] = law.allowance_mm.reshape(shape)
        return GelState(
            trial.displacement,
            law.pose,
            point_force,
            Anchors(place.reshape(-1, 3), valid.ravel()),
            allowance,
            force,
            penetration,
            trial.elastic,
            report,
        )

    def linearise(self, state: GelState) -> Linearisation:
        """The pad around an equilibrium.

        Raises:
            StepFailure: its stiffness cannot be factorised.
        """
        with threadpool_limits(1):
            return self._linearise(state)

    def _linearise(self, state: GelState) -> Linearisation:
        touched = np.flatnonzero(state.point_force.any(axis=(1, 2)))
        points = self._faces.some(touched)
        per_face = len(points.weights)
        index = (touched[:, None] * per_face + np.arange(per_face)).ravel()
        anchors = Anchors(state.anchors.place[index], state.anchors.valid[index])
        allowance = state.allowance_mm[touched].ravel()
        law = ContactLaw(
            self.indenter, state.pose, anchors, self.material.friction, allowance
        )
        force = state.point_force[touched].reshape(-1, 3)
        places = points.places(self.position(state)[points.chosen]) + self.softness * force
        contact = law.project(force, places, np.full(len(places), self._scale))
        unknowns = (3 * self._nodes[points.chosen][:, None] + np.arange(3)).ravel()
        factor = CondensedFactor(self.pad.pattern, unknowns)
        _, entries = self.pad.stiffness(state.displacement)
        try:
            schur = factor.factorise(entries)
        except FactorisationError as error:
            raise StepFailure(str(error)) from error
        return Linearisation(points, force, places, contact, self.softness, factor, schur)


def _add(total: StepReport, part: StepReport) -> StepReport:
    return StepReport(
        total.substeps + 1,
        total.cuts + part.cuts,
        total.creeps + part.creeps,
        total.iterations + part.iterations,
        total.contact_iterations + part.contact_iterations,
        total.factorisations + part.factorisations,
        part.residual_n,
    )
