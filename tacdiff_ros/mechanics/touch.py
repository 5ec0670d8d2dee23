"""Interface of the full gel solver: one pad under one indenter, from settings to surfaces."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.closing import Closing
from tacdiff_ros.mechanics.gel_solver import GelSolver
from tacdiff_ros.mechanics.gel_state import GelState, StepFailureError, StepReport
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import MAX_LINES, build_pad_mesh
from tacdiff_ros.mechanics.trajectory import TrajectoryStep
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

MAX_DEPTH_FRACTION = 0.65  # largest depth over the pad's thickness


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


@dataclass(frozen=True)
class SolverStatus:
    """Accuracy and cost of a state; only converged states are returned.

    Attributes:
        report: substeps, cuts, descents, iterations and remaining imbalance of the step.
        penetration_mm: depth of the deepest surface point inside the indenter, mm, 0 or more.
        smallest_volume_ratio: minimum of det F in the pad, above 0.
        imbalance: difference of the contact force and the reaction at the glass, over the contact
            force.
        seconds: wall time of the step, s.
    """

    report: StepReport
    penetration_mm: float
    smallest_volume_ratio: float
    imbalance: float
    seconds: float


@dataclass(frozen=True)
class TouchState:
    """Gel in equilibrium under the indenter.

    Attributes:
        pose: indenter pose in frame `gel`.
        surface: deformed surface of the gel, rows x columns vertices.
        contact: (rows, columns) bool, vertices that carry contact forces.
        pressure_mpa: (rows, columns) force along -z per rest area, MPa; positive in compression.
        traction_mpa: (rows, columns, 2) force on the gel along x and y per rest area, MPa.
        force_n: (3,) force of the indenter on the gel in frame `gel`, N.
        torque_n_mm: (3,) torque of the indenter on the gel about the tip in frame `gel`, N mm.
        status: accuracy and cost of the step.
    """

    pose: IndenterPose
    surface: GelSurface
    contact: NDArray[np.bool_]
    pressure_mpa: NDArray[np.float64]
    traction_mpa: NDArray[np.float64]
    force_n: NDArray[np.float64]
    torque_n_mm: NDArray[np.float64]
    status: SolverStatus


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
        thickness_mm: thickness of the gel, mm.
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

        Raises:
            InputError: the last layer of the sensor has no thickness.
        """
        settings = settings or SolverSettings()
        self.model = model
        self.indenter = indenter
        self.thickness_mm = gel_thickness_mm(model)
        mesh = build_pad_mesh(
            model.gel.width_mm,
            model.gel.height_mm,
            self.thickness_mm,
            settings.rows,
            settings.columns,
            settings.layers,
            settings.grading,
        )
        self.solver = GelSolver(mesh, material or GelMaterial(), indenter)
        self.state: GelState | None = None
        self._flat = GelSurface.flat(
            model.gel.width_mm, model.gel.height_mm, mesh.rows, mesh.columns
        )

    def close(self) -> None:
        """Release the solver's factor; states stay valid, and a further step makes a new one."""
        self.solver.close()

    def run(self, steps: Iterable[TrajectoryStep]) -> Iterator[TouchState]:
        """Yield the state after each step of a trajectory.

        Args:
            steps: steps of the trajectory, in order.

        Raises:
            InputError: a pose is beside the pad or too deep.
            NotConvergedError: a step did not converge; the states before it are valid.
        """
        for step in steps:
            yield self.move_to(step.pose, step.name)

    def move_to(self, pose: IndenterPose, name: str = "step") -> TouchState:
        """Move the indenter in a straight line to a pose and return the resulting state.

        Args:
            pose: goal pose in frame `gel`.
            name: name of the step for the error message.

        Raises:
            InputError: the pose is not finite, beside the pad or too deep.
            NotConvergedError: the solver did not converge; `state` is unchanged.
        """
        self.check_pose(pose)
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

    def check_pose(self, pose: IndenterPose) -> None:
        """Check that a pose is finite, over the pad and not too deep.

        Args:
            pose: indenter pose in frame `gel`.

        Raises:
            InputError: the pose is not finite, beside the pad or too deep.
        """
        numbers = (pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad)
        if not all(math.isfinite(number) for number in numbers):
            raise InputError(f"indenter pose {numbers} is not finite, expected finite numbers")
        gel = self.model.gel
        if abs(pose.x_mm) > gel.width_mm / 2 or abs(pose.y_mm) > gel.height_mm / 2:
            raise InputError(
                f"indenter at ({pose.x_mm:g}, {pose.y_mm:g}) mm is beside the pad, expected a "
                f"position within {gel.width_mm:g} x {gel.height_mm:g} mm"
            )
        max_depth = min(MAX_DEPTH_FRACTION * self.thickness_mm, self._indenter_height_mm)
        if pose.depth_mm > max_depth:
            raise InputError(
                f"depth is {pose.depth_mm:g} mm, expected at most {max_depth:g} mm for a pad of "
                f"{self.thickness_mm:g} mm and an indenter of {self._indenter_height_mm:g} mm"
            )

    @property
    def _indenter_height_mm(self) -> float:
        return float(np.ptp(self.indenter.bounds[:, 2]))

    def _describe(self, state: GelState, seconds: float) -> TouchState:
        """Convert a solver state to a `TouchState`."""
        mesh = self.solver.mesh
        position = self.solver.position(state)
        shape = (mesh.rows, mesh.columns)
        area = mesh.tributary_area_mm2()[:, None]
        per_area = state.force / area
        force = state.force.sum(axis=0)
        lever = position - state.pose.tip_mm
        reaction = state.elastic.base_force_n
        scale = max(float(np.linalg.norm(force)), 1e-9)
        return TouchState(
            pose=state.pose,
            surface=self._flat.moved(position, may_overhang=True),
            contact=state.touches.reshape(shape),
            pressure_mpa=-per_area[:, 2].reshape(shape),
            traction_mpa=per_area[:, :2].reshape(*shape, 2),
            force_n=force,
            torque_n_mm=np.cross(lever, state.force).sum(axis=0),
            status=SolverStatus(
                report=state.report,
                penetration_mm=state.penetration_mm,
                smallest_volume_ratio=state.elastic.smallest_volume_ratio,
                imbalance=float(np.linalg.norm(force + reaction)) / scale,
                seconds=seconds,
            ),
        )


def gel_thickness_mm(model: SensorModel) -> float:
    """Return the thickness of the gel, the sensor's last layer, in mm.

    Raises:
        InputError: the last layer has no thickness.
    """
    thickness = model.layers[-1].thickness_mm
    if thickness is None:
        raise InputError(
            f"sensor '{model.sensor_id}': the last layer has no thickness, expected thickness_mm"
        )
    return thickness
