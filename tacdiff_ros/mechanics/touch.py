"""The gel under one indenter, from settings to surfaces: what the rest of the package calls."""

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

MAX_DEPTH_FRACTION = 0.65  # of the pad's thickness


class SolverSettings(BaseModel):
    """How finely the pad is divided."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rows: int = Field(49, ge=9, le=MAX_LINES, description="surface vertices along y")
    columns: int = Field(61, ge=9, le=MAX_LINES, description="surface vertices along x")
    layers: int = Field(6, ge=2, le=32, description="elements through the thickness")
    grading: float = Field(1.25, ge=1.0, le=2.0, description="growth of a layer toward the glass")


class NotConvergedError(RuntimeError):
    """No equilibrium was found; the message says where and how."""


@dataclass(frozen=True)
class SolverStatus:
    """How a state was reached; states that did not converge are never handed out.

    Attributes:
        report: substeps, cuts, descents, iterations and the imbalance that is left.
        penetration_mm: how deep the deepest point of the surface is inside the indenter.
        smallest_volume_ratio: least det F in the pad; all are above 0.
        imbalance: relative difference of contact force and what the glue holds.
        seconds: wall time.
    """

    report: StepReport
    penetration_mm: float
    smallest_volume_ratio: float
    imbalance: float
    seconds: float


@dataclass(frozen=True)
class TouchState:
    """The gel in equilibrium under the indenter.

    Attributes:
        pose: of the indenter.
        surface: of the gel, rows x columns vertices.
        contact: (rows, columns) bool, vertices that carry contact forces.
        pressure_mpa: (rows, columns), along -z per rest area, 0 or more where the gel is pressed.
        traction_mpa: (rows, columns, 2), force of the indenter along x and y per rest area.
        force_n: (3,) of the indenter on the gel, frame gel.
        torque_n_mm: (3,) of the indenter on the gel about its tip, frame gel.
        status: how it was reached.
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
    """A pad and an indenter that moves on it, step by step.

    It owns a solver with the factor of the pad's stiffness: use it as a context manager, or `close`
    it. Example:

        with Touch(model, indenter) as touch:
            for state in touch.run(plan_trajectory(Trajectory(), start)): ...

    Limits: those of `GelSolver`; the indenter turns about z only, and stays within the pad.
    """

    def __init__(
        self,
        model: SensorModel,
        indenter: Indenter,
        material: GelMaterial | None = None,
        settings: SolverSettings | None = None,
    ) -> None:
        """An untouched pad of a sensor (its gel's width, height and thickness)."""
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
        """Release the solver's factor; states stay valid, and a move would make a new factor."""
        self.solver.close()

    def run(self, steps: Iterable[TrajectoryStep]) -> Iterator[TouchState]:
        """All states of a trajectory, one by one.

        Raises:
            InputError: a pose is beside or too deep in the pad.
            NotConvergedError: a step found no equilibrium; states before it are good.
        """
        for step in steps:
            yield self.move_to(step.pose, step.name)

    def move_to(self, pose: IndenterPose, name: str = "step") -> TouchState:
        """The state after the indenter moved in a straight line from where it is to a pose.

        Raises:
            InputError: the pose is beside or too deep in the pad, or not finite.
            NotConvergedError: the solver finds no equilibrium; the state stays as it was.
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
        """InputError for a pose that is not finite, beside the pad, or too deep in it."""
        numbers = (pose.x_mm, pose.y_mm, pose.depth_mm, pose.yaw_rad)
        if not all(math.isfinite(number) for number in numbers):
            raise InputError(f"indenter pose {numbers} is not finite")
        gel = self.model.gel
        if abs(pose.x_mm) > gel.width_mm / 2 or abs(pose.y_mm) > gel.height_mm / 2:
            raise InputError(
                f"indenter at ({pose.x_mm:g}, {pose.y_mm:g}) mm is beside the pad of "
                f"{gel.width_mm:g} x {gel.height_mm:g} mm"
            )
        deepest = min(MAX_DEPTH_FRACTION * self.thickness_mm, self._height_mm)
        if pose.depth_mm > deepest:
            raise InputError(
                f"depth is {pose.depth_mm:g} mm, expected at most {deepest:g} mm for a pad of "
                f"{self.thickness_mm:g} mm and an indenter of {self._height_mm:g} mm"
            )

    @property
    def _height_mm(self) -> float:
        return float(np.ptp(self.indenter.bounds[:, 2]))

    def _describe(self, state: GelState, seconds: float) -> TouchState:
        mesh = self.solver.mesh
        position = self.solver.position(state)
        shape = (mesh.rows, mesh.columns)
        area = mesh.tributary_area_mm2()[:, None]
        per_area = state.force / area
        force = state.force.sum(axis=0)
        lever = position - state.pose.tip_mm
        held = state.elastic.base_force_n
        scale = max(float(np.linalg.norm(force)), 1e-9)
        return TouchState(
            state.pose,
            self._flat.moved(position, may_overhang=True),
            state.touches.reshape(shape),
            -per_area[:, 2].reshape(shape),
            per_area[:, :2].reshape(*shape, 2),
            force,
            np.cross(lever, state.force).sum(axis=0),
            SolverStatus(
                state.report,
                state.penetration_mm,
                state.elastic.smallest_volume_ratio,
                float(np.linalg.norm(force + held)) / scale,
                seconds,
            ),
        )


def gel_thickness_mm(model: SensorModel) -> float:
    """Thickness of the gel: that of the sensor's last layer."""
    thickness = model.layers[-1].thickness_mm
    if thickness is None:
        raise InputError(f"sensor '{model.sensor_id}': the last layer has no thickness")
    return thickness
