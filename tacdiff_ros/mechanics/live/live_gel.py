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
from tacdiff_ros.mechanics.live.contact_sweeps import (
    PointContact,
    PointKernel,
    Settled,
    SweepLimits,
    settle,
)
from tacdiff_ros.mechanics.live.live_answer import LiveAnswer, PadGrid
from tacdiff_ros.mechanics.live.pad_sides import PadSides
from tacdiff_ros.mechanics.live.second_order import SecondOrder, SecondOrderWeights
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.sensor.gel_surface import GelSurface

TOLERANCE_MM = 4e-3
SWEEP_TOLERANCE_MM = 1e-3
MOST_SWEEPS = 10
MOST_RENEWALS = 3
MOST_CHECKS = 2
LAG_MM = 0.02
LARGEST_STEP_MM = 0.25
MOST_PARTS = 4
JUMP_MM = 1.0
SOFTNESS = 0.05  # of a contact point, over 1 / (E times the vertex spacing)
CANDIDATE_MM = 0.35
NEAR_MM = 1.0
DEEPEST_SHARE = 0.6


@dataclass(frozen=True)
class _Step:
    """One advance: the contact as it was left, at the points of F faces.

    Attributes:
        faces: (F,) numbers of the faces.
        force: (F, p, 3) N on the gel.
        pressing: (F, p) N, along the normal.
        slips: (F, p) bool, friction is at its bound.
        error_mm: see `LiveAnswer`.
        sweeps: made.
    """

    faces: NDArray[np.int64]
    force: NDArray[np.float64]
    pressing: NDArray[np.float64]
    slips: NDArray[np.bool_]
    error_mm: float
    sweeps: int


class LiveGel:
    """One pad under one indenter; `follow` the poses in their order.

    Limits: quasi-static and linear elastic, no sides of the pad; at most `DEEPEST_SHARE` of the
    thickness deep. A pose farther than `JUMP_MM` from the last one is taken for a new contact,
    pressed straight down where it is.
    """

    def __init__(
        self,
        indenter: Indenter,
        material: GelMaterial | None = None,
        pad: PadGrid | None = None,
        weights: SecondOrderWeights | None = None,
    ) -> None:
        """Kernels for a pad; the gel is at rest.

        Args:
            indenter: what is pressed.
            material: of the gel.
            pad: its sizes and vertices.
            weights: of the second-order term, fitted ones by default.
        """
        self.indenter = indenter
        self.material = material or GelMaterial()
        self.pad = pad or PadGrid()
        layer = BondedLayer(
            self.pad.thickness_mm, self.material.young_modulus_mpa, self.material.poisson_ratio
        )
        kernel = surface_kernel(layer, self.pad.rows, self.pad.columns, self.pad.spacing_mm)
        self._kernel = PointKernel.of(kernel.values)
        self._convolution = SurfaceConvolution(kernel)
        self._sides = PadSides(self.pad, self.material)
        self._second_order = SecondOrder(
            weights or SecondOrderWeights.none(),
            (self.pad.rows, self.pad.columns),
            self.pad.spacing_mm,
            self.pad.thickness_mm,
            self.material.shear_modulus_mpa,
        )
        self._softness = SOFTNESS / (
            self.material.young_modulus_mpa * math.sqrt(math.prod(self.pad.spacing_mm))
        )
        flat = GelSurface.flat(
            self.pad.width_mm, self.pad.height_mm, self.pad.rows, self.pad.columns
        )
        self._rest = flat.rest.astype(np.float64)
        row, column = np.divmod(
            np.arange((self.pad.rows - 1) * (self.pad.columns - 1)), self.pad.columns - 1
        )
        self._face_cell = np.stack([row, column], axis=1)
        first = row * self.pad.columns + column
        self._face_vertices = first[:, None] + np.array(
            [0, 1, self.pad.columns, self.pad.columns + 1]
        )
        self.reset()

    def reset(self) -> None:
        """Lift off: the gel is at rest and has no history."""
        points = len(self._kernel.weights)
        self._force = np.zeros_like(self._rest)
        self._displacement = np.zeros_like(self._rest)
        self._beyond = np.zeros_like(self._rest)
        self._point_force = np.zeros((len(self._face_cell), points, 3))
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
        faces = self._near(goal)
        shape = (len(faces), len(self._kernel.weights))
        force = self._point_force[faces]
        before = self._places(faces) + self._softness * force
        touches = force.any(axis=-1)
        anchors = begin_step(
            self.indenter, self._pose, goal, before.reshape(-1, 3), touches.ravel()
        )
        anchor = goal.to_gel(anchors.place).reshape(*shape, 3)
        anchored = anchors.valid.reshape(shape)
        sweeps = 0
        for _ in range(MOST_CHECKS):
            lag = self._renew_beyond()
            settled = self._settle(goal, faces, anchor, anchored, force)
            sweeps += settled.sweeps
            force = settled.force
            self._carry(faces, force)
            gap, normal = self._field(goal, self._places(faces) + self._softness * force)
            loaded = force.any(axis=-1)
            off = max(-gap.min(initial=0.0), gap[loaded].max(initial=0.0))
            error = max(float(off), settled.change_mm)
            if error < TOLERANCE_MM and lag < LAG_MM:
                break
        self._pose = goal
        pressing = np.einsum("fpi,fpi->fp", force, normal)
        rubbing = np.linalg.norm(force - pressing[..., None] * normal, axis=-1)
        slips = loaded & (rubbing > 0.999 * self.material.friction * pressing)
        return _Step(faces, force, pressing, slips, error, sweeps)

    def _settle(
        self,
        goal: IndenterPose,
        faces: NDArray[np.int64],
        anchor: NDArray[np.float64],
        anchored: NDArray[np.bool_],
        force: NDArray[np.float64],
    ) -> Settled:
        """Forces (F, p, 3) at the points of faces, with normals renewed; `move` is the last one."""
        place = self._places(faces) + self._softness * force
        gap, _ = self._field(goal, place)
        chosen = np.flatnonzero((gap.min(axis=1) < CANDIDATE_MM) | force.any(axis=(1, 2)))
        limits = SweepLimits(self.material.friction, MOST_SWEEPS, SWEEP_TOLERANCE_MM)
        total, place, sweeps, change = force.copy(), place[chosen], 0, 0.0
        for _ in range(MOST_RENEWALS):
            gap, normal = self._field(goal, place)
            contact = PointContact(
                self._face_cell[faces[chosen]],
                normal,
                gap,
                place - anchor[chosen],
                anchored[chosen],
                total[chosen],
                self._softness,
            )
            settled = settle(self._kernel, contact, limits)
            place = place + settled.move + self._softness * (settled.force - total[chosen])
            total[chosen] = settled.force
            sweeps += settled.sweeps
            change = float(np.abs(settled.move).max(initial=0.0))
            if change < TOLERANCE_MM and settled.change_mm < SWEEP_TOLERANCE_MM:
                break
        return Settled(total, settled.move, sweeps, change)

    def _carry(self, faces: NDArray[np.int64], force: NDArray[np.float64]) -> None:
        """Keep point forces, and displace the surface by them."""
        self._point_force[:] = 0.0
        self._point_force[faces] = force
        shares = np.einsum("pa,fpi->fai", self._kernel.weights, force)
        vertices = self._face_vertices[faces].ravel()
        self._force = np.stack(
            [np.bincount(vertices, shares[:, :, i].ravel(), len(self._rest)) for i in range(3)],
            axis=1,
        )
        grid = self._force.reshape(self.pad.rows, self.pad.columns, 3)
        layer = self._convolution.displacement(grid).reshape(-1, 3)
        self._displacement = layer + self._beyond

    def _renew_beyond(self) -> float:
        """What the layer's linear answer lacks, for the forces as they are; its change in mm."""
        shape = (3, self.pad.rows, self.pad.columns)
        force = np.ascontiguousarray(self._force.T).reshape(shape)
        displacement = np.ascontiguousarray(self._displacement.T).reshape(shape)
        beyond = self._sides.displacement(force)
        beyond += self._second_order.displacement(displacement, force)
        before, self._beyond = self._beyond, beyond.reshape(3, -1).T
        change = self._beyond - before
        self._displacement = self._displacement + change
        return float(np.abs(change).max())

    def _places(self, faces: NDArray[np.int64]) -> NDArray[np.float64]:
        """(F, p, 3) mm, of the points of faces."""
        vertices = self._face_vertices[faces]
        corner = self._rest[vertices] + self._displacement[vertices]
        return np.einsum("pa,fai->fpi", self._kernel.weights, corner)

    def _field(
        self, goal: IndenterPose, place: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gaps (F, p) mm and normals (F, p, 3) off the indenter for places (F, p, 3)."""
        field = self.indenter.derivatives(goal.to_indenter(place.reshape(-1, 3)))
        normal = field.gradient @ goal.matrix.T
        return field.distance.reshape(place.shape[:2]), normal.reshape(place.shape)

    def _near(self, goal: IndenterPose) -> NDArray[np.int64]:
        """Faces that a move to a pose may meet, and those in contact."""
        place = goal.to_indenter((self._rest + self._displacement)[self._face_vertices[:, 0]])
        low, high = self.indenter.bounds
        inside = (place[:, :2] > low[:2] - NEAR_MM) & (place[:, :2] < high[:2] + NEAR_MM)
        return np.flatnonzero(inside.all(axis=1) | self._point_force.any(axis=(1, 2)))

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
        pressing = step.pressing @ self._kernel.weights
        vertices = self._face_vertices[step.faces]
        pressure = np.bincount(vertices.ravel(), pressing.ravel(), len(self._rest))
        slips = np.zeros(len(self._rest), bool)
        slips[vertices[step.slips.any(axis=1)]] = True
        lever = self._rest + self._displacement - pose.tip_mm
        return LiveAnswer(
            pose=pose,
            rest=self._rest,
            displacement=self._displacement,
            force=self._force,
            pressure_n=pressure,
            slips=slips,
            net_force_n=self._force.sum(axis=0),
            net_torque_nmm=np.cross(lever, self._force).sum(axis=0),
            error_mm=step.error_mm,
            converged=step.error_mm < TOLERANCE_MM,
            restarted=restarted,
            sweeps=sweeps,
            rows=self.pad.rows,
            columns=self.pad.columns,
        )
