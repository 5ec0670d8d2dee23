"""Dataset and image-to-image network: throughput, quality on unseen trials, speed, other units.

    python benchmarks/translation.py [--quick] [--json] [--only PART] [--folder DIR]
                                     [--trials N] [--steps N]

PART is one of dataset, scaling, quality, speed, units. Datasets and models are kept in a folder
(default: translation/ in the user's cache) and gone on with. In full some hours on two cores, most
of them full mechanics and training; --quick, the rate of the network, under a minute.
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

from tacdiff_ros.cli.evaluate import drawn_samples
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
from tacdiff_ros.translation.training import Untouched, train_generator
from tacdiff_ros.translation.training_settings import TrainingSettings
from tacdiff_ros.translation.translator import Translator
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import random_sensor

PAPER_SAMPLES = 56_000
PAPER_TABLE = {"ssim": 0.9609, "psnr_db": 38.74, "mse": 8.69}  # Table I, NOCS
SPEED_S = 4.0  # that each rate is taken over
COARSE = Trajectory(step_mm=0.25, step_deg=3.0)  # 26 states
SEEN_UNITS, NEW_UNITS = 1000, 2000  # seeds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--folder", type=Path, default=cache_folder(), help="datasets and models")
    parser.add_argument("--trials", type=int, default=100, help="of the dataset, 52 samples each")
    parser.add_argument("--mechanics", choices=("full", "live"), default="full")
    parser.add_argument("--steps", type=int, default=12_000, help="of each training")
    parser.add_argument("--batch", type=int, default=8, help="samples of each step")
    parser.add_argument("--seen-units", type=int, default=10, help="that one network learns from")
    parser.add_argument("--new-units", type=int, default=10, help="that it has never seen")
    parser.add_argument("--unit-steps", type=int, default=4_000, help="of a training for one unit")
    options = parser.parse_args()
    names = [options.only] if options.only else (["speed"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def cache_folder() -> Path:
    """Where datasets and models are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tacdiff_ros" / "translation"


def measure_dataset(options: argparse.Namespace) -> Part:
    """The dataset that training uses; its rate, and what the paper's size would take."""
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
    """The same twenty trials by one worker and by two, each anew."""
    plan = bench_plan(20, "live", COARSE)
    rows = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name, local_client(workers) as client:
            warm_up(client, Path(name), workers)
            report = generate(Path(name) / "set", plan, default_sensor(), client)
        rate = report.samples_made / report.seconds
        rows.append({"workers": workers, "samples_per_s": round(rate, 3)})
    ratio = rows[1]["samples_per_s"] / rows[0]["samples_per_s"]
    return rows, {"scaling_1_to_2_workers": round(ratio, 2)}


def measure_quality(options: argparse.Namespace) -> Part:
    """NOCS and depth, trained alike, on trials that neither has seen."""
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
        found = summary(scores)
        rows += [{"input": kind, **row} for row in rows_by_indenter(scores)]
        figures |= {f"{kind}_{name}": round(found[name], 5) for name in PAPER_TABLE}
        figures["images"] = len(scores)
    return rows, figures | {f"paper_{name}": value for name, value in PAPER_TABLE.items()}


def measure_speed(options: argparse.Namespace) -> Part:
    """Frames of 320 x 240 on two threads: the fast network and the publication's.

    Of random weights, as the rate does not depend on them.
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
    """Rates of one network in float32, in bfloat16, and in ONNX Runtime where that is installed."""
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


def measure_units(options: argparse.Namespace) -> Part:
    """One network of kind nocs+light for units it has never seen, and one trained for each.

    All are tested on the same ten trials of each new unit, one an indenter.
    """
    plan = bench_plan(30, "live", COARSE)

    def samples_of(seed: int, *learned: Split) -> SamplesOf:
        """Each unit has a folder of its own, as its gel has its own thickness."""
        folder, unit = options.folder / f"dataset_unit_{seed}", exposed_unit(seed)
        made(folder, plan, unit)
        return SamplesOf(folder, unit, learned)

    general = options.folder / "nocs+light"
    seen = range(SEEN_UNITS, SEEN_UNITS + options.seen_units)
    samples = [samples_of(seed, "train", "test") for seed in seen]
    train_on(general, "nocs+light", samples, options, options.steps)
    rows = []
    for seed in range(NEW_UNITS, NEW_UNITS + options.new_units):
        of_unit = samples_of(seed, "train", "validation")
        folder, unit = of_unit.folder, of_unit.model
        own = options.folder / f"nocs_unit_{seed}"
        train_on(own, "nocs", [of_unit], options, options.unit_steps)
        found = {
            name: summary(tested(folder, unit, network)[0])["psnr_db"]
            for name, network in (("retrained_psnr_db", own), ("one_for_all_psnr_db", general))
        }
        light = summary(light_scores(folder, unit))["psnr_db"]
        rows.append(
            {
                "unit": seed,
                **{name: round(value, 2) for name, value in found.items()},
                "light_image_psnr_db": round(light, 2),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    drops = [row["retrained_psnr_db"] - row["one_for_all_psnr_db"] for row in rows]
    return rows, {
        "new_unit_psnr_drop_db": round(float(np.mean(drops)), 3),
        "new_unit_psnr_drop_db_worst": round(max(drops), 3),
    }


def exposed_unit(seed: int) -> SensorModel:
    """A random unit that is run at a sensible exposure."""
    return usable_exposure(random_sensor(seed))


def light_scores(folder: Path, unit: SensorModel) -> list[SampleScore]:
    """Of the light image alone, which a network of kind nocs+light starts from."""
    reader = SamplesOf(folder, unit).reader("test")
    samples = (reader.sample(number) for number in range(len(reader)))
    return [SampleScore(s.indenter, s.trial, s.step, score_images(s.light, s.rgb)) for s in samples]


@dataclass(frozen=True)
class SamplesOf:
    """Images of a dataset by one sensor."""

    folder: Path
    model: SensorModel
    learned: tuple[Split, ...] = ("train",)

    def reader(self, split: Split) -> SampleReader:
        """Of a split."""
        return SampleReader(open_dataset(self.folder), split, self.model.checksum)


class Joined:
    """Pairs of several sensors after one another."""

    def __init__(self, parts: list[SamplePairs]) -> None:
        """Of parts of any length."""
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self.divisors = parts[0].divisors

    def __len__(self) -> int:
        """Of all."""
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> Any:
        """A sample's maps and image."""
        part, inside = self._place(number)
        return part[inside]

    def stored(self, number: int) -> Any:
        """A sample as it is stored, for training on a card."""
        part, inside = self._place(number)
        return part.stored(inside)

    def _place(self, number: int) -> tuple[SamplePairs, int]:
        turn = int(np.searchsorted(self._ends, number, side="right"))
        part = self._parts[turn]
        return part, number - int(self._ends[turn]) + len(part)


def bench_plan(trials: int, mechanics: str, trajectory: Trajectory | None = None) -> DatasetPlan:
    """The default plan but for its trajectory, by default 1 mm deep in 52 states."""
    motion = (trajectory or Trajectory()).model_dump()
    return DatasetPlan.model_validate(
        {"trials": trials, "trajectory": motion, "mechanics": mechanics}
    )


def main_plan(options: argparse.Namespace) -> DatasetPlan:
    """Of the dataset that training uses."""
    return bench_plan(options.trials, options.mechanics)


def main_folder(options: argparse.Namespace) -> Path:
    """Of the dataset that training uses."""
    return options.folder / f"dataset_{options.mechanics}"


def made(folder: Path, plan: DatasetPlan, model: SensorModel) -> GenerationReport:
    """Touches and images by one sensor; what is there is kept."""
    started = time.perf_counter()

    def told(done: int, missing: int, _report: Any) -> None:
        if done % 10 == 0 or done == missing:
            seconds = time.perf_counter() - started
            print(f"{done} of {missing} trials, {seconds:.0f} s", file=sys.stderr, flush=True)

    with local_client(usable_cores()) as client:
        return generate(folder, plan, model, client, told)


def warm_up(client: Any, folder: Path, workers: int) -> None:
    """Let every worker load and compile what it needs."""
    plan = bench_plan(10 * workers, "live", Trajectory(depth_mm=0.1, translation_mm=0.0))
    generate(folder / "warm", plan, default_sensor(), client)


def train_on(
    folder: Path, kind: InputKind, samples: list[SamplesOf], options: argparse.Namespace, steps: int
) -> None:
    """A network, unless it is there."""
    if (folder / NETWORK).exists():
        return
    train = Joined(
        [SamplePairs(part.reader(split), kind) for part in samples for split in part.learned]
    )
    validation = Joined([SamplePairs(part.reader("validation"), kind) for part in samples])
    settings = TrainingSettings(steps=steps, batch=options.batch)
    network = NetworkSettings(kind=kind)
    untouched = Untouched(*reference_pair(samples[0].reader("train"), kind))

    def told(_step: int, looked: Any) -> None:
        if looked is not None:
            print(f"{folder.name} {looked}", file=sys.stderr, flush=True)

    generator, report = train_generator(
        network, settings, train, validation, untouched, folder, told
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
    """Scores on all test samples, and typical ones."""
    reader = SamplesOf(folder, model).reader("test")
    translator = Translator(network)
    translator.check_sensor(model.checksum, model.gel.full_indentation_mm)
    return score_samples(drawn_samples(reader, translator, np.arange(len(reader))))


def write_sheet(path: Path, samples: list[RenderedSample]) -> None:
    """Input, generated, truth and error of a sample an indenter."""
    cv2.imwrite(str(path), picture_sheet(samples)[..., ::-1])


def random_maps(settings: NetworkSettings) -> NDArray[np.float32]:
    """An input of a network's size."""
    shape = (CHANNELS[settings.kind], settings.height_px, settings.width_px)
    return np.random.default_rng(0).random(shape).astype(np.float32)


def rate_row(name: str, draw: Callable[[], object]) -> dict[str, Any]:
    """Images a second and the slowest of all but the first few."""
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
    """Of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


PARTS = {
    "dataset": measure_dataset,
    "scaling": measure_scaling,
    "quality": measure_quality,
    "speed": measure_speed,
    "units": measure_units,
}

if __name__ == "__main__":
    sys.exit(main())
