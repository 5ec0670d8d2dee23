"""Gel model that follows a streamed indenter pose.

Contact and friction follow the same law as in the full solver: they act at points on the faces of
the surface, are evaluated with the indenter's distance field at the displaced positions, and have
anchors that move with the indenter. The surface therefore coincides with the indenter wherever they
touch. The gel behind the surface is a bonded linear elastic layer, solved exactly; the effects of
the pad's sides and of finite strains are smooth corrections (`GelResponse`).
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

MAX_STEP_MM = 0.25  # travel per substep, as far as `MAX_SUBSTEPS` allow
MAX_SUBSTEPS = 4
RESTART_TRAVEL_MM = 1.0
RESTART_ERROR_MM = 0.4
MAX_DEPTH_FRACTION = 0.5  # largest depth over the gel's thickness


class LiveGel:
    """One pad under one indenter; call `follow` for each pose, in order.

    A pose that is farther than `RESTART_TRAVEL_MM` from the previous one, or whose contact error
    exceeds `RESTART_ERROR_MM`, is treated as a new contact: the indenter is pressed straight down
    there. While the indenter is above the gel, the gel is undeformed: there is no adhesion.

    Limits: quasi-static; fitted to 1 mm of press and shear on 4 mm of gel, less accurate beyond
    that, and limited to a depth of `MAX_DEPTH_FRACTION` of the thickness. Slip at edges depends on
    the step size.

    Attributes:
        indenter: rigid indenter.
        material: gel material.
        pad: dimensions and grid of the pad.
    """

    def __init__(
        self,
        indenter: Indenter,
        material: GelMaterial | None = None,
        pad: PadGrid | None = None,
        weights: SecondOrderWeights | None = None,
    ) -> None:
        """Precompute the tables of a pad, which takes some seconds; the gel is undeformed.

        Args:
            indenter: rigid indenter.
            material: gel material; None for the default.
            pad: dimensions and grid of the pad; None for the default.
            weights: weights of the second-order term; None for the fitted ones.
        """
        self.indenter = indenter
        self.material = material or GelMaterial()
        self.pad = pad or PadGrid()
        weights = weights or SecondOrderWeights.fitted()
        response = GelResponse(self.pad, self.material, weights)
        self._contact = LiveContact(indenter, self.material, self.pad, response)
        self._state: LiveState | None = None

    def reset(self) -> None:
        """Return to the undeformed gel without contact history."""
        self._state = None

    @property
    def state(self) -> LiveState | None:
        """Contact state for `restore`; None for the undeformed gel."""
        return self._state

    def restore(self, state: LiveState | None) -> None:
        """Restore an earlier state, from which the next pose is followed.

        Args:
            state: earlier value of `state` of this gel.
        """
        self._state = state

    @one_blas_thread
    def follow(self, pose: IndenterPose) -> LiveResult:
        """Move the indenter to a pose and return the resulting gel.

        Args:
            pose: indenter pose in frame `gel`.

        Raises:
            InputError: the pose is not finite, beside the pad or too deep.
        """
        self.check_pose(pose)
        state = self._state
        restarted = state is None or self._travel_mm(state.pose, pose) > RESTART_TRAVEL_MM
        if state is None or restarted or pose.depth_mm <= 0.0:
            state = self._raised_state(pose)
        step, sweeps = self._move(state, pose)
        if step.error_mm > RESTART_ERROR_MM and not restarted:
            restarted = True
            step, more = self._move(self._raised_state(pose), pose)
            sweeps += more
        self._state = step.state
        return self._result(step, restarted, sweeps)

    def _raised_state(self, pose: IndenterPose) -> LiveState:
        """Undeformed gel, with the indenter raised straight up from a pose to the surface."""
        depth = min(pose.depth_mm, 0.0)
        return self._contact.rest(IndenterPose(pose.x_mm, pose.y_mm, depth, pose.yaw_rad))

    def _move(self, state: LiveState, pose: IndenterPose) -> tuple[ContactStep, int]:
        """Move straight to a pose in substeps.

        Returns:
            The last substep, and the number of sweeps of all substeps.
        """
        start, sweeps = state.pose, 0
        count = math.ceil(self._travel_mm(start, pose) / MAX_STEP_MM)
        count = min(max(count, 1), MAX_SUBSTEPS)
        for substep in range(1, count + 1):
            goal = start.toward(pose, substep / count) if substep < count else pose
            step = self._contact.advance(state, goal)
            state = step.state
            sweeps += step.sweeps
        return step, sweeps

    def _travel_mm(self, start: IndenterPose, goal: IndenterPose) -> float:
        """Upper bound of the travel of any point of the indenter, mm."""
        low, high = self.indenter.bounds
        reach = float(np.hypot(*np.maximum(-low, high)[:2]))
        moved = float(np.linalg.norm(goal.tip_mm - start.tip_mm))
        return moved + 2.0 * reach * abs(math.sin((goal.yaw_rad - start.yaw_rad) / 2.0))

    def check_pose(self, pose: IndenterPose) -> None:
        """Check that a pose is finite, over the pad and not too deep.

        Args:
            pose: indenter pose in frame `gel`.

        Raises:
            InputError: the pose is not finite, beside the pad or too deep.
        """
        values = (pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad)
        if not all(math.isfinite(value) for value in values):
            raise InputError(f"pose: x, y, depth, yaw are {values}, expected finite numbers")
        half = self.pad.width_mm / 2, self.pad.height_mm / 2
        if abs(pose.x_mm) > half[0] or abs(pose.y_mm) > half[1]:
            raise InputError(
                f"pose: the tip is at ({pose.x_mm:g}, {pose.y_mm:g}) mm, expected on the pad: "
                f"within {half[0]:g} and {half[1]:g} mm of its centre"
            )
        max_depth = MAX_DEPTH_FRACTION * self.pad.thickness_mm
        if pose.depth_mm > max_depth:
            raise InputError(
                f"pose: depth is {pose.depth_mm:g} mm, expected at most {max_depth:g} mm in a gel "
                f"of {self.pad.thickness_mm:g} mm"
            )

    def _result(self, step: ContactStep, restarted: bool, sweeps: int) -> LiveResult:
        """Convert the last contact step to a `LiveResult`."""
        state, points = step.state, self._contact.points
        slips = np.zeros(len(points.rest), bool)
        slips[points.vertices[step.faces[step.slips.any(axis=1)]]] = True
        lever = points.rest + state.displacement - state.pose.tip_mm
        return LiveResult(
            pose=state.pose,
            rest=points.rest,
            displacement=state.displacement,
            force=state.force,
            pressure_n=points.gather_scalar(step.normal_force, step.faces),
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
