"""`tacdiff calibrate`: a sensor file from a reference image and images of presses."""

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
    from tacdiff_ros.sensor.sensor_model import SensorModel

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
        typer.Option(help="indenter spec (mm); one for all presses, or one each"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="gs_sdk calibration folder, instead of images")
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option("--run", help="recorded run with that indenter, instead of images"),
    ] = None,
    presses: Annotated[int, typer.Option(help="number of presses to use from a folder or run")] = 2,
    sensor: Annotated[
        Path | None, typer.Option(help="initial sensor file; default: gelsight_mini.yaml")
    ] = None,
    sensor_id: Annotated[str | None, typer.Option(help="name of the sensor")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="the gel has no markers")] = False,
    report: Annotated[Path | None, typer.Option(help="HTML report to write")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Calibrate a sensor from a reference image and presses of a known indenter."""
    started = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    if plain:
        model = model.model_copy(update={"markers": None})
    for path in (out, report):
        _check_target(path)
    data = _calibration_images(reference, press or [], indenter or [], folder, recording, presses)
    from tacdiff_ros.calibration.calibrate import residuals

    console = Console(stderr=True)
    result = _run_calibration(model, data, sensor_id, console)
    figures = residuals(result)
    if report is not None:
        from tacdiff_ros.reports.calibration_report import write_calibration_report

        write_calibration_report(result, model, data.reference, data.presses, report)
    write_sensor(result.model, out)
    for line in result.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    seconds = round(time.perf_counter() - started, 1)
    offset = _offset(data, result)
    if as_json:
        summary: dict[str, Any] = {
            "out": str(out),
            "report": None if report is None else str(report),
            "sensor_id": result.model.sensor_id,
            "sensor_checksum": result.model.checksum,
            "presses": list(data.names),
            "residuals": figures,
            "warnings": list(result.warnings),
            "pose_offset": offset,
            "seconds_by_stage": result.seconds,
            "seconds": seconds,
        }
        print(json.dumps(summary))
        return
    figure_text = ", ".join(f"{name} {value:g}" for name, value in figures.items())
    print(f"{out}: {figure_text}; {seconds:.0f} s")
    if offset is not None:
        numbers = " ".join(f"{value:.3f}" for value in offset.values())
        print(
            f"offset of the recorded poses for this sensor file: --offset {numbers} (mm, degrees)"
        )


def _run_calibration(
    model: SensorModel, data: _CalibrationImages, sensor_id: str | None, console: Console
) -> Calibration:
    """Calibrate with a progress bar.

    Args:
        model: initial sensor model.
        data: reference image and presses.
        sensor_id: name of the sensor; None for the name in the initial model.
        console: console for the progress bar.
    """
    from tacdiff_ros.calibration.calibrate import CalibrationSettings, PressImage
    from tacdiff_ros.calibration.calibrate import calibrate as run
    from tacdiff_ros.mechanics.indenters.build import build_indenter

    indenters = {spec: build_indenter(spec) for spec in data.specs}
    inputs = [
        PressImage(image, indenters[spec], name)
        for image, spec, name in zip(data.presses, data.specs, data.names, strict=True)
    ]
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("pose", total=1.0)
        return run(
            model,
            data.reference,
            inputs,
            CalibrationSettings(sensor_id=sensor_id),
            lambda stage, fraction: bar.update(task, description=stage, completed=fraction),
        )


def _offset(data: _CalibrationImages, result: Calibration) -> dict[str, float] | None:
    """Return the values of `tacdiff benchmark --offset`; None if no poses were recorded."""
    if data.poses is None:
        return None
    from tacdiff_ros.replay.recorded_presses import pose_offset

    offset = pose_offset(data.poses, result)
    values = (offset.x_mm, offset.y_mm, offset.depth_mm, math.degrees(offset.yaw_rad))
    names = ("x_mm", "y_mm", "depth_mm", "yaw_deg")
    return {name: round(value, 4) for name, value in zip(names, values, strict=True)}


@dataclass(frozen=True)
class _CalibrationImages:
    """Images of a calibration.

    Attributes:
        reference: (H, W, 3) uint8 RGB reference image.
        presses: (H, W, 3) uint8 RGB image of each press.
        specs: indenter spec of each press.
        names: name of each press.
        poses: recorded pose of each press, if known.
    """

    reference: Image
    presses: list[Image]
    specs: list[str]
    names: list[str]
    poses: list[IndenterPose] | None = None


def _calibration_images(
    reference: Path | None,
    press: list[Path],
    indenters: list[str],
    folder: Path | None,
    recording: Path | None,
    count: int,
) -> _CalibrationImages:
    """Read the images from the source given on the command line: files, folder or run."""
    if (folder or recording) and (reference or press or (folder and (indenters or recording))):
        raise InputError(
            "--folder and --run contain their own images: give only one of them, and leave out "
            "--reference, --press and, with --folder, --indenter"
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
    return _CalibrationImages(
        reference=read_image(reference),
        presses=[read_image(path) for path in press],
        specs=specs,
        names=[path.name for path in press],
    )


def _for_each(indenters: list[str], count: int) -> list[str]:
    if len(indenters) not in (1, count):
        raise InputError(
            f"{len(indenters)} indenters for {count} presses: give one for all, or one each"
        )
    return indenters * count if len(indenters) == 1 else indenters


def _from_folder(folder: Path, count: int) -> _CalibrationImages:
    """Return the reference image and presses of a gs_sdk calibration folder.

    Args:
        folder: calibration folder; its presses are made with balls.
        count: number of presses to choose, with positions far apart.

    Raises:
        InputError: the folder is not valid, or its images take too much memory or differ in size.
    """
    listing = read_folder(folder)
    reference = read_image(listing.reference)
    if len(listing.presses) * reference.nbytes > MAX_FOLDER_BYTES:
        raise InputError(
            f"the {len(listing.presses)} images of {folder} take over {MAX_FOLDER_BYTES} bytes in "
            "memory: list fewer presses, or crop and resize the images"
        )
    images = []
    for press in listing.presses:
        images.append(read_image(press.path))
        if images[-1].shape != reference.shape:
            raise InputError(f"the images of {folder} differ in size")
    chosen = spread_presses(reference, images, count)
    presses = [listing.presses[k] for k in chosen]
    return _CalibrationImages(
        reference=reference,
        presses=[images[k] for k in chosen],
        specs=[f"sphere:diameter={press.diameter_mm:g}" for press in presses],
        names=[f"press {press.path.parent.name}" for press in presses],
    )


def _from_run(folder: Path, indenters: list[str], count: int) -> _CalibrationImages:
    """Return the reference image and presses of a recorded run.

    Args:
        folder: folder of the run.
        indenters: indenter specs; empty for the spec in the run.
        count: number of presses to choose, with positions far apart.

    Raises:
        InputError: the run is not valid or does not name its indenter.
    """
    from tacdiff_ros.recording.bag_reading import open_run
    from tacdiff_ros.replay.recorded_presses import recorded_presses

    recorded = recorded_presses(open_run(folder))
    specs = indenters or [recorded.indenter]
    if not specs[0]:
        raise InputError(f"{folder} does not name its indenter: give --indenter")
    chosen = recorded.spread(count)
    return _CalibrationImages(
        reference=recorded.reference,
        presses=[press.image for press in chosen],
        specs=_for_each(specs, count),
        names=[f"trial {press.trial}" for press in chosen],
        poses=[press.pose for press in chosen],
    )


def _check_target(path: Path | None) -> None:
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a file to write")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.absolute().parent} does not exist: create it, or write elsewhere")
    check_space(path.absolute().parent)
