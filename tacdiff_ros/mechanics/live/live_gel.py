"""A gel that follows a streamed indenter pose.

The gel is a linear elastic layer bonded to glass and without sides (`layer_compliance`); contact
and friction are those of the full solver: held at vertices, against the indenter's distance field
at their displaced places, with anchors that move with the indenter. So the surface lies on the
indenter exactly wherever it touches; what the linear gel gets wrong beside the contact, and in the
forces, is left to a fitted `Correction`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.contact_law import begin_step
from tacdiff_ros.mechanics.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.layer_compliance import (
    BondedLayer,
    SurfaceConvolution,
    surface_kernel,
)
from tacdiff_ros.mechanics.live.contact_sweeps import ContactFrame, SweepLimits, settle
from tacdiff_ros.mechanics.live.live_answer import LiveAnswer, PadGrid
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.sensor.gel_surface import GelSurface

TOLERANCE_MM = 4e-3
SWEEP_TOLERANCE_MM = 4e-4
MOST_SWEEPS = 40
MOST_RENEWALS = 6
MOST_CHECKS = 3
LARGEST_STEP_MM = 0.25
MOST_PARTS = 4
JUMP_MM = 1.0
CANDIDATE_MM = 0.35
NEAR_MM = 1.0
DEEPEST_SHARE = 0.6


@dataclass(frozen=True)
class _Step:
    """One advance: the contact as it was left."""

    touching: NDArray[np.int64]
    normal: NDArray[np.float64]
    error_mm: float
    sweeps: int


class LiveGel:
    """One pad under one indenter; `follow` the poses in their order.

    Limits: quasi-static and linear elastic, no sides of the pad; at most `DEEPEST_SHARE` of the
    thickness deep. A pose farther than `JUMP_MM` from the last one is taken for a new contact,
    pressed straight down where it is.
    """

    def __init__(
        self, indenter: Indenter, material: GelMaterial | None = None, pad: PadGrid | None = None
    ) -> None:
        """Kernels for a pad; the gel is at rest.

        Args:
            indenter: what is pressed.
            material: of the gel.
            pad: its sizes and vertices.
        """
        self.indenter = indenter
        self.material = material or GelMaterial()
        self.pad = pad or PadGrid()
        layer = BondedLayer(
            self.pad.thickness_mm, self.material.young_modulus_mpa, self.material.poisson_ratio
        )
        kernel = surface_kernel(layer, self.pad.rows, self.pad.columns, self.pad.spacing_mm)
        self._kernel = kernel.values
        self._convolution = SurfaceConvolution(kernel)
        flat = GelSurface.flat(
            self.pad.width_mm, self.pad.height_mm, self.pad.rows, self.pad.columns
        )
        self._rest = flat.rest.astype(np.float64)
        self._cell = np.stack(np.divmod(np.arange(len(self._rest)), self.pad.columns), axis=1)
        self.reset()

    def reset(self) -> None:
        """Lift off: the gel is at rest and has no history."""
        self._force = np.zeros_like(self._rest)
        self._displacement = np.zeros_like(self._rest)
        self._touches = np.zeros(len(self._rest), bool)
        self._pose: IndenterPose | None = None

    def follow(self, pose: IndenterPose) -> LiveAnswer:
        """The gel after the indenter moved to a pose.

        Raises:
            InputError: the pose is not finite, its tip not over the pad, or too deep.
        """
        self._check(pose)
        restarted = self._pose is None or self._travel_mm(self._pose, pose) > JUMP_MM
        if restarted:
            self.reset()
            self._pose = IndenterPose(pose.x_mm, pose.y_mm, min(pose.depth_mm, 0.0), pose.yaw_rad)
        start = self._pose
        assert start is not None
        parts = math.ceil(self._travel_mm(start, pose) / LARGEST_STEP_MM)
        parts = min(max(parts, 1), MOST_PARTS)
        sweeps = 0
        for part in range(1, parts + 1):
            step = self._advance(start.toward(pose, part / parts) if part < parts else pose)
            sweeps += step.sweeps
        return self._answer(pose, step, restarted, sweeps)

    def _advance(self, goal: IndenterPose) -> _Step:
        """Solve contact for a pose near the last one."""
        assert self._pose is not None
        near = self._near(goal)
        before = self._rest[near] + self._displacement[near]
        anchors = begin_step(self.indenter, self._pose, goal, before, self._touches[near])
        anchor = goal.to_gel(anchors.place)
        force, place, sweeps = self._force[near], before, 0
        step = _Step(near[:0], np.zeros((0, 3)), 0.0, 0)
        for _ in range(MOST_CHECKS):
            force, change, sweeps_made = self._settle(
                goal, near, place, anchor, anchors.valid, force
            )
            sweeps += sweeps_made
            self._force = np.zeros_like(self._force)
            self._force[near] = force
            grid = (self.pad.rows, self.pad.columns, 3)
            self._displacement = self._convolution.displacement(self._force.reshape(grid)).reshape(
                -1, 3
            )
            place = self._rest[near] + self._displacement[near]
            field = self.indenter.derivatives(goal.to_indenter(place))
            loaded = force.any(axis=1)
            gap = max(-field.distance.min(initial=0.0), field.distance[loaded].max(initial=0.0))
            error = max(float(gap), change)
            step = _Step(near[loaded], field.gradient[loaded] @ goal.matrix.T, error, sweeps)
            if error < TOLERANCE_MM:
                break
        self._touches = np.zeros(len(self._rest), bool)
        self._touches[step.touching] = True
        self._pose = goal
        return step

    def _settle(
        self,
        goal: IndenterPose,
        near: NDArray[np.int64],
        place: NDArray[np.float64],
        anchor: NDArray[np.float64],
        anchored: NDArray[np.bool_],
        force: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], float, int]:
        """Forces (near, 3), the last correction in mm and sweeps made; normals are renewed."""
        field = self.indenter.derivatives(goal.to_indenter(place))
        chosen = np.flatnonzero((field.distance < CANDIDATE_MM) | force.any(axis=1))
        limits = SweepLimits(self.material.friction, MOST_SWEEPS, SWEEP_TOLERANCE_MM)
        force, place, sweeps, change = force.copy(), place[chosen], 0, 0.0
        for _ in range(MOST_RENEWALS):
            field = self.indenter.derivatives(goal.to_indenter(place))
            frame = ContactFrame(
                self._cell[near[chosen]],
                field.gradient @ goal.matrix.T,
                field.distance,
                place - anchor[chosen],
                anchored[chosen],
            )
            settled = settle(self._kernel, frame, force[chosen], limits)
            force[chosen] = settled.force
            place = place + settled.move
            sweeps += settled.sweeps
            change = float(np.abs(settled.move).max(initial=0.0))
            if change < TOLERANCE_MM and settled.change_mm < SWEEP_TOLERANCE_MM:
                break
        return force, change, sweeps

    def _near(self, goal: IndenterPose) -> NDArray[np.int64]:
        """Vertices that a move to a pose may meet, and those in contact."""
        place = goal.to_indenter(self._rest + self._displacement)
        low, high = self.indenter.bounds
        inside = (place[:, :2] > low[:2] - NEAR_MM) & (place[:, :2] < high[:2] + NEAR_MM)
        return np.flatnonzero(inside.all(axis=1) | self._touches)

    def _travel_mm(self, start: IndenterPose, goal: IndenterPose) -> float:
        """How far a point of the indenter's body moves at most."""
        low, high = self.indenter.bounds
        reach = float(np.hypot(*np.maximum(-low, high)[:2]))
        moved = float(np.linalg.norm(goal.tip_mm - start.tip_mm))
        return moved + 2.0 * reach * abs(math.sin((goal.yaw_rad - start.yaw_rad) / 2.0))

    def _check(self, pose: IndenterPose) -> None:
        values = (pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad)
        if not all(math.isfinite(value) for value in values):
            raise InputError(f"pose: x, y, depth, yaw are {values}, expected finite numbers")
        half = self.pad.width_mm / 2, self.pad.height_mm / 2
        if abs(pose.x_mm) > half[0] or abs(pose.y_mm) > half[1]:
            raise InputError(
                f"pose: the tip is at ({pose.x_mm:g}, {pose.y_mm:g}) mm, expected on the pad: "
                f"within {half[0]:g} and {half[1]:g} mm of its middle"
            )
        deepest = DEEPEST_SHARE * self.pad.thickness_mm
        if pose.depth_mm > deepest:
            raise InputError(
                f"pose: depth is {pose.depth_mm:g} mm, expected at most {deepest:g} mm in a gel of "
                f"{self.pad.thickness_mm:g} mm"
            )

    def _answer(self, pose: IndenterPose, step: _Step, restarted: bool, sweeps: int) -> LiveAnswer:
        force = self._force[step.touching]
        pressing = np.einsum("ni,ni->n", force, step.normal)
        rubbing = np.linalg.norm(force - pressing[:, None] * step.normal, axis=1)
        pressure, slips = np.zeros(len(self._rest)), np.zeros(len(self._rest), bool)
        pressure[step.touching] = pressing
        slips[step.touching] = rubbing > 0.999 * self.material.friction * pressing
        place = (self._rest + self._displacement)[step.touching]
        return LiveAnswer(
            pose=pose,
            rest=self._rest,
            displacement=self._displacement,
            force=self._force,
            pressure_n=pressure,
            slips=slips,
            net_force_n=force.sum(axis=0),
            net_torque_nmm=np.cross(place - pose.tip_mm, force).sum(axis=0),
            error_mm=step.error_mm,
            converged=step.error_mm < TOLERANCE_MM,
            restarted=restarted,
            sweeps=sweeps,
            rows=self.pad.rows,
            columns=self.pad.columns,
        )
