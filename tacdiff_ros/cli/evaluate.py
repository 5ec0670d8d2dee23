"""`tacdiff evaluate`: scores of a trained network on trials excluded from training."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.cli.train import split_reader
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.translation_scores import (
    METRICS,
    RenderedSample,
    SampleScore,
    picture_sheet,
    rows_by_indenter,
    score_samples,
    summary,
)
from tacdiff_ros.evaluation.verdict import network_verdict
from tacdiff_ros.output_files import json_text, png_bytes, write_files

if TYPE_CHECKING:
    from tacdiff_ros.dataset.reader import SampleReader
    from tacdiff_ros.translation.translator import Translator

FILES = ("scores.csv", "sheet.png", "metrics.json")


def evaluate(
    dataset: Annotated[Path, typer.Argument(help="folder written by `tacdiff dataset`")],
    model: Annotated[Path, typer.Option(help="folder of the network")],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    split: Annotated[str, typer.Option(help="test, validation or train")] = "test",
    sensor: Annotated[
        str | None,
        typer.Option(help="beginning of the sensor file's checksum, if the dataset has several"),
    ] = None,
    max_samples: Annotated[
        int | None, typer.Option(min=1, help="maximum number of samples, evenly spread")
    ] = None,
    old_max_samples: Annotated[int | None, typer.Option("--most", min=1, hidden=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Score a network on unseen trials: metrics.json, scores.csv, sheet.png."""
    from tacdiff_ros.dataset.plan import SPLITS
    from tacdiff_ros.dataset.reader import stored_sensor
    from tacdiff_ros.translation.translator import Translator

    if split not in SPLITS:
        raise InputError(f"--split is {split!r}, expected one of {', '.join(SPLITS)}")
    if old_max_samples:
        print("`--most` is now `--max-samples`", file=sys.stderr)
        max_samples = max_samples or old_max_samples
    check_output_folder(out, FILES)
    reader = split_reader(dataset, split, sensor)
    if not len(reader):
        raise InputError(f"{dataset} has no {split} samples yet")
    translator = Translator(model)
    sensor_model = stored_sensor(reader.dataset, reader.checksum)
    translator.check_sensor(reader.checksum, sensor_model.gel.full_indentation_mm)
    count = min(len(reader), max_samples or len(reader))
    numbers = np.linspace(0, len(reader) - 1, count).round().astype(int)
    with ProgressBar("scoring", count) as bar:
        scores, typical = score_samples(
            rendered_samples(reader, translator, numbers),
            bar.update,
        )
    figures = {
        "images": len(scores),
        "split": split,
        **{name: round(value, 5) for name, value in summary(scores).items()},
    }
    contents: dict[str, bytes | str] = {
        "scores.csv": _table(scores),
        "sheet.png": png_bytes(picture_sheet(typical)),
        "metrics.json": json_text(figures),
    }
    write_files(out, contents)
    if as_json:
        verdict = network_verdict(float(figures["psnr_db"])).as_json()
        print(json.dumps({"out": str(out), **figures, "verdict": verdict}))
    else:
        _print_scores(out, scores, figures)


def _print_scores(out: Path, scores: list[SampleScore], figures: dict[str, Any]) -> None:
    """Print one line per indenter, and the means over all samples."""
    for row in rows_by_indenter(scores):
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    print(
        f"{out}: {len(scores)} images, SSIM {figures['ssim']:.4f}, PSNR {figures['psnr_db']:.2f} "
        f"dB, MSE {figures['mse']:.2f}"
    )
    print(network_verdict(float(figures["psnr_db"])).text)


def rendered_samples(
    reader: SampleReader, translator: Translator, numbers: NDArray[np.int_]
) -> Iterator[RenderedSample]:
    """Yield samples of a dataset together with the images that a network renders for them.

    Args:
        reader: samples of one split.
        translator: network.
        numbers: (N,) int sample indices.
    """
    from tacdiff_ros.dataset.pairs import SamplePairs
    from tacdiff_ros.dataset.plan import plan_trial

    pairs = SamplePairs(reader, translator.card.settings.kind, cache_bytes=0)
    for number in numbers:
        maps, image = pairs[int(number)]
        trial, step = reader.trial_and_step(int(number))
        indenter = plan_trial(reader.dataset.plan, trial).indenter
        truth = np.ascontiguousarray(image.transpose(1, 2, 0))
        yield RenderedSample(
            indenter, trial, step, _input_image(maps), translator.translate(maps), truth
        )


def _input_image(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a network input (C, H, W) as an (H, W, 3) image.

    NOCS is shown in colour, without the light image that may follow it; depth is shown in grey,
    from its minimum to its maximum.
    """
    if len(maps) >= 3:
        return np.rint(255.0 * maps[:3].transpose(1, 2, 0)).astype(np.uint8)
    low, high = float(maps.min()), float(maps.max())
    grey = np.rint(255.0 * (maps[0] - low) / max(high - low, 1e-6)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _table(scores: list[SampleScore]) -> str:
    """Return CSV text of the scores with one row per sample."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("indenter", "trial", "step", *METRICS))
    for entry in scores:
        values = [getattr(entry.score, name) for name in METRICS]
        texts = [f"{value:.5f}" if math.isfinite(value) else "inf" for value in values]
        writer.writerow((entry.indenter, entry.trial, entry.step, *texts))
    return text.getvalue()
