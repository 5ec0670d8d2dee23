"""`tacdiff train`: trains a network that converts maps to tactile images."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tacdiff_ros.cli.output_folder import check_output_folder, quoted
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import read_sensor
from tacdiff_ros.settings_file import first_complaint, read_settings

if TYPE_CHECKING:
    from tacdiff_ros.dataset.reader import SampleReader
    from tacdiff_ros.translation.network_settings import NetworkSettings
    from tacdiff_ros.translation.training import Validation
    from tacdiff_ros.translation.training_settings import TrainingSettings

FILES = ("checkpoint.pt", "curves.csv", "weights.safetensors", "network.onnx")
MAX_SETTINGS_BYTES = 16_384
UNET_WIDTH, FAST_WIDTH = 64, 24
PIX2PIX_WEIGHT = 0.01
OWN_SENSOR = 9000, 4  # steps and batch size of the table in docs/translation.md


def train(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            help="folder written by `tacdiff dataset`; without it, a dataset is made for --sensor"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="output folder of the network")] = None,
    kind: Annotated[
        str, typer.Option("--input", help="input maps: nocs, depth or nocs+light")
    ] = "nocs",
    architecture: Annotated[
        str, typer.Option(help="fast (for CPUs) or unet (as in Pix2Pix)")
    ] = "fast",
    width: Annotated[
        int | None, typer.Option(help="channels at full resolution; default: 24, unet 64")
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(
            help="sensor file; with a dataset of several sensors, or the beginning of its checksum"
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, max=1_000_000, help="number of trials of the dataset that is made; default: 100"
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="YAML plan of that dataset; default: presses of 1 mm by the live gel"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="number of processes that make it")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="number of optimiser steps")] = None,
    batch: Annotated[int | None, typer.Option(help="batch size, samples per step")] = None,
    adversarial: Annotated[
        float | None, typer.Option(help="weight of the adversarial loss; default: 0, unet 0.01")
    ] = None,
    device: Annotated[str | None, typer.Option(help="device: auto, cpu or cuda")] = None,
    seed: Annotated[
        int | None, typer.Option(help="seed of initial weights and sample order")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="YAML file of training settings; options override it")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Train a generator or resume its training: weights.safetensors, network.onnx, curves.csv.

    `tacdiff train --sensor my_sensor.yaml --out MODEL` makes the dataset, too (MODEL/dataset). The
    same command resumes what was interrupted.
    """
    if out is None:
        raise InputError("--out is missing: the output folder of the network")
    if dataset is not None and (trials, plan, workers) != (None, None, None):
        raise InputError("--trials, --plan and --workers are for --sensor without a dataset")
    own_steps, own_batch = OWN_SENSOR if dataset is None and settings is None else (None, None)
    training_settings = _settings(
        settings,
        steps=own_steps if steps is None else steps,
        batch=own_batch if batch is None else batch,
        device=device,
        seed=seed,
        adversarial_weight=PIX2PIX_WEIGHT
        if adversarial is None and architecture == "unet"
        else adversarial,
    )
    require_training_packages()
    from tacdiff_ros.dataset.reader import stored_sensor
    from tacdiff_ros.translation.input_kinds import KINDS

    if kind not in KINDS:
        raise InputError(f"--input is {kind!r}, expected one of {', '.join(KINDS)}")
    check_output_folder(out, FILES)
    if dataset is None:
        if sensor is None:
            raise InputError("expected the folder of a dataset, or --sensor with a sensor file")
        from tacdiff_ros.cli.sensor_dataset import make_sensor_dataset

        dataset = make_sensor_dataset(read_sensor(Path(sensor)), out, plan, trials, workers)
    if sensor is not None and Path(sensor).is_file():
        sensor = read_sensor(Path(sensor)).checksum
    readers = {split: split_reader(dataset, split, sensor) for split in ("train", "validation")}
    model = stored_sensor(readers["train"].dataset, readers["train"].checksum)
    network = _network(
        kind=kind,
        architecture=architecture,
        width=width or (UNET_WIDTH if architecture == "unet" else FAST_WIDTH),
        height_px=model.image.height_px,
        width_px=model.image.width_px,
    )
    report = _train(readers, network, training_settings, model.gel.full_indentation_mm, out)
    if as_json:
        print(json.dumps({"out": str(out), **report}))
        return
    stopped = ", stopped without further improvement" if report["stopped_early"] else ""
    print(
        f"{out}: PSNR {report['validation_psnr_db']:.2f} dB on unseen trials after "
        f"{report['best_step']} of {report['steps']} steps{stopped}\n"
        f"next: `tacdiff evaluate {quoted(dataset)} --model {quoted(out)} --out scores`"
    )


def split_reader(folder: Path, split: Any, sensor: str | None) -> SampleReader:
    """Return the reader of one split of a dataset.

    Args:
        folder: folder of the dataset.
        split: "train", "validation" or "test".
        sensor: beginning of the checksum of a sensor file; None if the dataset has only one.

    Raises:
        InputError: the dataset is not readable, or the checksum does not identify one sensor file.
    """
    from tacdiff_ros.dataset.reader import SampleReader, sensor_checksums
    from tacdiff_ros.dataset.store import open_dataset

    opened = open_dataset(folder)
    if sensor is None:
        return SampleReader(opened, split)
    matching = [checksum for checksum in sensor_checksums(opened) if checksum.startswith(sensor)]
    if len(matching) != 1:
        raise InputError(
            f"{folder} has images of {len(matching)} sensor files with checksum {sensor!r}"
        )
    return SampleReader(opened, split, matching[0])


def require_training_packages() -> None:
    """Check that torch, ONNX and Zarr are installed.

    Raises:
        InputError: a package is missing; the message says what to install.
    """
    try:
        import onnx
        import torch
        import zarr
    except ImportError as error:
        raise InputError(
            f"training needs {error.name}: `pip install 'tacdiff_ros[learn,cluster]'`, or run "
            "`make setup`"
        ) from error
    del onnx, torch, zarr


def _settings(path: Path | None, **given: Any) -> TrainingSettings:
    from tacdiff_ros.translation.training_settings import TrainingSettings

    settings = TrainingSettings()
    if path is not None:
        settings = read_settings(path, TrainingSettings, "training settings", MAX_SETTINGS_BYTES)
    changes = {name: value for name, value in given.items() if value is not None}
    try:
        return TrainingSettings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise InputError(f"training: {first_complaint(error)}") from error


def _network(**values: Any) -> NetworkSettings:
    from tacdiff_ros.translation.network_settings import NetworkSettings

    try:
        return NetworkSettings(**values)
    except ValidationError as error:
        raise InputError(f"network: {first_complaint(error)}") from error


def _train(
    readers: dict[str, SampleReader],
    network: NetworkSettings,
    settings: TrainingSettings,
    full_indentation_mm: float,
    out: Path,
) -> dict[str, Any]:
    """Train a generator, save it, and return the figures of the training."""
    from tacdiff_ros.dataset.pairs import SamplePairs, reference_pair
    from tacdiff_ros.translation.model_file import ANY_SENSOR, ModelCard, save_model
    from tacdiff_ros.translation.training import ReferenceSample, train_generator

    pairs = {split: SamplePairs(reader, network.kind) for split, reader in readers.items()}
    reference = ReferenceSample(*reference_pair(readers["train"], network.kind))
    with _progress(settings.steps) as advance:
        generator, report = train_generator(
            network, settings, pairs["train"], pairs["validation"], reference, out, advance
        )
    figures = {
        "best_step": report.step,
        "steps": report.steps,
        "validation_psnr_db": round(report.psnr_db, 3),
        "stopped_early": report.stopped_early,
        "samples": len(pairs["train"]),
        "settings": settings.model_dump(mode="json"),
    }
    one_sensor = network.kind != "nocs+light"
    card = ModelCard(
        settings=network,
        sensor_checksum=readers["train"].checksum if one_sensor else ANY_SENSOR,
        full_indentation_mm=full_indentation_mm,
        training=figures,
    )
    save_model(out, generator, card)
    return figures


@contextmanager
def _progress(steps: int) -> Iterator[Any]:
    """Show a progress bar with the last validation; without a terminal, a line per validation."""
    console = Console(stderr=True)
    columns = (
        *(TextColumn("training"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[validation]}"), TimeRemainingColumn()),
    )
    terminal = sys.stderr.isatty()
    with Progress(*columns, console=console, disable=not terminal) as bar:
        task = bar.add_task("", total=steps, validation="")

        def advance(step: int, validation: Validation | None) -> None:
            bar.update(task, completed=step)
            if validation is None:
                return
            text = f"{validation.psnr_db:.2f} dB, error {validation.l1_grey:.2f} grey levels"
            bar.update(task, validation=text)
            if not terminal:
                print(f"step {validation.step}: {text}", file=sys.stderr, flush=True)

        yield advance
