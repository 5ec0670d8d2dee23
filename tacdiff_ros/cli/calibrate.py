"""`tacdiff calibrate`: a sensor file from a reference image and images of presses."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tacdiff_ros.cli.calibration_images import CalibrationImages, calibration_images
from tacdiff_ros.cli.crop_option import CropOption
from tacdiff_ros.cli.output_folder import HTML, check_output_file
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor, write_sensor

if TYPE_CHECKING:
    from tacdiff_ros.calibration.calibration_result import Calibration
    from tacdiff_ros.sensor.sensor_model import SensorModel

LIVE_DIAMETER_MM = 5.0
APART_MM = 2.0  # presses nearer than this are at one position


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
        Path | None,
        typer.Option(
            help="gs_sdk calibration folder, instead of images; with --live, the folder for the "
            "images, which a later call resumes (default: name of --out with _images)"
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="lead through the images, pressed by hand, and compute")
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            help="with --live: part of the camera's name, /dev/videoN, a folder of images in place "
            "of a camera, or virtual for a virtual sensor"
        ),
    ] = "GelSight Mini",
    diameter: Annotated[
        float | None,
        typer.Option(min=0.5, max=100.0, help="with --live: diameter of the ball, mm; default: 5"),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="with --live: port of the page; 0: any free one"),
    ] = 0,
    recording: Annotated[
        Path | None,
        typer.Option("--run", help="recorded run with that indenter, instead of images"),
    ] = None,
    presses: Annotated[int, typer.Option(help="number of presses to use from a folder or run")] = 2,
    sensor: Annotated[
        Path | None, typer.Option(help="initial sensor file; default: gelsight_mini.yaml")
    ] = None,
    sensor_id: Annotated[
        str | None, typer.Option(help="name of the sensor; default: file name of --out")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="the gel has no markers")] = False,
    report: Annotated[Path | None, typer.Option(help="HTML report to write")] = None,
    crop: CropOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Calibrate a sensor from a reference image and presses of a known indenter."""
    started = time.perf_counter()
    model = default_sensor() if sensor is None else read_sensor(sensor)
    if plain:
        model = model.model_copy(update={"markers": None})
    frames = sensor_crop(model, crop)
    image = model.image.model_copy(update={"border_fraction": frames.border_fraction})
    model = model.model_copy(update={"image": image})
    images = (reference, *(press or []))
    check_output_file(out, others=images)
    if report is not None:
        check_output_file(report, HTML, (*images, out))
    console = Console(stderr=True)
    if sensor_id is None and sensor is None:  # not the name of the default file
        sensor_id = re.sub(r"[^A-Za-z0-9_-]", "_", out.stem)[:80]
    with ExitStack() as stack:
        show: Callable[[str], None] | None = None
        if live:
            from tacdiff_ros.cli.live_calibration import LiveSettings, live_session

            if reference or press or indenter or recording:
                raise InputError(
                    "--live takes its own images: leave out --reference, --press, --indenter, --run"
                )
            folder = folder or out.with_name(f"{out.stem}_images")
            settings = LiveSettings(device, diameter or LIVE_DIAMETER_MM, folder, port)
            session = stack.enter_context(live_session(model, settings, console))
            presses, show = session.take_images(), session.show_end
            started = time.perf_counter()
        elif diameter is not None:
            raise InputError(
                f"--diameter is for --live: give --indenter sphere:diameter={diameter:g}, or "
                "change it in the folder's catalog.csv"
            )
        data = calibration_images(
            reference, press or [], indenter or [], folder, recording, presses, frames
        )
        result = _run_calibration(model, data, sensor_id, show)
        write_sensor(result.model, out)
        if show is not None:
            show(f"{out} is written: see the terminal")
    if report is not None:
        from tacdiff_ros.reports.calibration_report import write_calibration_report

        write_calibration_report(result, model, data.reference, data.presses, report)
    for line in result.warnings:
        console.print(f"warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    summary = {
        "out": str(out),
        "report": None if report is None else str(report),
        **_summary(data, result),
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(summary) if as_json else _summary_text(summary))


def _summary(data: CalibrationImages, result: Calibration) -> dict[str, Any]:
    """Return what is printed about a result, as JSON values."""
    from tacdiff_ros.calibration.calibration_figures import residuals
    from tacdiff_ros.evaluation.verdict import calibration_verdict

    figures = residuals(result)
    return {
        "sensor_id": result.model.sensor_id,
        "sensor_checksum": result.model.checksum,
        "presses": list(data.names),
        "residuals": figures,
        "verdict": calibration_verdict(figures, _positions(result)).as_json(),
        "warnings": list(result.warnings),
        "next_press": _next_press(result),
        "pose_offset": _offset(data, result),
        "rig_height": _rig_height(data, result),
        "seconds_by_stage": result.seconds,
    }


def _summary_text(summary: dict[str, Any]) -> str:
    """Return the summary as text for a terminal."""
    from tacdiff_ros.evaluation.verdict import Verdict

    lines = [
        f"{summary['out']}: sensor {summary['sensor_id']}, {summary['seconds']:.0f} s",
        Verdict.from_json(summary["verdict"]).text,
    ]
    if summary["report"] is not None:
        lines.append(f"report: {summary['report']}")
    position = summary["next_press"]
    lines.append(
        f"next press, if you add one: {position['position']} of the image (x "
        f"{position['x_mm']:g}, y {position['y_mm']:g} mm), where slopes are uncertain by "
        f"{position['slope_stddev_percent']:g} %"
    )
    offset = summary["pose_offset"]
    if offset is not None:
        numbers = " ".join(f"{value:.3f}" for value in offset.values())
        lines.append(
            f"offset of the recorded poses for this sensor file: --offset {numbers} (mm, degrees)"
        )
    if summary["rig_height"] is not None:
        lines.append(summary["rig_height"]["line"])
    return "\n".join(lines)


def _positions(result: Calibration) -> int:
    """Return the number of presses that are apart from each other."""
    apart: list[tuple[float, float]] = []
    for press in result.presses:
        x_mm, y_mm = press.fit.gel.press.x_mm, press.fit.gel.press.y_mm
        if all(math.hypot(x_mm - x, y_mm - y) > APART_MM for x, y in apart):
            apart.append((x_mm, y_mm))
    return len(apart)


def _next_press(result: Calibration) -> dict[str, Any]:
    """Return the position where one more press would improve the calibration most."""
    position = result.positions[0]
    return {
        "position": position.name,
        "x_mm": round(position.x_mm, 1),
        "y_mm": round(position.y_mm, 1),
        "slope_stddev_percent": round(100.0 * position.slope_stddev, 2),
    }


def _run_calibration(
    model: SensorModel,
    data: CalibrationImages,
    sensor_id: str | None,
    show: Callable[[str], None] | None,
) -> Calibration:
    """Calibrate with a progress bar.

    Args:
        model: initial sensor model.
        data: reference image and presses.
        sensor_id: name of the sensor; None for the name in the initial model.
        show: function that shows a line on the page of a guided calibration, if there is one.
    """
    from tacdiff_ros.calibration.calibrate import calibrate as run
    from tacdiff_ros.calibration.calibration_inputs import CalibrationSettings, PressImage
    from tacdiff_ros.mechanics.indenters.build import build_indenter

    indenters = {spec: build_indenter(spec) for spec in data.specs}
    inputs = [
        PressImage(image, indenters[spec], name)
        for image, spec, name in zip(data.presses, data.specs, data.names, strict=True)
    ]
    with ProgressBar("pose", 1.0) as bar:

        def progress(stage: str, fraction: float) -> None:
            bar.update(fraction, stage=stage)
            if show is not None:
                show(f"calibrating: {100 * fraction:.0f} % ({stage})")

        return run(
            model,
            data.reference,
            inputs,
            CalibrationSettings(sensor_id=sensor_id),
            progress,
        )


def _offset(data: CalibrationImages, result: Calibration) -> dict[str, float] | None:
    """Return the values of `tacdiff benchmark --offset`; None if no poses were recorded."""
    if data.poses is None:
        return None
    from tacdiff_ros.replay.recorded_presses import pose_offset

    offset = pose_offset(data.poses, result)
    values = (offset.x_mm, offset.y_mm, offset.depth_mm, math.degrees(offset.yaw_rad))
    names = ("x_mm", "y_mm", "depth_mm", "yaw_deg")
    return {name: round(value, 4) for name, value in zip(names, values, strict=True)}


def _rig_height(data: CalibrationImages, result: Calibration) -> dict[str, Any] | None:
    """Return the error of the rig's height; None if arm and rig were not recorded."""
    if data.rig is None:
        return None
    from tacdiff_ros.replay.rig_height import rig_height

    height = rig_height(data.rig, result)
    return {
        "error_mm": round(height.error_mm, 4),
        "spread_mm": round(height.spread_mm, 4),
        "indenter_position_mm": [round(value, 4) for value in height.indenter_position_mm],
        "line": height.line,
    }
