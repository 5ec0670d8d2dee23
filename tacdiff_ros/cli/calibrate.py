"""`tacdiff calibrate`: a sensor file from an image of the untouched gel and some of presses."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from tacdiff_ros.calibration.calibration_folder import read_folder, read_image, spread_presses
from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor, write_sensor


def calibrate(
    out: Annotated[Path, typer.Option(help="sensor file to write")],
    reference: Annotated[Path | None, typer.Option(help="image of the untouched gel")] = None,
    press: Annotated[
        list[Path] | None, typer.Option(help="image of a press; give two or more")
    ] = None,
    indenter: Annotated[
        list[str] | None,
        typer.Option(help="what was pressed; one for all presses, or one each (mm)"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="gs_sdk calibration folder, instead of images")
    ] = None,
    presses: Annotated[int, typer.Option(help="how many to take from a folder")] = 2,
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file to start from; default: gelsight_mini.yaml")
    ] = None,
    sensor_id: Annotated[str | None, typer.Option(help="name of the unit")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="a gel without dots")] = False,
    report: Annotated[Path | None, typer.Option(help="HTML file with pictures to write")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Calibrate a sensor unit from a reference image and presses of a known indenter."""
    started = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    if plain:
        model = model.model_copy(update={"markers": None})
    for path in (out, report):
        _check_target(path)
    if folder is None:
        paths, specs = _given(reference, press or [], indenter or [])
    else:
        if reference or press or indenter:
            raise InputError("--folder is given: leave out --reference, --press and --indenter")
        paths, specs = _from_folder(folder, presses)
    images = [read_image(path) for path in paths]
    from tacdiff_ros.calibration.calibrate import (
        CalibrationSettings,
        PressImage,
        residuals,
    )
    from tacdiff_ros.calibration.calibrate import calibrate as run
    from tacdiff_ros.mechanics.indenters.build import build_indenter

    built = {spec: build_indenter(spec) for spec in specs}
    inputs = [
        PressImage(image, built[spec], path.name if folder is None else f"press {path.parent.name}")
        for image, spec, path in zip(images[1:], specs, paths[1:], strict=True)
    ]
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("pose", total=1.0)
        found = run(
            model,
            images[0],
            inputs,
            CalibrationSettings(sensor_id=sensor_id),
            lambda stage, share: bar.update(task, description=stage, completed=share),
        )
    figures = residuals(found)
    if report is not None:
        from tacdiff_ros.evaluation.calibration_report import write_calibration_report

        write_calibration_report(found, model, images[0], images[1:], report)
    write_sensor(found.model, out)
    for line in found.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    seconds = round(time.perf_counter() - started, 1)
    if as_json:
        summary: dict[str, Any] = {
            "out": str(out),
            "report": None if report is None else str(report),
            "sensor_id": found.model.sensor_id,
            "sensor_checksum": found.model.checksum,
            "presses": [path.name if folder is None else str(path) for path in paths[1:]],
            "residuals": figures,
            "warnings": list(found.warnings),
            "seconds_by_stage": found.seconds,
            "seconds": seconds,
        }
        print(json.dumps(summary))
        return
    told = ", ".join(f"{name} {value:g}" for name, value in figures.items())
    print(f"{out}: {told}; {seconds:.0f} s")


def _given(
    reference: Path | None, presses: list[Path], indenters: list[str]
) -> tuple[list[Path], list[str]]:
    if reference is None or not presses or not indenters:
        raise InputError(
            "give --reference, --press (two or more) and --indenter, or --folder with all of them"
        )
    if len(indenters) not in (1, len(presses)):
        raise InputError(
            f"{len(indenters)} indenters for {len(presses)} presses: give one for all, or one each"
        )
    specs = indenters * len(presses) if len(indenters) == 1 else indenters
    return [reference, *presses], specs


def _from_folder(folder: Path, count: int) -> tuple[list[Path], list[str]]:
    """Reference and presses of a folder, those that are far apart; and their balls."""
    if not 1 <= count <= 16:
        raise InputError(f"--presses is {count}, expected 1 to 16")
    listed = read_folder(folder)
    images = [read_image(press.path) for press in listed.presses]
    first = read_image(listed.reference)
    if any(image.shape != first.shape for image in images):
        raise InputError(f"the images of {folder} differ in size")
    chosen = [listed.presses[k] for k in spread_presses(first, images, count)]
    specs = [f"sphere:diameter={press.diameter_mm:g}" for press in chosen]
    return [listed.reference, *(press.path for press in chosen)], specs


def _check_target(path: Path | None) -> None:
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a file to write")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.absolute().parent} does not exist: make it, or write elsewhere")
