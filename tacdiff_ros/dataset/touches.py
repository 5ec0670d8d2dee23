"""A trial's mechanics: the surfaces under an indenter on its way."""

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
FINER = (1, 2, 4)  # parts of a step, attempt by attempt


@one_blas_thread
def simulate_touches(model: SensorModel, plan: DatasetPlan, trial: Trial) -> dict[str, Any]:
    """All states of a trial, S samples on a surface of R x C vertices.

    Where a step finds no equilibrium the whole trial is done again in finer steps, of which the
    planned ones are kept.

    Args:
        model: sensor, for the size of its pad.
        plan: of the dataset.
        trial: of the plan.

    Returns:
        `position_mm` (S, R, C, 3) float32, `contact` (S, R, C) bool, `pressure_mpa` (S, R, C) and
        `traction_mpa` (S, R, C, 2) float32, `force_n` and `torque_n_mm` (S, 3) float64, `pose`
        (S, 4) float64 of the indenter: x, y, depth in mm and yaw in rad, `phase` (S,) uint8 into
        `PHASES`, `penetration_mm` (S,) float64, and `converged` (S,) bool, which is False only
        where the live gel stayed above its tolerance; its error is in `penetration_mm` then.

    Raises:
        NotConvergedError: a step found no equilibrium, however fine.
        InputError: a pose is beside the pad, or too deep in it.
    """
    steps = plan_trajectory(plan.trajectory, trial.start)
    if plan.mechanics == "live":
        return _follow(model, plan, trial, steps)
    touch_model = (model, build_indenter(trial.indenter))
    material = GelMaterial(young_modulus_mpa=plan.young_modulus_mpa, friction=trial.friction)
    settings = SolverSettings(rows=plan.rows, columns=plan.columns)
    cause = ""
    for parts in FINER:
        with Touch(*touch_model, material, settings) as touch:
            try:
                return _arrays(_states(touch, trial, steps, parts), steps, plan)
            except NotConvergedError as error:
                cause = str(error)  # the error itself would keep the solver alive
    raise NotConvergedError(cause)


def _states(
    touch: Touch, trial: Trial, steps: list[TrajectoryStep], parts: int
) -> list[TouchState]:
    """States at the ends of the steps, each of which is taken in parts."""
    states = []
    begin = trial.start
    for step in steps:
        for part in range(1, parts + 1):
            state = touch.move_to(begin.toward(step.pose, part / parts), step.name)
        states.append(state)
        begin = step.pose
    return states


def _arrays(
    states: list[TouchState], steps: list[TrajectoryStep], plan: DatasetPlan
) -> dict[str, NDArray[Any]]:
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


def _follow(
    model: SensorModel, plan: DatasetPlan, trial: Trial, steps: list[TrajectoryStep]
) -> dict[str, NDArray[Any]]:
    """The same by the live gel."""
    size = (model.gel.width_mm, model.gel.height_mm, gel_thickness_mm(model))
    gel = LiveGel(
        build_indenter(trial.indenter),
        GelMaterial(young_modulus_mpa=plan.young_modulus_mpa, friction=trial.friction),
        PadGrid(*size, rows=plan.rows, columns=plan.columns),
    )
    gel.follow(trial.start)
    answers = [gel.follow(step.pose) for step in steps]
    area_mm2 = (size[0] / (plan.columns - 1)) * (size[1] / (plan.rows - 1))
    grid = (plan.rows, plan.columns)
    force = np.stack([answer.force.reshape(*grid, 3) for answer in answers])
    poses = [(a.pose.x_mm, a.pose.y_mm, a.pose.depth_mm, a.pose.yaw_rad) for a in answers]
    return {
        "position_mm": np.stack([a.surface().position.reshape(*grid, 3) for a in answers]),
        "contact": np.asarray(force.any(axis=-1)),
        "pressure_mpa": (-force[..., 2] / area_mm2).astype(np.float32),
        "traction_mpa": (force[..., :2] / area_mm2).astype(np.float32),
        "force_n": np.stack([a.net_force_n for a in answers]),
        "torque_n_mm": np.stack([a.net_torque_nmm for a in answers]),
        "pose": np.array(poses),
        "phase": np.array([PHASES.index(step.phase) for step in steps], np.uint8),
        "penetration_mm": np.array([a.error_mm for a in answers]),
        "converged": np.array([a.converged for a in answers]),
    }
