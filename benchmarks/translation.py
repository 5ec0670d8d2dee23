"""Dataset and image-to-image network: throughput, quality on unseen trials, speed, new sensors.

    python benchmarks/translation.py [--quick] [--json] [--only PART] [--folder DIR]
                                     [--trials N] [--steps N]

PART is one of dataset, scaling, quality, speed, new-sensors. Datasets and networks are cached in
a folder (default: translation/ in the user's cache) and resumed. The full benchmark takes some
hours on two cores, mostly for full mechanics and training; --quick measures the speed in under a
minute.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_networks import COARSE, SamplesOf, bench_plan, made, train_on
from new_sensors import measure_new_sensors
from tables import Part, run_parts

from tacdiff_ros.cli.evaluate import rendered_samples
from tacdiff_ros.dataset.cluster import local_client
from tacdiff_ros.dataset.generate import generate
from tacdiff_ros.dataset.plan import DatasetPlan
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
from tacdiff_ros.sensor.sensor_model import Interreflection, SensorModel
from tacdiff_ros.translation.generator import build_generator
from tacdiff_ros.translation.input_kinds import CHANNELS, InputKind
from tacdiff_ros.translation.model_file import ANY_SENSOR, INPUT, NETWORK, ModelCard, save_model
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.translator import Translator

PAPER_SAMPLES = 56_000
PAPER_TABLE = {"ssim": 0.9609, "psnr_db": 38.74, "mse": 8.69}  # Table I, NOCS
DIRECT = Interreflection(bounces=0)
SPEED_S = 4.0  # duration of each rate measurement


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
    parser.add_argument(
        "--direct",
        action="store_true",
        help="dataset, scaling: a sensor without reflected light, as real sets are calibrated",
    )
    parser.add_argument("--mechanics", choices=("full", "live"), default="full")
    parser.add_argument(
        "--steps", type=int, default=12_000, help="optimiser steps of each training"
    )
    parser.add_argument("--batch", type=int, default=8, help="batch size, samples per step")
    parser.add_argument(
        "--seen-sensors", type=int, default=30, help="sensors that the common network trains on"
    )
    parser.add_argument("--new-sensors", type=int, default=10, help="sensors that it is tested on")
    parser.add_argument(
        "--common-steps", type=int, default=4_000, help="optimiser steps of the common network"
    )
    parser.add_argument(
        "--own-steps", type=int, default=1_500, help="optimiser steps of a network for one sensor"
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
    report = made(main_folder(options), main_plan(options), dataset_sensor(options))
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


def measure_scaling(options: argparse.Namespace) -> Part:
    """Generate the same forty trials with one worker and with two."""
    plan = bench_plan(40, "live", COARSE)  # with twenty, one late trial costs a tenth
    rows = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name, local_client(workers) as client:
            warm_up(client, Path(name), workers)
            report = generate(Path(name) / "set", plan, dataset_sensor(options), client)
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


def main_plan(options: argparse.Namespace) -> DatasetPlan:
    """Return the plan of the training dataset."""
    return bench_plan(options.trials, options.mechanics)


def dataset_sensor(options: argparse.Namespace) -> SensorModel:
    """Return the default sensor, without reflected light if that is chosen."""
    model = default_sensor()
    return model.model_copy(update={"interreflection": DIRECT}) if options.direct else model


def main_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the training dataset."""
    return options.folder / f"dataset_{options.mechanics}{'_direct' if options.direct else ''}"


def warm_up(client: Any, folder: Path, workers: int) -> None:
    """Generate a small dataset, so that every worker loads its modules and compiles kernels."""
    plan = bench_plan(10 * workers, "live", Trajectory(depth_mm=0.1, translation_mm=0.0))
    generate(folder / "warm", plan, default_sensor(), client)


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
    "new-sensors": measure_new_sensors,
}

if __name__ == "__main__":
    sys.exit(main())
