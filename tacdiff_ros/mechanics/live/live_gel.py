"""A gel that follows a streamed indenter pose.

Contact and friction are those of the full solver: held at points on the faces of the surface,
against the indenter's distance field at their displaced places, with anchors that move with the
indenter. So the surface lies on the indenter wherever it touches. The gel behind it is a bonded
linear elastic layer, solved for exactly, with what the pad's sides and finite strains change as
smooth corrections (`GelResponse`).
"""

from __future__ import annotations

import math

import numpy as np

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.live.gel_response import GelResponse
from tacdiff_ros.mechanics.live.live_contact import ContactStep, LiveContact, LiveState
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.second_order import SecondOrderWeights
from tacdiff_ros.mechanics.material import GelMaterial

MAX_STEP_MM = 0.25
MAX_PARTS = 4
JUMP_MM = 1.0
LOST_MM = 0.4
MAX_DEPTH_FRACTION = 0.5


class LiveGel:
    """One pad under one indenter; `follow` the poses in their order.

    A pose farther than `JUMP_MM` from the last one, or one where contact got lost in a tangle
    (`LOST_MM`), is taken for a new contact, pressed straight down where it is. Above the gel, the
    gel is at rest: there is no adhesion.

    Limits: quasi-static; fitted to 1 mm of press and shear in 4 mm of gel, rough beyond, and at
    most `MAX_DEPTH_FRACTION` of the thickness deep. Slip at edges depends on the size of steps.
    """

    def __init__(
        self,
        indenter: Indenter,
        material: GelMaterial | None = None,
        pad: PadGrid | None = None,
        weights: SecondOrderWeights | None = None,
    ) -> None:
        """Tables for a pad, in some seconds; the gel is at rest.

        Args:
            indenter: what is pressed.
            material: of the gel.
            pad: its sizes and vertices.
            weights: of the second-order term, the fitted ones by default.
        """
        self.indenter = indenter
        self.material = material or GelMaterial()
        self.pad = pad or PadGrid()
        weights = weights or SecondOrderWeights.fitted()
        response = GelResponse(self.pad, self.material, weights)
        self._contact = LiveContact(indenter, self.material, self.pad, response)
        self._state: LiveState | None = None

    def reset(self) -> None:
        """Lift off: the gel is at rest and has no history."""
        self._state = None

    @property
    def state(self) -> LiveState | None:
        """Where contact stands, to come back to; None at rest."""
        return self._state

    def come_back(self, state: LiveState | None) -> None:
        """Follow on from an earlier `state` of this gel."""
        self._state = state

    @one_blas_thread
    def follow(self, pose: IndenterPose) -> LiveResult:
        """The gel after the indenter moved to a pose.

        Raises:
            InputError: the pose is not finite, its tip not over the pad, or too deep.
        """
        self.check_pose(pose)
        state = self._state
        restarted = state is None or self._travel_mm(state.pose, pose) > JUMP_MM
        if state is None or restarted or pose.depth_mm <= 0.0:
            state = self._above(pose)
        step, sweeps = self._go(state, pose)
        if step.error_mm > LOST_MM and not restarted:
            restarted = True
            step, more = self._go(self._above(pose), pose)
            sweeps += more
        self._state = step.state
        return self._answer(step, restarted, sweeps)

    def _above(self, pose: IndenterPose) -> LiveState:
        """The gel at rest, under the indenter where it would touch at a pose."""
        depth = min(pose.depth_mm, 0.0)
        return self._contact.rest(IndenterPose(pose.x_mm, pose.y_mm, depth, pose.yaw_rad))

    def _go(self, state: LiveState, pose: IndenterPose) -> tuple[ContactStep, int]:
        """The last step of a straight way to a pose, and the sweeps of all."""
        start, sweeps = state.pose, 0
        parts = math.ceil(self._travel_mm(start, pose) / MAX_STEP_MM)
        parts = min(max(parts, 1), MAX_PARTS)
        for part in range(1, parts + 1):
            goal = start.toward(pose, part / parts) if part < parts else pose
            step = self._contact.advance(state, goal)
            state = step.state
            sweeps += step.sweeps
        return step, sweeps

    def _travel_mm(self, start: IndenterPose, goal: IndenterPose) -> float:
        """How far a point of the indenter's body moves at most."""
        low, high = self.indenter.bounds
        reach = float(np.hypot(*np.maximum(-low, high)[:2]))
        moved = float(np.linalg.norm(goal.tip_mm - start.tip_mm))
        return moved + 2.0 * reach * abs(math.sin((goal.yaw_rad - start.yaw_rad) / 2.0))

    def check_pose(self, pose: IndenterPose) -> None:
        """InputError for a pose that is not finite, not over the pad, or too deep."""
        values = (pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad)
        if not all(math.isfinite(value) for value in values):
            raise InputError(f"pose: x, y, depth, yaw are {values}, expected finite numbers")
        half = self.pad.width_mm / 2, self.pad.height_mm / 2
        if abs(pose.x_mm) > half[0] or abs(pose.y_mm) > half[1]:
            raise InputError(
                f"pose: the tip is at ({pose.x_mm:g}, {pose.y_mm:g}) mm, expected on the pad: "
                f"within {half[0]:g} and {half[1]:g} mm of its middle"
            )
        deepest = MAX_DEPTH_FRACTION * self.pad.thickness_mm
        if pose.depth_mm > deepest:
            raise InputError(
                f"pose: depth is {pose.depth_mm:g} mm, expected at most {deepest:g} mm in a gel of "
                f"{self.pad.thickness_mm:g} mm"
            )

    def _answer(self, step: ContactStep, restarted: bool, sweeps: int) -> LiveResult:
        state, points = step.state, self._contact.points
        slips = np.zeros(len(points.rest), bool)
        slips[points.vertices[step.faces[step.slips.any(axis=1)]]] = True
        lever = points.rest + state.displacement - state.pose.tip_mm
        return LiveResult(
            pose=state.pose,
            rest=points.rest,
            displacement=state.displacement,
            force=state.force,
            pressure_n=points.gather_scalar(step.pressing, step.faces),
            slips=slips,
            net_force_n=state.force.sum(axis=0),
            net_torque_nmm=np.cross(lever, state.force).sum(axis=0),
            error_mm=step.error_mm,
            converged=step.converged,
            restarted=restarted,
            sweeps=sweeps,
            rows=self.pad.rows,
            columns=self.pad.columns,
        )
