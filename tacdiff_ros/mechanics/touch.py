"""Interface of the full gel solver: one pad under one indenter, from settings to surfaces."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.closing import Closing
from tacdiff_ros.mechanics.contact_surface import seat_vertices
from tacdiff_ros.mechanics.gel_solver import GelSolver
from tacdiff_ros.mechanics.gel_state import GelState, StepFailureError
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import MAX_LINES, build_pad_mesh
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.mechanics.solver_result import SolverResult, SolverStatus
from tacdiff_ros.mechanics.trajectory import TrajectoryStep
from tacdiff_ros.sensor.sensor_model import SensorModel


class SolverSettings(BaseModel):
    """Resolution of the pad's mesh.

    Attributes:
        rows: number of surface vertices along y.
        columns: number of surface vertices along x.
        layers: number of elements through the thickness.
        grading: thickness ratio of successive layers, growing toward the glass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: int = Field(49, ge=9, le=MAX_LINES, description="number of surface vertices along y")
    columns: int = Field(61, ge=9, le=MAX_LINES, description="number of surface vertices along x")
    layers: int = Field(6, ge=2, le=32, description="number of elements through the thickness")
    grading: float = Field(
        1.25, ge=1.0, le=2.0, description="thickness ratio of successive layers toward the glass"
    )


class NotConvergedError(RuntimeError):
    """The solver did not converge; the message gives the pose and the reason."""


class Touch(Closing):
    """Simulation of one pad under one indenter that moves step by step.

    The object owns a solver with a factor of the pad's stiffness: use it as a context manager, or
    call `close`. Example:

        with Touch(model, indenter) as touch:
            for state in touch.run(plan_trajectory(Trajectory(), start)): ...

    Limits: those of `GelSolver`; the indenter rotates about z only, and its tip stays over the pad.

    Attributes:
        model: sensor model.
        indenter: rigid indenter.
        limits: limits of the poses.
        solver: solver of the pad under this indenter.
        state: last equilibrium; None before the first step.
    """

    def __init__(
        self,
        model: SensorModel,
        indenter: Indenter,
        material: GelMaterial | None = None,
        settings: SolverSettings | None = None,
    ) -> None:
        """Create the undeformed pad of a sensor.

        Args:
            model: sensor model, which gives the width, height and thickness of the gel.
            indenter: rigid indenter.
            material: gel material; None for the default.
            settings: resolution of the mesh; None for the default.
        """
        settings = settings or SolverSettings()
        self.model = model
        self.indenter = indenter
        self.limits = PoseLimits.of_sensor(model, indenter)
        mesh = build_pad_mesh(
            model.gel.width_mm,
            model.gel.height_mm,
            model.gel_thickness_mm,
            settings.rows,
            settings.columns,
            settings.layers,
            settings.grading,
        )
        self.solver = GelSolver(mesh, material or GelMaterial(), indenter)
        self.state: GelState | None = None

    def close(self) -> None:
        """Release the solver's factor; states stay valid, and a further step makes a new one."""
        self.solver.close()

    def run(self, steps: Iterable[TrajectoryStep]) -> Iterator[SolverResult]:
        """Yield the state after each step of a trajectory.

        Args:
            steps: steps of the trajectory, in order.

        Raises:
            InputError: a pose is outside `limits`.
            NotConvergedError: a step did not converge; the states before it are valid.
        """
        for step in steps:
            yield self.move_to(step.pose, step.name)

    def move_to(self, pose: IndenterPose, name: str = "step") -> SolverResult:
        """Move the indenter in a straight line to a pose and return the resulting state.

        Args:
            pose: goal pose in frame `gel`.
            name: name of the step for the error message.

        Raises:
            InputError: the pose is outside `limits`.
            NotConvergedError: the solver did not converge; `state` is unchanged.
        """
        self.limits.check(pose)
        started = time.perf_counter()
        if self.state is None:
            self.state = self.solver.rest(
                IndenterPose(pose.x_mm, pose.y_mm, min(0.0, pose.depth_mm), pose.yaw_rad)
            )
        try:
            self.state = self.solver.step(self.state, pose)
        except StepFailureError as error:
            raise NotConvergedError(
                f"no equilibrium in '{name}' at x {pose.x_mm:.3f}, y {pose.y_mm:.3f}, depth "
                f"{pose.depth_mm:.3f} mm ({error}); use a finer mesh, smaller steps or a blunter "
                "indenter"
            ) from error
        return self._describe(self.state, time.perf_counter() - started)

    def _describe(self, state: GelState, seconds: float) -> SolverResult:
        """Convert a solver state to a result."""
        mesh, rest = self.solver.mesh, self.solver.rest_position
        position = seat_vertices(
            self.indenter,
            state.pose,
            self.solver.position(state),
            state.point_force.any(axis=(1, 2)).reshape(mesh.rows - 1, mesh.columns - 1),
            min(mesh.spacing_mm),
        )
        force = state.force.sum(axis=0)
        reaction = state.elastic.base_force_n
        scale = max(float(np.linalg.norm(force)), 1e-9)
        return SolverResult(
            pose=state.pose,
            rest=rest,
            displacement=position - rest,
            vertex_force_n=state.force,
            vertex_area_mm2=mesh.tributary_area_mm2(),
            rows=mesh.rows,
            columns=mesh.columns,
            error_mm=state.penetration_mm,
            converged=True,
            status=SolverStatus(
                report=state.report,
                smallest_volume_ratio=state.elastic.smallest_volume_ratio,
                imbalance=float(np.linalg.norm(force + reaction)) / scale,
                seconds=seconds,
            ),
        )
