"""`tacdiff train`: a network that turns maps into tactile images, from a dataset."""

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

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.errors import InputError
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


def train(
    dataset: Annotated[Path, typer.Argument(help="folder that `tacdiff dataset` made")],
    out: Annotated[Path, typer.Option(help="folder of the model")],
    kind: Annotated[str, typer.Option("--input", help="nocs, depth or nocs+light")] = "nocs",
    architecture: Annotated[
        str, typer.Option(help="fast, for processors, or unet, that of Pix2Pix")
    ] = "fast",
    width: Annotated[
        int | None, typer.Option(help="channels of the finest level; default: 24, unet 64")
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option(help="checksum (its beginning) of the sensor file, where there are several"),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="of the optimiser")] = None,
    batch: Annotated[int | None, typer.Option(help="samples a step")] = None,
    adversarial: Annotated[
        float | None, typer.Option(help="weight of the discriminator; default: 0, unet 0.01")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda")] = None,
    seed: Annotated[int | None, typer.Option(help="of weights and order")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="YAML file of training settings; options go before it")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Train a generator: weights.safetensors, network.onnx, curves.csv; resumes where it was."""
    wanted = _settings(
        settings,
        steps=steps,
        batch=batch,
        device=device,
        seed=seed,
        adversarial_weight=PIX2PIX_WEIGHT
        if adversarial is None and architecture == "unet"
        else adversarial,
    )
    require_learning()
    from tacdiff_ros.dataset.reader import stored_sensor
    from tacdiff_ros.translation.input_kinds import KINDS

    if kind not in KINDS:
        raise InputError(f"--input is {kind!r}, expected one of {', '.join(KINDS)}")
    check_output_folder(out, FILES)
    readers = {split: split_reader(dataset, split, sensor) for split in ("train", "validation")}
    model = stored_sensor(readers["train"].dataset, readers["train"].checksum)
    network = _network(
        kind=kind,
        architecture=architecture,
        width=width or (UNET_WIDTH if architecture == "unet" else FAST_WIDTH),
        height_px=model.image.height_px,
        width_px=model.image.width_px,
    )
    report = _train(readers, network, wanted, model.gel.full_indentation_mm, out)
    if as_json:
        print(json.dumps({"out": str(out), **report}))
        return
    early = ", no better for a while" if report["stopped_early"] else ""
    print(
        f"{out}: PSNR {report['validation_psnr_db']:.2f} dB on unseen trials after "
        f"{report['best_step']} of {report['steps']} steps{early}"
    )


def split_reader(folder: Path, split: Any, sensor: str | None) -> SampleReader:
    """Samples of a split; `sensor` is the beginning of a sensor file's checksum."""
    from tacdiff_ros.dataset.reader import SampleReader, sensor_checksums
    from tacdiff_ros.dataset.store import open_dataset

    opened = open_dataset(folder)
    if sensor is None:
        return SampleReader(opened, split)
    found = [checksum for checksum in sensor_checksums(opened) if checksum.startswith(sensor)]
    if len(found) != 1:
        raise InputError(f"{folder} has images by {len(found)} sensor files of checksum {sensor!r}")
    return SampleReader(opened, split, found[0])


def require_learning() -> None:
    """InputError that says what to install, where torch or Zarr are missing."""
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

    read = TrainingSettings()
    if path is not None:
        read = read_settings(path, TrainingSettings, "training settings", MAX_SETTINGS_BYTES)
    changes = {name: value for name, value in given.items() if value is not None}
    try:
        return TrainingSettings.model_validate({**read.model_dump(), **changes})
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
    from tacdiff_ros.dataset.pairs import SamplePairs, reference_pair
    from tacdiff_ros.translation.model_file import ANY_SENSOR, ModelCard, save_model
    from tacdiff_ros.translation.training import Untouched, train_generator

    pairs = {split: SamplePairs(reader, network.kind) for split, reader in readers.items()}
    untouched = Untouched(*reference_pair(readers["train"], network.kind))
    with _progress(settings.steps) as advance:
        generator, report = train_generator(
            network, settings, pairs["train"], pairs["validation"], untouched, out, advance
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
    """A bar of steps with the last validation; without a terminal, a line a validation."""
    console = Console(stderr=True)
    columns = (
        *(TextColumn("training"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[looked]}"), TimeRemainingColumn()),
    )
    terminal = sys.stderr.isatty()
    with Progress(*columns, console=console, disable=not terminal) as bar:
        task = bar.add_task("", total=steps, looked="")

        def advance(step: int, looked: Validation | None) -> None:
            bar.update(task, completed=step)
            if looked is None:
                return
            text = f"{looked.psnr_db:.2f} dB, error {looked.l1_grey:.2f} grey levels"
            bar.update(task, looked=text)
            if not terminal:
                print(f"step {looked.step}: {text}", file=sys.stderr, flush=True)

        yield advance
