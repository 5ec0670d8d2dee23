"""`tacdiff touch train`: pretrains the touch encoder on touch sets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.verdict import touch_training_verdict
from tacdiff_ros.input_files import printable, read_json
from tacdiff_ros.output_files import json_text, write_files
from tacdiff_ros.settings_file import first_complaint

if TYPE_CHECKING:
    from tacdiff_ros.touch_features.pretraining import Pretraining
    from tacdiff_ros.touch_features.touch_heads import TouchModel
    from tacdiff_ros.touch_features.touch_set import TouchSet
    from tacdiff_ros.touch_features.training_batches import TouchBatches
    from tacdiff_ros.touch_features.training_settings import TouchTrainingSettings

CHECKPOINT, LOSSES, REPORT = "checkpoint.pt", "losses.csv", "report.json"
FILES = (CHECKPOINT, LOSSES, REPORT, "weights.safetensors", "network.onnx")
MAX_REPORT_BYTES = 2**20
LINE_STEPS = 100  # steps between two lines without a terminal


def train(
    sets: Annotated[
        list[Path], typer.Option("--set", help="folder of a touch set; repeat for several")
    ],
    out: Annotated[Path, typer.Option(help="output folder of the encoder")],
    settings: Annotated[
        Path | None, typer.Option(help="YAML file with sections encoder and pretraining")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="number of steps; overrides the settings file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Pretrain an encoder: network.onnx, weights.safetensors, losses.csv, report.json.

    The same command resumes what was interrupted.
    """
    require_packages()
    from tacdiff_ros.touch_features.pretraining import Pretraining
    from tacdiff_ros.touch_features.touch_set import read_touch_set
    from tacdiff_ros.touch_features.training_batches import TouchBatches

    given = _settings(settings, steps)
    check_output_folder(out, FILES)
    opened = [read_touch_set(folder) for folder in sets]
    described = [_description(touch_set) for touch_set in opened]
    _check_resumed_sets(out, described)
    batches = TouchBatches(opened)
    pretraining = Pretraining(given.encoder, given.pretraining, batches)
    start = {"sets": described, "settings": given.model_dump(mode="json")}
    write_files(out, {REPORT: json_text(start)})
    model, losses = _run(pretraining, out)
    figures = start | _figures(model, batches, given) | {"losses": losses}
    _save(out, model, batches, figures)
    retrieval = figures["retrieval_top1"]
    verdict = touch_training_verdict(retrieval)
    report = {**figures, "verdict": verdict.as_json()}
    write_files(out, {REPORT: json_text(report)})
    if as_json:
        print(json.dumps({"out": str(out), **report}))
        return
    print(
        f"{out}: {given.pretraining.steps} steps on {batches.images} images of {batches.sensors} "
        f"sensors, {figures['parameters_millions']:.2f} million parameters\n{verdict.text}"
    )


def require_packages() -> None:
    """Raise an InputError unless the packages of a training are installed."""
    try:
        import onnx
        import torch
    except ImportError as error:
        raise InputError(
            f"training needs {error.name}: `pip install 'tacdiff_ros[learn]'`, or run `make setup`"
        ) from error
    del onnx, torch


def _settings(path: Path | None, steps: int | None) -> TouchTrainingSettings:
    from tacdiff_ros.touch_features.training_settings import (
        TouchTrainingSettings,
        read_training_settings,
    )

    settings = TouchTrainingSettings() if path is None else read_training_settings(path)
    if steps is None:
        return settings
    values = settings.model_dump()
    values["pretraining"]["steps"] = steps
    try:
        return TouchTrainingSettings.model_validate(values)
    except ValidationError as error:
        raise InputError(f"training: {first_complaint(error)}") from error


def _description(touch_set: TouchSet) -> dict[str, Any]:
    return {
        "name": str(touch_set.card.get("name", ""))[:200],
        "images": len(touch_set),
        "sensors": len(touch_set.references),
    }


def _check_resumed_sets(out: Path, described: Sequence[dict[str, Any]]) -> None:
    """Check that an interrupted training was on the same sets.

    Raises:
        InputError: it was not.
    """
    if not (out / CHECKPOINT).exists() or not (out / REPORT).exists():
        return
    before = read_json(out / REPORT, "training report", MAX_REPORT_BYTES)
    sets = before.get("sets") if isinstance(before, dict) else None
    if sets != list(described):
        raise InputError(
            f"{printable(out)} has the checkpoint of a training on other touch sets: give another "
            "folder, or delete it"
        )


def _run(pretraining: Pretraining, out: Path) -> tuple[TouchModel, dict[str, float]]:
    """Train to the last step; return the model and the last losses."""
    from tacdiff_ros.touch_features.loss_table import LossTable

    settings = pretraining.settings
    table = LossTable(out / LOSSES, settings.steps)
    with _progress(settings.steps) as advance:

        def on_step(step: int, losses: dict[str, float]) -> None:
            table.add(step, losses)
            if step % settings.checkpoint_every == 0:
                table.write()
            advance(step, losses)

        model = pretraining.run(out, on_step)
    table.write()
    return model, table.last


def _figures(
    model: TouchModel, batches: TouchBatches, settings: TouchTrainingSettings
) -> dict[str, Any]:
    from tacdiff_ros.touch_features.pair_retrieval import pair_retrieval

    random = np.random.default_rng(settings.pretraining.seed)
    retrieval = pair_retrieval(model, batches, random)
    parameters = sum(value.numel() for value in model.parameters())
    return {
        "parameters_millions": round(1e-6 * parameters, 3),
        "retrieval_top1": None if retrieval is None else round(retrieval.top1, 4),
        "retrieval_touches": 0 if retrieval is None else retrieval.pairs,
    }


def _save(out: Path, model: TouchModel, batches: TouchBatches, figures: dict[str, Any]) -> None:
    from tacdiff_ros.touch_features.encoder_file import save_encoder

    save_encoder(out, model, batches.card(model.network.settings, figures))


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Show a progress bar with the losses; without a terminal, a line every 100 steps."""
    console = Console(stderr=True)
    columns = (
        *(TextColumn("pretraining"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[losses]}"), TimeRemainingColumn()),
    )
    terminal = sys.stderr.isatty()
    with Progress(*columns, console=console, disable=not terminal) as bar:
        task = bar.add_task("", total=steps, losses="")

        def advance(step: int, losses: dict[str, float]) -> None:
            text = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            bar.update(task, completed=step, losses=text)
            if not terminal and (step % LINE_STEPS == 0 or step == steps):
                print(f"step {step}: {text}", file=sys.stderr, flush=True)

        yield advance
