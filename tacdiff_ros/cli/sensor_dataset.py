"""The dataset that `tacdiff train --sensor` makes: live gel and fast renderer, for one sensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tacdiff_ros.cli.dataset import dataset_progress, print_cost, require_dataset_packages
from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.trajectory import Trajectory
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.dataset.plan import DatasetPlan

FOLDER = "dataset"  # within the output folder of the network
TRIALS = 100  # with 52 states each: the dataset of the table in docs/translation.md


def make_sensor_dataset(
    model: SensorModel, out: Path, plan_file: Path | None, trials: int | None, workers: int | None
) -> Path:
    """Generate the dataset of a sensor, or what is missing of it.

    Args:
        model: sensor model.
        out: output folder of the network, which gets the dataset as a sub-folder.
        plan_file: YAML file of a dataset plan; None for presses of 1 mm by the live gel.
        trials: number of trials; None for that of the plan.
        workers: number of processes; None for one per core.

    Returns:
        Folder of the dataset.

    Raises:
        InputError: the plan is unusable for the sensor, or the folder has a dataset of another one.
    """
    require_dataset_packages()
    from tacdiff_ros.dataset.cluster import local_client, usable_cores
    from tacdiff_ros.dataset.generate import generate, missing_trials
    from tacdiff_ros.dataset.store import open_dataset

    folder, plan = out / FOLDER, _plan(plan_file, trials)
    made = open_dataset(folder) if folder.exists() else None
    if made is not None and made.plan == plan and not missing_trials(made, model.checksum):
        return folder
    workers = workers or usable_cores()
    print_cost(plan, workers)
    with local_client(workers) as client, dataset_progress() as advance:
        report = generate(folder, plan, model, client, advance)
    if not report.complete:
        reason = next(iter(report.failed.values()), "unknown reason")
        raise InputError(f"{folder}: all trials failed: {reason}")
    return folder


def _plan(path: Path | None, trials: int | None) -> DatasetPlan:
    from tacdiff_ros.dataset.plan import DatasetPlan, read_plan

    if path is not None:
        plan = read_plan(path)
    else:
        plan = DatasetPlan(trials=TRIALS, trajectory=Trajectory(), mechanics="live")
    return plan if trials is None else plan.model_copy(update={"trials": trials})
