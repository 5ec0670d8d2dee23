"""Mechanics of a trial: the gel surfaces along the indenter's trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.dataset.plan import DatasetPlan, Trial
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.gel_result import GelResult
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pose_limits import PoseLimits
from tacdiff_ros.mechanics.solver_result import SolverResult
from tacdiff_ros.mechanics.touch import NotConvergedError, SolverSettings, Touch
from tacdiff_ros.mechanics.trajectory import PhaseName, TrajectoryStep, plan_trajectory
from tacdiff_ros.sensor.sensor_model import SensorModel

PHASES: tuple[PhaseName, ...] = ("press", "translate", "rotate", "release")
STEP_DIVISIONS = (1, 2, 4)  # substeps per step in consecutive attempts


@one_blas_thread
def simulate_touches(model: SensorModel, plan: DatasetPlan, trial: Trial) -> dict[str, Any]:
    """Simulate all states of a trial: S samples of a surface of R x C vertices.

    If the solver does not converge at a step, the whole trial is simulated again with smaller
    steps. Only the states at the ends of the planned steps are returned.

    Args:
        model: sensor, which determines the size of the gel pad.
        plan: plan of the dataset.
        trial: trial of the plan.

    Returns:
        Arrays by name: `position_mm` (S, R, C, 3) float32, `contact` (S, R, C) bool,
        `pressure_mpa` (S, R, C) and `traction_mpa` (S, R, C, 2) float32, `force_n` and
        `torque_n_mm` (S, 3) float64, indenter `pose` (S, 4) float64 as x, y, depth in mm and yaw in
        rad, `phase` (S,) uint8 index into `PHASES`, `penetration_mm` (S,) float64, and `converged`
        (S,) bool. `converged` is False only where the live gel stayed above its tolerance; then
        `penetration_mm` is its error.

    Raises:
        NotConvergedError: the solver does not converge even with the smallest steps.
        InputError: a pose is outside the pad, or too deep in it.
    """
    steps = plan_trajectory(plan.trajectory, trial.start)
    simulate = _solver_results if plan.mechanics == "full" else _live_results
    return _touch_arrays(simulate(model, plan, trial, steps), steps)


def check_depth(model: SensorModel, plan: DatasetPlan) -> None:
    """Check that the gel of a sensor, and its maps, are deep enough for a plan.

    Args:
        model: sensor model.
        plan: plan of the dataset.

    Raises:
        InputError: the plan's press is too deep.
    """
    try:
        PoseLimits.of_maps(model).check(IndenterPose(depth_mm=plan.trajectory.depth_mm))
    except InputError as error:
        raise InputError(f"dataset plan: trajectory.depth_mm: {error}") from error


def _solver_results(
    model: SensorModel, plan: DatasetPlan, trial: Trial, steps: list[TrajectoryStep]
) -> Sequence[GelResult]:
    """Results of the finite-element solver at the ends of the steps.

    Raises:
        NotConvergedError: the solver does not converge even with the smallest steps.
    """
    indenter = build_indenter(trial.indenter)
    settings = SolverSettings(rows=plan.rows, columns=plan.columns)
    cause = ""
    for substeps in STEP_DIVISIONS:
        with Touch(model, indenter, _material(plan, trial), settings) as touch:
            try:
                return _divided_results(touch, trial, steps, substeps)
            except NotConvergedError as error:
                cause = str(error)  # a reference to the error itself would keep the solver alive
    raise NotConvergedError(cause)


def _divided_results(
    touch: Touch, trial: Trial, steps: list[TrajectoryStep], substeps: int
) -> list[SolverResult]:
    """Results at the ends of the steps, each of which is divided into substeps."""
    results = []
    previous_pose = trial.start
    for step in steps:
        for substep in range(1, substeps + 1):
            pose = previous_pose.toward(step.pose, substep / substeps)
            result = touch.move_to(pose, step.name)
        results.append(result)
        previous_pose = step.pose
    return results


def _live_results(
    model: SensorModel, plan: DatasetPlan, trial: Trial, steps: list[TrajectoryStep]
) -> Sequence[GelResult]:
    """Results of the live gel at the ends of the steps."""
    indenter, grid = build_indenter(trial.indenter), (plan.rows, plan.columns)
    gel = LiveGel.of_sensor(model, indenter, _material(plan, trial), grid)
    gel.step(trial.start)
    return [gel.step(step.pose) for step in steps]


def _material(plan: DatasetPlan, trial: Trial) -> GelMaterial:
    return GelMaterial(young_modulus_mpa=plan.young_modulus_mpa, friction=trial.friction)


def _touch_arrays(
    results: Sequence[GelResult], steps: list[TrajectoryStep]
) -> dict[str, NDArray[Any]]:
    """Arrays of `simulate_touches`."""
    grid = (results[0].rows, results[0].columns, 3)
    poses = [(r.pose.x_mm, r.pose.y_mm, r.pose.depth_mm, r.pose.yaw_rad) for r in results]
    return {
        "position_mm": np.stack([r.surface.position.reshape(grid) for r in results]),
        "contact": np.stack([r.contact for r in results]),
        "pressure_mpa": np.stack([r.pressure_mpa for r in results]).astype(np.float32),
        "traction_mpa": np.stack([r.traction_mpa for r in results]).astype(np.float32),
        "force_n": np.stack([r.force_n for r in results]),
        "torque_n_mm": np.stack([r.torque_n_mm for r in results]),
        "pose": np.array(poses),
        "phase": np.array([PHASES.index(step.phase) for step in steps], np.uint8),
        "penetration_mm": np.array([r.error_mm for r in results]),
        "converged": np.array([r.converged for r in results]),
    }
