"""Datasets and networks that the benchmarks of translation train on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tacdiff_ros.dataset.cluster import local_client, usable_cores
from tacdiff_ros.dataset.generate import GenerationReport, generate
from tacdiff_ros.dataset.pairs import SamplePairs, reference_pair
from tacdiff_ros.dataset.plan import DatasetPlan, Split
from tacdiff_ros.dataset.reader import SampleReader
from tacdiff_ros.dataset.store import open_dataset
from tacdiff_ros.mechanics.trajectory import Trajectory
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.translation.input_kinds import InputKind
from tacdiff_ros.translation.model_file import ANY_SENSOR, NETWORK, ModelCard, save_model
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.training import ReferenceSample, train_generator
from tacdiff_ros.translation.training_settings import TrainingSettings

COARSE = Trajectory(step_mm=0.25, step_deg=3.0)  # 26 states


@dataclass(frozen=True)
class SamplesOf:
    """Images of one sensor in a dataset.

    Attributes:
        folder: folder of the dataset.
        model: sensor model.
        training_splits: splits used for training.
    """

    folder: Path
    model: SensorModel
    training_splits: tuple[Split, ...] = ("train",)

    def reader(self, split: Split) -> SampleReader:
        """Return the reader of a split."""
        return SampleReader(open_dataset(self.folder), split, self.model.checksum)


class Joined:
    """Concatenated training pairs of several sensors (`sample_feed.Pairs`)."""

    def __init__(self, parts: Sequence[Any]) -> None:
        """Concatenate parts of any length."""
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self.divisors = getattr(parts[0], "divisors", None)

    def __len__(self) -> int:
        """Return the total number of samples."""
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> Any:
        """Return the maps and the image of a sample."""
        part, inside = self._locate(number)
        return part[inside]

    def stored(self, number: int) -> Any:
        """Return a sample as it is stored, for training on a graphics card."""
        part, inside = self._locate(number)
        return part.stored(inside)

    def _locate(self, number: int) -> tuple[Any, int]:
        turn = int(np.searchsorted(self._ends, number, side="right"))
        part = self._parts[turn]
        return part, number - int(self._ends[turn]) + len(part)


def bench_plan(trials: int, mechanics: str, trajectory: Trajectory | None = None) -> DatasetPlan:
    """Return the default plan with another trajectory; by default 1 mm deep with 52 states."""
    motion = (trajectory or Trajectory()).model_dump()
    return DatasetPlan.model_validate(
        {"trials": trials, "trajectory": motion, "mechanics": mechanics}
    )


def made(folder: Path, plan: DatasetPlan, model: SensorModel) -> GenerationReport:
    """Generate or resume a dataset of one sensor."""
    started = time.perf_counter()

    def progress(done: int, missing: int, _report: Any) -> None:
        if done % 10 == 0 or done == missing:
            seconds = time.perf_counter() - started
            print(f"{done} of {missing} trials, {seconds:.0f} s", file=sys.stderr, flush=True)

    with local_client(usable_cores()) as client:
        return generate(folder, plan, model, client, progress)


def train_on(
    folder: Path, kind: InputKind, samples: list[SamplesOf], options: argparse.Namespace, steps: int
) -> None:
    """Train and save a network unless it exists."""
    if (folder / NETWORK).exists():
        return
    train = Joined(
        [
            SamplePairs(part.reader(split), kind)
            for part in samples
            for split in part.training_splits
        ]
    )
    validation = Joined([SamplePairs(part.reader("validation"), kind) for part in samples])
    settings = TrainingSettings(steps=steps, batch=options.batch)
    network = NetworkSettings(kind=kind)
    reference = ReferenceSample(*reference_pair(samples[0].reader("train"), kind))

    def progress(_step: int, validation_result: Any) -> None:
        if validation_result is not None:
            print(f"{folder.name} {validation_result}", file=sys.stderr, flush=True)

    generator, report = train_generator(
        network, settings, train, validation, reference, folder, progress
    )
    model = samples[0].model
    card = ModelCard(
        settings=network,
        sensor_checksum=model.checksum if kind != "nocs+light" else ANY_SENSOR,
        full_indentation_mm=model.gel.full_indentation_mm,
        training={"steps": report.steps, "validation_psnr_db": round(report.psnr_db, 3)},
    )
    save_model(folder, generator, card)
