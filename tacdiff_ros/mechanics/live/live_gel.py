"""Gel model that follows a streamed indenter pose.

Contact and friction follow the same law as in the full solver: they act at points on the faces of
the surface, are evaluated with the indenter's distance field at the displaced positions, and have
anchors that move with the indenter. The surface therefore coincides with the indenter wherever they
touch. The gel behind the surface is a bonded linear elastic layer, solved exactly; the effects of
the pad's sides and of finite strains are smooth corrections (`GelResponse`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.contact_surface import seat_vertices
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.live.gel_response import GelResponse
from tacdiff_ros.mechanics.live.live_contact import ContactStep, LiveContact, LiveState
from tacdiff_ros.mechanics.live.live_result import LiveResult
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.pose_path import interpolate_poses
from tacdiff_ros.mechanics.live.second_order import SecondOrderWeights
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.sensor.sensor_model import SensorModel

MAX_STEP_MM = 0.25  # travel per substep, as far as `MAX_SUBSTEPS` allow
MAX_SUBSTEPS = 4
RESTART_TRAVEL_MM = 1.0
RESTART_ERROR_MM = 0.4
FITTED_DEPTH_MM = 1.0  # of the presses that the second-order term is fitted to


class LiveGel:
    """One pad under one indenter; call `follow` for each pose of a stream, in order.

    `follow` closes gaps of the stream; `step` moves to exactly one pose. A pose that `step` gets
    and that is farther than `RESTART_TRAVEL_MM` from the previous one, or whose contact error
    exceeds `RESTART_ERROR_MM`, is treated as a new contact: the indenter is pressed straight down
    there. While the indenter is above the gel, the gel is undeformed: there is no adhesion.

    Limits: quasi-static; fitted to 1 mm of press and shear on 4 mm of gel, less accurate beyond
    that, up to the depth of `PoseLimits`. Slip at edges depends on the step size.

    Attributes:
        indenter: rigid indenter.
        material: gel material.
        pad: dimensions and grid of the pad.
        limits: limits of the poses.
    """

    def __init__(
        self,
        indenter: Indenter,
        material: GelMaterial | None = None,
        pad: PadGrid | None = None,
        weights: SecondOrderWeights | None = None,
    ) -> None:
        """Precompute the tables of a pad, which takes some seconds; the gel is undeformed.

        `of_sensor` makes the gel of a sensor.

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
        self._vertex_area_mm2 = self.pad.vertex_area_mm2
        self._contact = LiveContact(indenter, self.material, self.pad, response)
        self.limits = PoseLimits.of_pad(
            self.pad.width_mm, self.pad.height_mm, self.pad.thickness_mm, indenter
        )
        self._state: LiveState | None = None

    @classmethod
    def of_sensor(
        cls,
        model: SensorModel,
        indenter: Indenter,
        material: GelMaterial | None = None,
        grid: tuple[int, int] = (49, 61),
    ) -> LiveGel:
        """Return the undeformed gel of a sensor.

        Args:
            model: sensor model, which gives the size of the pad.
            indenter: rigid indenter.
            material: gel material; None for the default.
            grid: number of rows and columns of surface vertices.

        Raises:
            InputError: the number of rows or columns is out of range.
        """
        return cls(indenter, material, PadGrid.of_sensor(model, *grid))

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

    def follow(self, pose: IndenterPose, waypoints: Sequence[IndenterPose] = ()) -> LiveResult:
        """Move the indenter along a path and return the gel at its end.

        Gaps of the path, as after lost frames, are filled (`interpolate_poses`), so that friction
        acts along the path.

        Args:
            pose: indenter pose at the end of the path in frame `gel`.
            waypoints: poses between the previous pose and this one, in order (`PosePath.take`).

        Raises:
            InputError: a pose is outside `limits`; the gel stays at the pose before it.
        """
        for goal in (*waypoints, pose):
            self.limits.check(goal)
            previous = None if self._state is None else self._state.pose
            for between in interpolate_poses(previous, goal):
                self.step(between)
            result = self.step(goal)
        return result

    @one_blas_thread
    def step(self, pose: IndenterPose) -> LiveResult:
        """Move the indenter straight to a pose and return the resulting gel.

        Args:
            pose: indenter pose in frame `gel`.

        Raises:
            InputError: the pose is outside `limits`; the gel does not change.
        """
        self.limits.check(pose)
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

    def _result(self, step: ContactStep, restarted: bool, sweeps: int) -> LiveResult:
        """Convert the last contact step to a `LiveResult`."""
        state, points = step.state, self._contact.points
        position = seat_vertices(
            self.indenter,
            state.pose,
            points.rest + state.displacement,
            state.point_force.any(axis=(1, 2)).reshape(self.pad.rows - 1, self.pad.columns - 1),
            min(self.pad.spacing_mm),
        )
        slips = np.zeros(len(points.rest), bool)
        slips[points.vertices[step.faces[step.slips.any(axis=1)]]] = True
        return LiveResult(
            pose=state.pose,
            rest=points.rest,
            displacement=position - points.rest,
            vertex_force_n=state.force,
            vertex_area_mm2=self._vertex_area_mm2,
            rows=self.pad.rows,
            columns=self.pad.columns,
            error_mm=step.error_mm,
            converged=step.converged,
            normal_force_n=points.gather_scalar(step.normal_force, step.faces),
            slips=slips,
            restarted=restarted,
            sweeps=sweeps,
        )
