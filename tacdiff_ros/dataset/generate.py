"""Makes a dataset on a Dask cluster, or goes on with one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tacdiff_ros.dataset.plan import DatasetPlan
from tacdiff_ros.dataset.store import Dataset, gel_size, open_or_create, remove_partial
from tacdiff_ros.dataset.trial_work import TrialReport, make_trial, write_sensor_group
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import format_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2  # of a trial whose worker raised or was killed


@dataclass(frozen=True)
class GenerationReport:
    """What a run did.

    Attributes:
        trials: of the plan.
        complete: of them that are in the dataset now.
        samples: of these.
        failed: trials that were given up, with the reasons.
        seconds: of this run.
        samples_made: by this run.
        touch_seconds: of this run's mechanics, summed over workers.
        image_seconds: of this run's rendering, summed over workers.
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

    Kill it at any moment and run it again: trials are there as a whole or not at all, and each
    follows from the plan's seed and its number alone.

    Args:
        folder: of the dataset, seen by all workers.
        plan: of the dataset.
        model: sensor whose images are drawn.
        client: of the cluster.
        progress: told how many of how many missing trials are done, and of the last one.

    Raises:
        InputError: the folder holds another dataset, or cannot be written.
    """
    started = time.perf_counter()
    dataset = open_or_create(folder.absolute(), plan, gel_size(model))
    remove_partial(dataset.folder)
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
    """Trials without images by a sensor file, but for those that were given up."""
    return [
        index
        for index in range(dataset.plan.trials)
        if not dataset.image_folder(checksum, index).exists()
        and not dataset.failure_file(index).exists()
    ]


def _run(dataset: Dataset, trials: list[int], sensor: str, client: Client) -> Iterator[TrialReport]:
    """Reports as they come; what is still queued is cancelled when the caller stops."""
    from distributed import KilledWorker, as_completed

    futures = client.map(
        make_trial,
        [dataset.folder] * len(trials),
        trials,
        [sensor] * len(trials),
        retries=RETRIES,
        pure=False,
    )
    number = {future.key: index for future, index in zip(futures, trials, strict=True)}
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except KilledWorker as error:
                raise InputError(
                    f"trial {number[future.key]} killed {RETRIES + 1} workers; do they have "
                    f"enough memory? ({error})"
                ) from error
    finally:
        client.cancel(futures)
