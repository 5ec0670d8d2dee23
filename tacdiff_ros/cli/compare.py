"""`tacdiff compare`: agreement metrics of a simulated and a real image."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from tacdiff_ros.cli.crop_option import CropOption
from tacdiff_ros.cli.output_folder import check_output_file
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.agreement import Agreement, compare_images, side_by_side
from tacdiff_ros.evaluation.image_metrics import ImageScore
from tacdiff_ros.evaluation.verdict import replay_verdict
from tacdiff_ros.images.crop import default_crop
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.output_files import png_bytes, write_file
from tacdiff_ros.sensor.marker_grid import MarkerGrid


def compare(
    simulated: Annotated[Path, typer.Argument(help="simulated image")],
    real: Annotated[Path, typer.Argument(help="real image of the same size")],
    reference: Annotated[
        Path | None,
        typer.Option(help="reference image (undeformed gel): adds contact scores and baseline"),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(help="rows x columns of the markers, such as 7x9: adds their error"),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="PNG file to write: real, simulated and difference side by side"),
    ] = None,
    crop: CropOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Compare two images: MSE, PSNR, SSIM and SMAPE, whole and in the contact, and markers."""
    if picture is not None:
        check_output_file(picture, (".png",), (simulated, real, reference))
    frames = default_crop(crop)
    images = (
        frames.reduce(read_image(simulated), simulated.name),
        frames.reduce(read_image(real), real.name),
    )
    reference_image = None
    if reference is not None:
        reference_image = frames.reduce(read_image(reference), reference.name)
    agreement = compare_images(*images, reference_image, markers=_markers(images, grid))
    if agreement.contact_gain_db == -math.inf:
        raise InputError(
            f"{real.name} equals the reference image: are the simulated and the real image "
            "exchanged? compare takes SIMULATED, then REAL"
        )
    if picture is not None:
        write_file(picture, png_bytes(side_by_side(*images)))
    figures = agreement_figures(agreement)
    gain_db, marker_px = agreement.contact_gain_db, agreement.marker_rms_px
    verdict = replay_verdict(
        None if math.isnan(gain_db) else gain_db, None if math.isnan(marker_px) else marker_px
    )
    if as_json:
        print(json.dumps({**figures, "verdict": verdict.as_json()}))
        return
    print("\n".join(_lines(agreement)))
    print(verdict.text)


def agreement_figures(agreement: Agreement) -> dict[str, Any]:
    """Return the metrics for JSON: missing values as None, infinite decibels as "inf"."""
    scores = {
        "whole": agreement.whole,
        "contact": agreement.contact,
        "background_whole": agreement.background_whole,
        "background_contact": agreement.background_contact,
    }
    parts = {name: None if score is None else _rounded(score) for name, score in scores.items()}
    return {
        **parts,
        "contact_pixels": agreement.contact_pixels,
        "contact_gain_db": _number(agreement.contact_gain_db),
        "markers_compared": agreement.markers_compared,
        "marker_rms_px": _number(agreement.marker_rms_px),
    }


def _lines(agreement: Agreement) -> list[str]:
    """Return the metrics as lines of text with their units."""
    rows = [
        ("whole image", agreement.whole),
        ("whole reference image", agreement.background_whole),
        (f"contact, {agreement.contact_pixels} px", agreement.contact),
        ("reference image in the contact", agreement.background_contact),
    ]
    lines = [f"{name}: {_score_text(score)}" for name, score in rows if score is not None]
    if agreement.background_whole is not None and agreement.contact is None:
        lines.append("no contact: the real image equals the reference image but for noise")
    if agreement.markers_compared:
        lines.append(
            f"{agreement.markers_compared} markers, RMS distance {agreement.marker_rms_px:.2f} px"
        )
    return lines


def _score_text(score: ImageScore) -> str:
    return (
        f"PSNR {score.psnr_db:.2f} dB, SSIM {score.ssim:.4f}, MSE {score.mse:.2f} grey levels "
        f"squared, SMAPE {score.smape:.4f}"
    )


def _rounded(score: ImageScore) -> dict[str, float | str | None]:
    return {name: _number(value) for name, value in dataclasses.asdict(score).items()}


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, 5) if math.isfinite(value) else "inf"


def _markers(images: tuple[Any, Any], grid: str | None) -> tuple[MarkerField, MarkerField] | None:
    """Return the markers of both images; None if no grid is given."""
    if grid is None:
        return None
    parsed = MarkerGrid.parse(grid)
    return detect_markers(images[0], parsed), detect_markers(images[1], parsed)
