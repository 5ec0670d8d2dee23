"""Dataset and image-to-image network: throughput, quality on unseen trials, speed, new sensors.

    python benchmarks/translation.py [--quick] [--json] [--only PART] [--folder DIR]
                                     [--trials N] [--steps N]

PART is one of dataset, scaling, quality, speed, units. Datasets and networks are cached in a folder
(default: translation/ in the user's cache) and resumed. The full benchmark takes some hours on two
cores, mostly for full mechanics and training; --quick measures the speed in under a minute.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import Part, run_parts

from tacdiff_ros.cli.evaluate import rendered_samples
from tacdiff_ros.dataset.cluster import local_client, usable_cores
from tacdiff_ros.dataset.generate import GenerationReport, generate
from tacdiff_ros.dataset.pairs import SamplePairs, reference_pair
from tacdiff_ros.dataset.plan import DatasetPlan, Split
from tacdiff_ros.dataset.reader import SampleReader
from tacdiff_ros.dataset.store import open_dataset
from tacdiff_ros.evaluation.image_metrics import score_images
from tacdiff_ros.evaluation.translation_scores import (
    RenderedSample,
    SampleScore,
    picture_sheet,
    rows_by_indenter,
    score_samples,
    summary,
)
from tacdiff_ros.mechanics.trajectory import Trajectory
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.translation.generator import build_generator
from tacdiff_ros.translation.input_kinds import CHANNELS, InputKind
from tacdiff_ros.translation.model_file import ANY_SENSOR, INPUT, NETWORK, ModelCard, save_model
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.training import ReferenceSample, train_generator
from tacdiff_ros.translation.training_settings import TrainingSettings
from tacdiff_ros.translation.translator import Translator
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import random_sensor

PAPER_SAMPLES = 56_000
PAPER_TABLE = {"ssim": 0.9609, "psnr_db": 38.74, "mse": 8.69}  # Table I, NOCS
SPEED_S = 4.0  # duration of each rate measurement
COARSE = Trajectory(step_mm=0.25, step_deg=3.0)  # 26 states
TRAINING_SENSORS, NEW_SENSORS = 1000, 2000  # seeds


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument(
        "--folder", type=Path, default=cache_folder(), help="folder of datasets and networks"
    )
    parser.add_argument(
        "--trials", type=int, default=100, help="trials of the dataset, 52 samples each"
    )
    parser.add_argument("--mechanics", choices=("full", "live"), default="full")
    parser.add_argument(
        "--steps", type=int, default=12_000, help="optimiser steps of each training"
    )
    parser.add_argument("--batch", type=int, default=8, help="batch size, samples per step")
    parser.add_argument(
        "--seen-units",
        type=int,
        default=10,
        help="number of sensors for training the common network",
    )
    parser.add_argument(
        "--new-units", type=int, default=10, help="number of test sensors not used for training"
    )
    parser.add_argument(
        "--unit-steps", type=int, default=4_000, help="optimiser steps of a training for one sensor"
    )
    options = parser.parse_args()
    names = [options.only] if options.only else (["speed"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def cache_folder() -> Path:
    """Return the default folder of datasets and networks."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tacdiff_ros" / "translation"


def measure_dataset(options: argparse.Namespace) -> Part:
    """Generate the training dataset; return its rate and the cost of the paper's dataset size."""
    report = made(main_folder(options), main_plan(options), default_sensor())
    megabytes = folder_bytes(main_folder(options)) / 1e6 / max(report.samples, 1)
    figures: dict[str, Any] = {
        "dataset_samples": report.samples,
        "dataset_trials_failed": len(report.failed),
        "dataset_mb_per_sample": round(megabytes, 3),
        "dataset_gb_for_56000": round(megabytes * PAPER_SAMPLES / 1e3, 1),
    }
    if report.samples_made:
        touch_s = report.touch_seconds / report.samples_made
        image_s = report.image_seconds / report.samples_made
        figures |= {
            "samples_made_now": report.samples_made,
            "mechanics_core_s_per_sample": round(touch_s, 3),
            "rendering_core_s_per_sample": round(image_s, 3),
            "samples_per_core_hour": round(3600 / (touch_s + image_s)),
            "core_hours_for_56000": round(PAPER_SAMPLES * (touch_s + image_s) / 3600, 1),
        }
    return [], figures


def measure_scaling(_options: argparse.Namespace) -> Part:
    """Generate the same forty trials with one worker and with two."""
    plan = bench_plan(40, "live", COARSE)  # with twenty, one late trial costs a tenth
    rows = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name, local_client(workers) as client:
            warm_up(client, Path(name), workers)
            report = generate(Path(name) / "set", plan, default_sensor(), client)
        rate = report.samples_made / report.seconds
        core_s = (report.touch_seconds + report.image_seconds) / report.samples_made
        rows.append(
            {
                "workers": workers,
                "samples_per_s": round(rate, 3),
                "core_s_per_sample": round(core_s, 4),
            }
        )
    ratio = rows[1]["samples_per_s"] / rows[0]["samples_per_s"]
    return rows, {"scaling_1_to_2_workers": round(ratio, 2)}


def measure_quality(options: argparse.Namespace) -> Part:
    """Train networks on NOCS and on depth, and score both on unseen trials."""
    folder, model = main_folder(options), default_sensor()
    made(folder, main_plan(options), model)
    kinds: tuple[InputKind, ...] = ("nocs", "depth")
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    for kind in kinds:
        network = options.folder / f"{kind}_{options.mechanics}"
        train_on(network, kind, [SamplesOf(folder, model)], options, options.steps)
        scores, typical = tested(folder, model, network)
        write_sheet(options.folder / f"sheet_{kind}.png", typical)
        mean_scores = summary(scores)
        rows += [{"input": kind, **row} for row in rows_by_indenter(scores)]
        figures |= {f"{kind}_{name}": round(mean_scores[name], 5) for name in PAPER_TABLE}
        figures["images"] = len(scores)
    return rows, figures | {f"paper_{name}": value for name, value in PAPER_TABLE.items()}


def measure_speed(options: argparse.Namespace) -> Part:
    """Measure the rate of 320 x 240 images on two threads: fast network and that of the paper.

    The weights are random, because the rate does not depend on them.
    """
    with tempfile.TemporaryDirectory() as name:
        rows = network_rows(Path(name), NetworkSettings(), "fast")
    if not options.quick:
        with tempfile.TemporaryDirectory() as name:
            published = NetworkSettings(architecture="unet", width=64)
            rows += network_rows(Path(name), published, "Pix2Pix U-Net")
    figures = {"cpu_hz": rows[0]["images_per_s"], "cpu_hz_bfloat16": rows[1]["images_per_s"]}
    return rows, figures


def network_rows(folder: Path, settings: NetworkSettings, name: str) -> list[dict[str, Any]]:
    """Measure one network in float32, in bfloat16, and in ONNX Runtime if it is installed."""
    card = ModelCard(settings=settings, sensor_checksum=ANY_SENSOR, full_indentation_mm=3.0)
    save_model(folder, build_generator(settings), card)
    maps = random_maps(settings)
    exact, fast = Translator(folder, threads=2), Translator(folder, 2, "fast")
    rows = [
        rate_row(f"{name}, OpenVINO float32", lambda: exact.translate(maps)),
        rate_row(f"{name}, OpenVINO bfloat16", lambda: fast.translate(maps)),
    ]
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        session = onnxruntime.InferenceSession(str(folder / NETWORK), options)
        rows.append(
            rate_row(f"{name}, ONNX Runtime", lambda: session.run(None, {INPUT: maps[None]}))
        )
    return rows


def measure_new_sensors(options: argparse.Namespace) -> Part:
    """Compare one nocs+light network on new sensors with one network trained for each sensor.

    All are tested on the same ten trials of each new sensor, one per indenter.
    """
    plan = bench_plan(30, "live", COARSE)

    def samples_of(seed: int, *training_splits: Split) -> SamplesOf:
        """Each sensor has a separate dataset because the gel thickness differs."""
        folder, sensor = options.folder / f"dataset_unit_{seed}", exposed_sensor(seed)
        made(folder, plan, sensor)
        return SamplesOf(folder, sensor, training_splits)

    general = options.folder / "nocs+light"
    training_seeds = range(TRAINING_SENSORS, TRAINING_SENSORS + options.seen_units)
    samples = [samples_of(seed, "train", "test") for seed in training_seeds]
    train_on(general, "nocs+light", samples, options, options.steps)
    rows = []
    for seed in range(NEW_SENSORS, NEW_SENSORS + options.new_units):
        sensor_samples = samples_of(seed, "train", "validation")
        folder, sensor = sensor_samples.folder, sensor_samples.model
        own = options.folder / f"nocs_unit_{seed}"
        train_on(own, "nocs", [sensor_samples], options, options.unit_steps)
        psnr_db = {
            name: summary(tested(folder, sensor, network)[0])["psnr_db"]
            for name, network in (("retrained_psnr_db", own), ("one_for_all_psnr_db", general))
        }
        light = summary(light_scores(folder, sensor))["psnr_db"]
        rows.append(
            {
                "unit": seed,
                **{name: round(value, 2) for name, value in psnr_db.items()},
                "light_image_psnr_db": round(light, 2),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    drops = [row["retrained_psnr_db"] - row["one_for_all_psnr_db"] for row in rows]
    return rows, {
        "new_unit_psnr_drop_db": round(float(np.mean(drops)), 3),
        "new_unit_psnr_drop_db_worst": round(max(drops), 3),
    }


def exposed_sensor(seed: int) -> SensorModel:
    """Return a random sensor with a usable exposure."""
    return usable_exposure(random_sensor(seed))


def light_scores(folder: Path, sensor: SensorModel) -> list[SampleScore]:
    """Return the scores of the light image alone, the input of a nocs+light network."""
    reader = SamplesOf(folder, sensor).reader("test")
    samples = (reader.sample(number) for number in range(len(reader)))
    return [SampleScore(s.indenter, s.trial, s.step, score_images(s.light, s.rgb)) for s in samples]


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
    """Concatenated sample pairs of several sensors."""

    def __init__(self, parts: list[SamplePairs]) -> None:
        """Concatenate parts of any length."""
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self.divisors = parts[0].divisors

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

    def _locate(self, number: int) -> tuple[SamplePairs, int]:
        turn = int(np.searchsorted(self._ends, number, side="right"))
        part = self._parts[turn]
        return part, number - int(self._ends[turn]) + len(part)


def bench_plan(trials: int, mechanics: str, trajectory: Trajectory | None = None) -> DatasetPlan:
    """Return the default plan with another trajectory; by default 1 mm deep with 52 states."""
    motion = (trajectory or Trajectory()).model_dump()
    return DatasetPlan.model_validate(
        {"trials": trials, "trajectory": motion, "mechanics": mechanics}
    )


def main_plan(options: argparse.Namespace) -> DatasetPlan:
    """Return the plan of the training dataset."""
    return bench_plan(options.trials, options.mechanics)


def main_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the training dataset."""
    return options.folder / f"dataset_{options.mechanics}"


def made(folder: Path, plan: DatasetPlan, model: SensorModel) -> GenerationReport:
    """Generate or resume a dataset of one sensor."""
    started = time.perf_counter()

    def progress(done: int, missing: int, _report: Any) -> None:
        if done % 10 == 0 or done == missing:
            seconds = time.perf_counter() - started
            print(f"{done} of {missing} trials, {seconds:.0f} s", file=sys.stderr, flush=True)

    with local_client(usable_cores()) as client:
        return generate(folder, plan, model, client, progress)


def warm_up(client: Any, folder: Path, workers: int) -> None:
    """Generate a small dataset, so that every worker loads its modules and compiles kernels."""
    plan = bench_plan(10 * workers, "live", Trajectory(depth_mm=0.1, translation_mm=0.0))
    generate(folder / "warm", plan, default_sensor(), client)


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


def tested(
    folder: Path, model: SensorModel, network: Path
) -> tuple[list[SampleScore], list[RenderedSample]]:
    """Return the scores of all test samples, and typical samples."""
    reader = SamplesOf(folder, model).reader("test")
    translator = Translator(network)
    translator.check_sensor(model.checksum, model.gel.full_indentation_mm)
    return score_samples(rendered_samples(reader, translator, np.arange(len(reader))))


def write_sheet(path: Path, samples: list[RenderedSample]) -> None:
    """Write a picture of input, rendering, truth and error of one sample per indenter."""
    cv2.imwrite(str(path), picture_sheet(samples)[..., ::-1])


def random_maps(settings: NetworkSettings) -> NDArray[np.float32]:
    """Return a random input of a network."""
    shape = (CHANNELS[settings.kind], settings.height_px, settings.width_px)
    return np.random.default_rng(0).random(shape).astype(np.float32)


def rate_row(name: str, draw: Callable[[], object]) -> dict[str, Any]:
    """Measure images per second and latency quantiles after a warm-up."""
    for _ in range(5):
        draw()
    seconds = []
    end = time.perf_counter() + SPEED_S
    while time.perf_counter() < end:
        started = time.perf_counter()
        draw()
        seconds.append(time.perf_counter() - started)
    return {
        "network": name,
        "images_per_s": round(1.0 / float(np.median(seconds)), 1),
        "p50_ms": round(1e3 * float(np.median(seconds)), 2),
        "p99_ms": round(1e3 * float(np.quantile(seconds, 0.99)), 2),
    }


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder, bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


PARTS = {
    "dataset": measure_dataset,
    "scaling": measure_scaling,
    "quality": measure_quality,
    "speed": measure_speed,
    "units": measure_new_sensors,
}

if __name__ == "__main__":
    sys.exit(main())
