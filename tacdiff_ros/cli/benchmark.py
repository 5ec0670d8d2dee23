"""`tacdiff benchmark`: a recording beside its simulation, with a report."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.output_files import json_text, write_files
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.shortages import explain

if TYPE_CHECKING:
    from tacdiff_ros.mechanics.material import GelMaterial
    from tacdiff_ros.replay.replay import PoseOffset, ReplayResult
    from tacdiff_ros.replay.replay_frames import Recording
    from tacdiff_ros.twin.live_twin import Drawing

FILES = ("report.html", "metrics.json", "frames.csv", "timing.json")
MAX_OFFSET_MM = 10.0


def benchmark(
    recording: Annotated[
        Path,
        typer.Argument(help="run folder, rosbag2 (mcap or sqlite3), or folder with poses.csv"),
    ],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file; default: config/sensors/gelsight_mini.yaml")
    ] = None,
    indenter: Annotated[
        str | None, typer.Option(help="spec; default: what the recording says")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="folder of a network; default: the renderer")
    ] = None,
    offset: Annotated[
        tuple[float, float, float, float],
        typer.Option(help="x, y, depth in mm and yaw in degrees, added to recorded poses"),
    ] = (0.0, 0.0, 0.0, 0.0),
    reference: Annotated[
        Path | None, typer.Option(help="untouched sensor; default: the recording's own frames")
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="of the images, where a bag has several")
    ] = None,
    from_rig: Annotated[
        bool,
        typer.Option("--from-rig", help="depths from the rig's places, not from felt contact"),
    ] = False,
    inverted: Annotated[
        bool,
        typer.Option("--inverted", help="simulate the gel that each image shows: needs no poses"),
    ] = False,
    every: Annotated[
        int, typer.Option(min=1, max=1000, help="draw and compare one of so many frames")
    ] = 1,
    friction: Annotated[float, typer.Option(min=0.0, max=2.0, help="Coulomb coefficient")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Replay a recording: report.html, metrics.json, frames.csv, timing.json."""
    from tacdiff_ros.mechanics.material import GelMaterial
    from tacdiff_ros.replay.replay import PoseOffset
    from tacdiff_ros.replay.replay_frames import open_recording

    if not all(math.isfinite(v) and abs(v) <= MAX_OFFSET_MM for v in offset[:3]):
        raise InputError(f"--offset {offset}: lengths up to {MAX_OFFSET_MM:g} mm")
    sensor_model = default_sensor() if sensor is None else read_sensor(sensor)
    found = replay_to(
        out,
        open_recording(recording, topic, from_rig),
        sensor_model,
        indenter or "",
        model,
        PoseOffset(*offset[:3], yaw_rad=math.radians(offset[3])),
        GelMaterial(friction=friction),
        Console(stderr=True),
        None if reference is None else read_image(reference),
        inverted,
        every,
    )
    if as_json:
        print(json.dumps({"out": str(out), **found.timing, "all": found.metrics["all"]}))
        return
    contact = found.metrics["all"]["contact_psnr_db"]
    told = f"contact {contact['median']:.1f} dB in the median" if contact else "no contact"
    reasons = found.result.skips.summary()
    skipped = f"{found.result.skipped} left out" + (f" ({reasons})" if reasons else "")
    print(
        f"{out}: {len(found.result.frames)} frames, {skipped}, {told}, "
        f"{found.timing['realtime_factor']} times real time"
    )


@dataclass(frozen=True)
class Replayed:
    """What was written.

    Attributes:
        metrics: of `metrics.json`.
        timing: of `timing.json`.
        result: the frames.
    """

    metrics: dict[str, Any]
    timing: dict[str, Any]
    result: ReplayResult


def replay_to(
    out: Path,
    recording: Recording,
    sensor: SensorModel,
    indenter: str,
    network: Path | None,
    offset: PoseOffset,
    material: GelMaterial,
    console: Console,
    reference: NDArray[np.uint8] | None = None,
    inverted: bool = False,
    every: int = 1,
) -> Replayed:
    """Replay a recording and write all files; an empty indenter is the recording's.

    Raises:
        InputError: the recording, its indenter or the network cannot be used, and why.
    """
    from tacdiff_ros.replay.image_replay import replay_images
    from tacdiff_ros.replay.replay import replay
    from tacdiff_ros.twin.live_twin import LiveTwin

    check_output_folder(out, FILES)
    spec = indenter or recording.indenter
    if inverted and every != 1:
        raise InputError("--every needs recorded poses: leave it out with --inverted")
    if not recording.states and not inverted:
        raise InputError(f"{recording.source} has no poses: give --inverted to do without")
    if not spec and not inverted:
        raise InputError("the recording does not name its indenter: give --indenter")
    drawing = _drawing(sensor, network)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("replaying", total=len(recording.states) or None)

        def told(count: int) -> None:
            bar.update(task, completed=count)

        if inverted:
            result = replay_images(recording, sensor, drawing, told, reference)
        else:
            twin = LiveTwin(sensor, spec, drawing, material)
            result = replay(recording, sensor, twin, offset, told, reference, every)
    metrics = _metrics(result, sensor, spec, "renderer" if network is None else "network")
    timing = {
        "frames": len(result.frames),
        "skipped": result.skipped,
        "skipped_by_reason": result.skips.by_reason,
        "seconds": round(result.seconds, 3),
        "recorded_s": round(result.recorded_s, 3),
        "realtime_factor": round(result.recorded_s / max(result.seconds, 1e-9), 3),
    }
    _write(out, recording.source, metrics, timing, result)
    return Replayed(metrics, timing, result)


def _drawing(model: SensorModel, network: Path | None) -> Drawing:
    if network is None:
        from tacdiff_ros.twin.physical_renderer import PhysicalRenderer

        return PhysicalRenderer(model)
    from tacdiff_ros.twin.network_renderer import NetworkRenderer

    return NetworkRenderer(model, network)


def _metrics(
    result: ReplayResult, model: SensorModel, indenter: str, simulator: str
) -> dict[str, Any]:
    """Nothing in it depends on the machine or the time."""
    from tacdiff_ros.replay.replay_scores import by_depth, by_phase, summarise

    return {
        "sensor_id": model.sensor_id,
        "sensor_checksum": model.checksum,
        "indenter": indenter,
        "simulator": simulator,
        "skipped": result.skipped,
        "skipped_by_reason": result.skips.by_reason,
        "skipped_examples": result.skips.examples,
        "all": summarise(result.frames),
        "by_phase": by_phase(result.frames),
        "by_depth": by_depth(result.frames),
    }


def _write(
    out: Path,
    recording: Path,
    metrics: dict[str, Any],
    timing: dict[str, Any],
    result: ReplayResult,
) -> None:
    """Write the report and the figures; the report first, it is the largest."""
    from tacdiff_ros.reports.replay_report import write_replay_report

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {explain(error)}") from error
    title = f"Replay of {recording.name}"
    write_replay_report(out / "report.html", title, metrics, result.frames, result.worst)
    contents = {
        "frames.csv": _table(result),
        "metrics.json": json_text(metrics),
        "timing.json": json_text(timing),
    }
    write_files(out, contents)


def _table(result: ReplayResult) -> str:
    """CSV text of the frames, a row each."""
    from tacdiff_ros.replay.replay_scores import values_of

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    names = list(values_of(result.frames[0]))
    writer.writerow(["stamp_ns", "trial", "phase", "depth_mm", *names])
    for frame in result.frames:
        numbers = [f"{value:.6g}" for value in values_of(frame).values()]
        head = [frame.stamp_ns, frame.trial, frame.phase, f"{frame.depth_mm:.4f}"]
        writer.writerow([*head, *numbers])
    return text.getvalue()
