"""Generation of a dataset on a Dask cluster; an unfinished dataset is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tacdiff_ros.dataset.plan import DatasetPlan
from tacdiff_ros.dataset.store import Dataset, gel_size, open_or_create
from tacdiff_ros.dataset.trial_work import TrialReport, make_trial, write_sensor_group
from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import remove_partial_folders
from tacdiff_ros.sensor.sensor_file import format_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2  # further attempts at a trial whose worker raised an exception or was killed


@dataclass(frozen=True)
class GenerationReport:
    """Result of one run of the generation.

    Attributes:
        trials: number of trials of the plan.
        complete: number of trials whose images are in the dataset now.
        samples: number of samples of the complete trials.
        failed: reason of failure by trial index, for trials that are not tried again.
        seconds: duration of this run, s.
        samples_made: number of samples that this run added.
        touch_seconds: time that this run's simulations took, summed over workers, s.
        image_seconds: time that this run's rendering took, summed over workers, s.
    """

    trials: int
    complete: int
    samples: int
    failed: dict[int, str]
    seconds: float
    samples_made: int
    touch_seconds: float
    image_seconds: float


def generate(
    folder: Path,
    plan: DatasetPlan,
    model: SensorModel,
    client: Client,
    progress: Callable[[int, int, TrialReport], None] | None = None,
) -> GenerationReport:
    """Simulate and render all trials of a plan that are missing in a folder.

    The process may be killed at any moment and started again: a trial is written completely or not
    at all, and it depends only on the plan's seed and its own index.

    Args:
        folder: folder of the dataset, accessible from all workers.
        plan: plan of the dataset.
        model: sensor whose images are rendered.
        client: client of the Dask cluster.
        progress: callback after every trial; its arguments are the number of trials done, the
            number of trials to do in this run, and the report of the last trial.

    Returns:
        Report of this run.

    Raises:
        InputError: the folder contains another dataset or cannot be written, or a trial killed its
            workers.
    """
    started = time.perf_counter()
    dataset = open_or_create(folder.absolute(), plan, gel_size(model))
    remove_partial_folders(dataset.folder)
    write_sensor_group(dataset, model)
    missing = missing_trials(dataset, model.checksum)
    reports = []
    for report in _run(dataset, missing, format_sensor(model), client):
        reports.append(report)
        if progress is not None:
            progress(len(reports), len(missing), report)
    failed = {index: str(entry.get("reason")) for index, entry in dataset.failures().items()}
    complete = plan.trials - len(missing_trials(dataset, model.checksum)) - len(failed)
    return GenerationReport(
        trials=plan.trials,
        complete=complete,
        samples=complete * plan.states_per_trial,
        failed=failed,
        seconds=time.perf_counter() - started,
        samples_made=sum(report.samples for report in reports),
        touch_seconds=sum(report.touch_seconds for report in reports),
        image_seconds=sum(report.image_seconds for report in reports),
    )


def missing_trials(dataset: Dataset, checksum: str) -> list[int]:
    """Return the trials without images, except for those whose simulation has failed.

    Args:
        dataset: opened dataset.
        checksum: checksum of the sensor file that the images belong to.

    Returns:
        Indices of the trials.
    """
    return [
        index
        for index in range(dataset.plan.trials)
        if not dataset.image_folder(checksum, index).exists()
        and not dataset.failure_file(index).exists()
    ]


def _run(dataset: Dataset, trials: list[int], sensor: str, client: Client) -> Iterator[TrialReport]:
    """Yield the reports of trials as they finish; queued trials are cancelled if the caller stops.

    Args:
        dataset: opened dataset.
        trials: indices of the trials.
        sensor: text of the sensor file.
        client: client of the Dask cluster.
    """
    from distributed import KilledWorker, as_completed

    futures = client.map(
        make_trial,
        [dataset.folder] * len(trials),
        trials,
        [sensor] * len(trials),
        retries=RETRIES,
        pure=False,
    )
    indices = {future.key: index for future, index in zip(futures, trials, strict=True)}
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except KilledWorker as error:
                raise InputError(
                    f"trial {indices[future.key]} killed {RETRIES + 1} workers: give them more "
                    f"memory, or use fewer workers ({error})"
                ) from error
    finally:
        client.cancel(futures)
