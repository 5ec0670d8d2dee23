"""`tacdiff calibrate`: a sensor file from an image of the untouched gel and some of presses."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from tacdiff_ros.calibration.calibration_folder import read_folder, spread_presses
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.output_files import check_space
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor, write_sensor

if TYPE_CHECKING:
    from tacdiff_ros.calibration.calibrate import Calibration
    from tacdiff_ros.geometry.indenter_pose import IndenterPose

Image = NDArray[np.uint8]
MAX_PRESSES = 16
MAX_FOLDER_BYTES = 400_000_000


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
    recording: Annotated[
        Path | None, typer.Option("--run", help="recorded run of that indenter, instead of images")
    ] = None,
    presses: Annotated[int, typer.Option(help="how many to take from a folder or run")] = 2,
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
    given = _given_images(reference, press or [], indenter or [], folder, recording, presses)
    from tacdiff_ros.calibration.calibrate import (
        CalibrationSettings,
        PressImage,
        residuals,
    )
    from tacdiff_ros.calibration.calibrate import calibrate as run
    from tacdiff_ros.mechanics.indenters.build import build_indenter

    built = {spec: build_indenter(spec) for spec in given.specs}
    inputs = [
        PressImage(image, built[spec], name)
        for image, spec, name in zip(given.presses, given.specs, given.names, strict=True)
    ]
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("pose", total=1.0)
        found = run(
            model,
            given.reference,
            inputs,
            CalibrationSettings(sensor_id=sensor_id),
            lambda stage, share: bar.update(task, description=stage, completed=share),
        )
    figures = residuals(found)
    if report is not None:
        from tacdiff_ros.reports.calibration_report import write_calibration_report

        write_calibration_report(found, model, given.reference, given.presses, report)
    write_sensor(found.model, out)
    for line in found.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    seconds = round(time.perf_counter() - started, 1)
    offset = _offset(given, found)
    if as_json:
        summary: dict[str, Any] = {
            "out": str(out),
            "report": None if report is None else str(report),
            "sensor_id": found.model.sensor_id,
            "sensor_checksum": found.model.checksum,
            "presses": list(given.names),
            "residuals": figures,
            "warnings": list(found.warnings),
            "pose_offset": offset,
            "seconds_by_stage": found.seconds,
            "seconds": seconds,
        }
        print(json.dumps(summary))
        return
    told = ", ".join(f"{name} {value:g}" for name, value in figures.items())
    print(f"{out}: {told}; {seconds:.0f} s")
    if offset is not None:
        numbers = " ".join(f"{value:.3f}" for value in offset.values())
        print(f"recorded poses, for this sensor file: --offset {numbers} (mm, degrees)")


def _offset(given: _GivenImages, found: Calibration) -> dict[str, float] | None:
    """What `tacdiff benchmark --offset` takes, where the presses' poses were recorded."""
    if given.poses is None:
        return None
    from tacdiff_ros.replay.recorded_presses import pose_offset

    offset = pose_offset(given.poses, found)
    values = (offset.x_mm, offset.y_mm, offset.depth_mm, math.degrees(offset.yaw_rad))
    names = ("x_mm", "y_mm", "depth_mm", "yaw_deg")
    return {name: round(value, 4) for name, value in zip(names, values, strict=True)}


@dataclass(frozen=True)
class _GivenImages:
    """An untouched gel and presses, with what was pressed and a name each."""

    reference: Image
    presses: list[Image]
    specs: list[str]
    names: list[str]
    poses: list[IndenterPose] | None = None


def _given_images(
    reference: Path | None,
    press: list[Path],
    indenters: list[str],
    folder: Path | None,
    recording: Path | None,
    count: int,
) -> _GivenImages:
    if (folder or recording) and (reference or press or (folder and (indenters or recording))):
        raise InputError(
            "--folder and --run bring their own images: leave out --reference, --press and, with "
            "--folder, --indenter; and give one of the two"
        )
    if not 1 <= count <= MAX_PRESSES:
        raise InputError(f"--presses is {count}, expected 1 to {MAX_PRESSES}")
    if folder is not None:
        return _from_folder(folder, count)
    if recording is not None:
        return _from_run(recording, indenters, count)
    if reference is None or not press or not indenters:
        raise InputError(
            "give --reference, --press (two or more) and --indenter, or --folder or --run with "
            "all of them"
        )
    specs = _for_each(indenters, len(press))
    names = [path.name for path in press]
    return _GivenImages(read_image(reference), [read_image(p) for p in press], specs, names)


def _for_each(indenters: list[str], count: int) -> list[str]:
    if len(indenters) not in (1, count):
        raise InputError(
            f"{len(indenters)} indenters for {count} presses: give one for all, or one each"
        )
    return indenters * count if len(indenters) == 1 else indenters


def _from_folder(folder: Path, count: int) -> _GivenImages:
    """Reference and presses of a folder, those that are far apart; and their balls."""
    listed = read_folder(folder)
    first = read_image(listed.reference)
    if len(listed.presses) * first.nbytes > MAX_FOLDER_BYTES:
        raise InputError(
            f"the {len(listed.presses)} images of {folder} take over {MAX_FOLDER_BYTES} bytes in "
            "memory: list fewer presses, or crop and resize the images"
        )
    images = []
    for press in listed.presses:
        images.append(read_image(press.path))
        if images[-1].shape != first.shape:
            raise InputError(f"the images of {folder} differ in size")
    chosen = spread_presses(first, images, count)
    found = [listed.presses[k] for k in chosen]
    return _GivenImages(
        first,
        [images[k] for k in chosen],
        [f"sphere:diameter={press.diameter_mm:g}" for press in found],
        [f"press {press.path.parent.name}" for press in found],
    )


def _from_run(folder: Path, indenters: list[str], count: int) -> _GivenImages:
    """An untouched frame of a run, and presses that are far apart; the run names its indenter."""
    from tacdiff_ros.recording.bag_reading import open_run
    from tacdiff_ros.replay.recorded_presses import recorded_presses

    found = recorded_presses(open_run(folder))
    specs = indenters or [found.indenter]
    if not specs[0]:
        raise InputError(f"{folder} does not name its indenter: give --indenter")
    chosen = found.spread(count)
    return _GivenImages(
        found.reference,
        [press.image for press in chosen],
        _for_each(specs, count),
        [f"trial {press.trial}" for press in chosen],
        [press.pose for press in chosen],
    )


def _check_target(path: Path | None) -> None:
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a file to write")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.absolute().parent} does not exist: make it, or write elsewhere")
    check_space(path.absolute().parent)
