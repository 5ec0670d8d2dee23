"""Mechanics of a trial: the gel surfaces along the indenter's trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.blas_threads import one_blas_thread
from tacdiff_ros.dataset.plan import DatasetPlan, Trial
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.live.live_gel import LiveGel
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.touch import (
    NotConvergedError,
    SolverSettings,
    Touch,
    TouchState,
    gel_thickness_mm,
)
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
    if plan.mechanics == "live":
        return _simulate_with_live_gel(model, plan, trial, steps)
    indenter = build_indenter(trial.indenter)
    material = GelMaterial(young_modulus_mpa=plan.young_modulus_mpa, friction=trial.friction)
    settings = SolverSettings(rows=plan.rows, columns=plan.columns)
    cause = ""
    for substeps in STEP_DIVISIONS:
        with Touch(model, indenter, material, settings) as touch:
            try:
                return _touch_arrays(_touch_states(touch, trial, steps, substeps), steps, plan)
            except NotConvergedError as error:
                cause = str(error)  # a reference to the error itself would keep the solver alive
    raise NotConvergedError(cause)


def _touch_states(
    touch: Touch, trial: Trial, steps: list[TrajectoryStep], substeps: int
) -> list[TouchState]:
    """States at the ends of the steps, each of which is divided into substeps."""
    states = []
    previous_pose = trial.start
    for step in steps:
        for substep in range(1, substeps + 1):
            pose = previous_pose.toward(step.pose, substep / substeps)
            state = touch.move_to(pose, step.name)
        states.append(state)
        previous_pose = step.pose
    return states


def _touch_arrays(
    states: list[TouchState], steps: list[TrajectoryStep], plan: DatasetPlan
) -> dict[str, NDArray[Any]]:
    """Arrays of `simulate_touches` from states of the finite-element solver."""
    grid = (plan.rows, plan.columns, 3)
    poses = [(s.pose.x_mm, s.pose.y_mm, s.pose.depth_mm, s.pose.yaw_rad) for s in states]
    return {
        "position_mm": np.stack([s.surface.position.reshape(grid) for s in states]),
        "contact": np.stack([s.contact for s in states]),
        "pressure_mpa": np.stack([s.pressure_mpa for s in states]).astype(np.float32),
        "traction_mpa": np.stack([s.traction_mpa for s in states]).astype(np.float32),
        "force_n": np.stack([s.force_n for s in states]),
        "torque_n_mm": np.stack([s.torque_n_mm for s in states]),
        "pose": np.array(poses),
        "phase": np.array([PHASES.index(step.phase) for step in steps], np.uint8),
        "penetration_mm": np.array([s.status.penetration_mm for s in states]),
        "converged": np.ones(len(states), bool),
    }


def _simulate_with_live_gel(
    model: SensorModel, plan: DatasetPlan, trial: Trial, steps: list[TrajectoryStep]
) -> dict[str, NDArray[Any]]:
    """Arrays of `simulate_touches` from the live gel."""
    size = (model.gel.width_mm, model.gel.height_mm, gel_thickness_mm(model))
    gel = LiveGel(
        build_indenter(trial.indenter),
        GelMaterial(young_modulus_mpa=plan.young_modulus_mpa, friction=trial.friction),
        PadGrid(*size, rows=plan.rows, columns=plan.columns),
    )
    gel.follow(trial.start)
    results = [gel.follow(step.pose) for step in steps]
    area_mm2 = (size[0] / (plan.columns - 1)) * (size[1] / (plan.rows - 1))
    grid = (plan.rows, plan.columns)
    force = np.stack([result.force.reshape(*grid, 3) for result in results])
    poses = [(r.pose.x_mm, r.pose.y_mm, r.pose.depth_mm, r.pose.yaw_rad) for r in results]
    return {
        "position_mm": np.stack([r.surface().position.reshape(*grid, 3) for r in results]),
        "contact": np.asarray(force.any(axis=-1)),
        "pressure_mpa": (-force[..., 2] / area_mm2).astype(np.float32),
        "traction_mpa": (force[..., :2] / area_mm2).astype(np.float32),
        "force_n": np.stack([r.net_force_n for r in results]),
        "torque_n_mm": np.stack([r.net_torque_nmm for r in results]),
        "pose": np.array(poses),
        "phase": np.array([PHASES.index(step.phase) for step in steps], np.uint8),
        "penetration_mm": np.array([r.error_mm for r in results]),
        "converged": np.array([r.converged for r in results]),
    }
