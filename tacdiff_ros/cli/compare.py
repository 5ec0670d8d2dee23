"""`tacdiff compare`: all metrics of a simulated image against a real one."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from tacdiff_ros.evaluation.agreement import Agreement, compare_images, side_by_side
from tacdiff_ros.evaluation.image_metrics import ImageScore
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.output_files import png_bytes, write_file
from tacdiff_ros.sensor.marker_grid import MarkerGrid


def compare(
    simulated: Annotated[Path, typer.Argument(help="simulated image")],
    real: Annotated[Path, typer.Argument(help="real image of the same size")],
    reference: Annotated[
        Path | None, typer.Option(help="untouched gel: adds the contact and the baseline")
    ] = None,
    grid: Annotated[
        str | None, typer.Option(help="rows x columns of dots, such as 7x9: adds their error")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="write real, simulated and difference side by side")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Compare two images: MSE, PSNR, SSIM, SMAPE, in the contact and whole, and dots."""
    images = read_image(simulated), read_image(real)
    untouched = None if reference is None else read_image(reference)
    found = compare_images(*images, untouched, dots=_dots(images, grid))
    if picture is not None:
        write_file(picture, png_bytes(side_by_side(*images)))
    figures = agreement_figures(found)
    if as_json:
        print(json.dumps(figures))
        return
    for part, values in figures.items():
        if isinstance(values, dict):
            text = "  ".join(f"{name} {value}" for name, value in values.items())
            print(f"{part}: {text}")
        elif values is not None:
            print(f"{part}: {values}")


def agreement_figures(found: Agreement) -> dict[str, Any]:
    """As JSON takes them: what is not there is null, infinite decibels are the text "inf"."""
    scores = {
        "whole": found.whole,
        "contact": found.contact,
        "background_whole": found.background_whole,
        "background_contact": found.background_contact,
    }
    parts = {name: None if score is None else _rounded(score) for name, score in scores.items()}
    return {
        **parts,
        "contact_pixels": found.contact_pixels,
        "contact_gain_db": _number(found.contact_gain_db),
        "markers_compared": found.markers_compared,
        "marker_rms_px": _number(found.marker_rms_px),
    }


def _rounded(score: ImageScore) -> dict[str, float | str | None]:
    return {name: _number(value) for name, value in dataclasses.asdict(score).items()}


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, 5) if math.isfinite(value) else "inf"


def _dots(images: tuple[Any, Any], grid: str | None) -> tuple[MarkerField, MarkerField] | None:
    if grid is None:
        return None
    parsed = MarkerGrid.parse(grid)
    return detect_markers(images[0], parsed), detect_markers(images[1], parsed)
