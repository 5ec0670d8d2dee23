"""Images of sensors that no network was trained on: fast renderer, common network, own networks.

The truth is the differentiable renderer with local inter-reflection, the mean of several seeds.
The common network corrects the image of the fast renderer (kind `nocs+light`, with that image as
the light image); it is trained on other random sensors. An own network is what `tacdiff train
--sensor` makes, with fewer samples and steps: it is trained on images of the fast renderer.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from bench_networks import COARSE, Joined, SamplesOf, bench_plan, made, train_on
from fast_renderer import INDENTERS, pressed_surface
from numpy.typing import NDArray
from tables import Part

from tacdiff_ros.evaluation.image_metrics import score_images
from tacdiff_ros.optics.fast.fast_renderer import FastRenderer
from tacdiff_ros.optics.simulate import to_uint8
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.translation.input_kinds import network_input
from tacdiff_ros.translation.model_file import ANY_SENSOR, NETWORK, ModelCard, save_model
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.training import ReferenceSample, train_generator
from tacdiff_ros.translation.training_settings import TrainingSettings
from tacdiff_ros.translation.translator import Translator
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import random_sensor

TRAINING_SENSORS, NEW_SENSORS = 1000, 2000  # seeds
ROUNDS = 4  # presses of each indenter on a training sensor
TEST_ROUNDS = 2
PASSES = 2  # seeds of the differentiable renderer, at 9 samples per pixel
VALIDATED = 6  # training sensors whose last round validates
METRICS = ("psnr_db", "ssim", "mse")


class PressPairs:
    """Network inputs of kind `nocs+light` and true images of presses on one sensor."""

    def __init__(self, path: Path, model: SensorModel, seed: int, rounds: int) -> None:
        """Read the presses of a sensor, or render them.

        Args:
            path: file of the images.
            model: sensor.
            seed: seed of the presses.
            rounds: number of presses of each indenter.
        """
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays: dict[str, Any] = _rendered(model, seed, rounds)
            np.savez_compressed(path, **arrays)
            print(path.name, file=sys.stderr, flush=True)
        with np.load(path) as file:
            self.nocs, self.fast, self.truth = file["nocs"], file["fast"], file["truth"]

    def __len__(self) -> int:
        """Return the number of presses."""
        return len(self.truth)

    def __getitem__(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return the network input and the true image (3, H, W) of a press."""
        return self.input(number), np.ascontiguousarray(self.truth[number].transpose(2, 0, 1))

    def input(self, number: int) -> NDArray[np.float32]:
        """Return the network input (6, H, W) of a press."""
        nocs = self.nocs[number].astype(np.float32) / np.float32(65535)
        return network_input("nocs+light", nocs=nocs, light=self.fast[number])


def measure_new_sensors(options: argparse.Namespace) -> Part:
    """Score all three on presses of sensors that the common network has never seen."""
    folder = options.folder / "new_sensors"
    common = Translator(_common_network(folder, options))
    rows = []
    for seed in range(NEW_SENSORS, NEW_SENSORS + options.new_sensors):
        model = exposed_sensor(seed)
        pairs = PressPairs(folder / f"test_{seed}.npz", model, seed, TEST_ROUNDS)
        own = Translator(_own_network(folder, seed, model, options))
        images = {
            "fast": list(pairs.fast),
            "common": [common.translate(pairs.input(k)) for k in range(len(pairs))],
            "own": [own.translate(pairs.input(k)[:3]) for k in range(len(pairs))],
        }
        scores = {name: _mean_score(values, pairs.truth) for name, values in images.items()}
        rows.append(
            {"sensor": seed}
            | {
                f"{name}_{metric}": round(score[metric], 4 if metric == "ssim" else 2)
                for name, score in scores.items()
                for metric in METRICS
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    gains = [row["common_psnr_db"] - row["fast_psnr_db"] for row in rows]
    losses = [row["fast_psnr_db"] - row["own_psnr_db"] for row in rows]
    return rows, {
        "new_sensor_psnr_gain_db": round(statistics.mean(gains), 3),
        "new_sensor_psnr_gain_db_worst": round(min(gains), 3),
        "own_network_psnr_loss_db": round(statistics.mean(losses), 3),
    }


def exposed_sensor(seed: int) -> SensorModel:
    """Return a random sensor with a usable exposure."""
    return usable_exposure(random_sensor(seed))


def _common_network(folder: Path, options: argparse.Namespace) -> Path:
    """Train the common network unless it exists; return its folder."""
    network = folder / "common"
    if (network / NETWORK).exists():
        return network
    seeds = range(TRAINING_SENSORS, TRAINING_SENSORS + options.seen_sensors)
    train = Joined(
        [
            PressPairs(folder / f"train_{seed}.npz", exposed_sensor(seed), seed, ROUNDS)
            for seed in seeds[VALIDATED:]
        ]
    )
    validation = Joined(
        [
            PressPairs(folder / f"train_{seed}.npz", exposed_sensor(seed), seed, ROUNDS)
            for seed in seeds[:VALIDATED]
        ]
    )
    settings = NetworkSettings(kind="nocs+light")
    maps, image = train[0]
    generator, report = train_generator(
        settings,
        TrainingSettings(steps=options.common_steps, batch=options.batch),
        train,
        validation,
        ReferenceSample(maps, image),
        network,
        lambda _step, result: (
            print(f"common {result}", file=sys.stderr, flush=True) if result else None
        ),
    )
    depth = exposed_sensor(TRAINING_SENSORS).gel.full_indentation_mm
    training = {"steps": report.steps, "validation_psnr_db": round(report.psnr_db, 3)}
    card = ModelCard(
        settings=settings,
        sensor_checksum=ANY_SENSOR,
        full_indentation_mm=depth,
        training=training,
    )
    save_model(network, generator, card)
    return network


def _own_network(folder: Path, seed: int, model: SensorModel, options: argparse.Namespace) -> Path:
    """Train a network for one sensor unless it exists; return its folder."""
    network = folder / f"own_{seed}"
    if not (network / NETWORK).exists():
        dataset = folder / f"dataset_{seed}"
        made(dataset, bench_plan(30, "live", COARSE), model)
        samples = SamplesOf(dataset, model, ("train", "test"))
        train_on(network, "nocs", [samples], options, options.own_steps)
    return network


def _mean_score(images: list[NDArray[np.uint8]], truth: NDArray[np.uint8]) -> dict[str, float]:
    scores = [score_images(image, real) for image, real in zip(images, truth, strict=True)]
    return {name: statistics.mean(getattr(score, name) for score in scores) for name in METRICS}


def _rendered(model: SensorModel, seed: int, rounds: int) -> dict[str, NDArray[Any]]:
    """Return NOCS maps (uint16), images of the fast renderer and true images of presses."""
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    fast, reference = FastRenderer(model), Renderer(model)

    def truth(surface: GelSurface) -> NDArray[np.uint8]:
        reference.set_surface(surface)
        reference.gather_local_interreflection()
        settings = [RenderSettings(samples=3, seed=k) for k in range(PASSES)]
        return to_uint8(np.mean([reference.image(item) for item in settings], axis=0))

    nocs, images, true_images = [], [], []
    for k in range(rounds * len(INDENTERS)):
        surface = pressed_surface(model, seed, k)
        fast.set_surface(surface)
        images.append(to_uint8(fast.image()))
        nocs.append(np.rint(65535.0 * fast.maps().nocs).astype(np.uint16))
        true_images.append(truth(surface))
    return {"nocs": np.array(nocs), "fast": np.array(images), "truth": np.array(true_images)}
