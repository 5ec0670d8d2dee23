"""`tacdiff benchmark`: replays a recording in simulation and reports the agreement."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from tacdiff_ros.cli.crop_option import CropOption, read_cropped
from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.cli.warning_lines import print_warnings
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.verdict import Verdict, replay_verdict
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.output_files import json_text, write_files
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel

if TYPE_CHECKING:
    from tacdiff_ros.mechanics.material import GelMaterial
    from tacdiff_ros.replay.replay import PoseOffset, ReplayResult
    from tacdiff_ros.replay.replay_frames import Recording
    from tacdiff_ros.twin.live_twin import SurfaceRenderer

FILES = ("report.html", "metrics.json", "frames.csv", "timing.json")
MAX_OFFSET_MM = 10.0


def benchmark(
    recording: Annotated[
        Path,
        typer.Argument(
            help="run folder, bag, folder with poses.csv, or with --inverted also images or a video"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file; default: config/sensors/gelsight_mini.yaml")
    ] = None,
    indenter: Annotated[
        str | None, typer.Option(help="indenter spec; default: the spec in the recording")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="folder of a network that renders; default: the physical renderer"),
    ] = None,
    offset: Annotated[
        tuple[float, float, float, float],
        typer.Option(help="x, y, depth in mm and yaw in degrees, added to the recorded poses"),
    ] = (0.0, 0.0, 0.0, 0.0),
    reference: Annotated[
        Path | None,
        typer.Option(help="image of the untouched gel; default: frames of the recording"),
    ] = None,
    topic: Annotated[str | None, typer.Option(help="image topic, if a bag has several")] = None,
    from_rig: Annotated[
        bool,
        typer.Option(
            "--from-rig", help="compute depths from the rig geometry, not from detected contact"
        ),
    ] = False,
    inverted: Annotated[
        bool,
        typer.Option(
            "--inverted", help="simulate the gel surface inverted from each image: needs no poses"
        ),
    ] = False,
    every: Annotated[
        int, typer.Option(min=1, max=1000, help="render and compare every n-th frame only")
    ] = 1,
    friction: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="Coulomb friction coefficient")
    ] = 0.5,
    crop: CropOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Replay a recording: report.html, metrics.json, frames.csv, timing.json."""
    from tacdiff_ros.mechanics.material import GelMaterial
    from tacdiff_ros.replay.replay import PoseOffset
    from tacdiff_ros.replay.replay_frames import open_recording

    if not all(math.isfinite(v) and abs(v) <= MAX_OFFSET_MM for v in offset[:3]):
        raise InputError(
            f"--offset {offset}: expected finite lengths of up to {MAX_OFFSET_MM:g} mm"
        )
    sensor_model = default_sensor() if sensor is None else read_sensor(sensor)
    console = Console(stderr=True)
    opened = open_recording(recording, topic, from_rig, with_poses=not inverted)
    print_warnings(console, opened.notes)
    frames = sensor_crop(sensor_model, crop)
    opened = opened.cropped(frames)
    outcome = replay_to(
        out,
        recording=opened,
        sensor=sensor_model,
        indenter=indenter or "",
        network=model,
        offset=PoseOffset(*offset[:3], yaw_rad=math.radians(offset[3])),
        material=GelMaterial(friction=friction),
        reference=None if reference is None else read_cropped(reference, frames),
        inverted=inverted,
        every=every,
    )
    if as_json:
        verdict = outcome.metrics["verdict"]
        scores = {"verdict": verdict, "all": outcome.metrics["all"]}
        print(json.dumps({"out": str(out), **outcome.timing, **scores}))
    else:
        print(f"{out}: {_summary(outcome)}")
        print(Verdict.from_json(outcome.metrics["verdict"]).text)
        has_own_poses = (recording / "poses.csv").is_file()
        if not (from_rig or inverted or has_own_poses or any(offset)):
            print(
                "recorded depths count from the detected contact: --offset of `tacdiff calibrate "
                "--run`, or --from-rig, corrects them"
            )
        print(f"report: {out / 'report.html'}")


@dataclass(frozen=True)
class BenchmarkOutcome:
    """Content of the files that a benchmark has written.

    Attributes:
        metrics: content of `metrics.json`.
        timing: content of `timing.json`.
        result: compared frames.
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
    reference: NDArray[np.uint8] | None = None,
    inverted: bool = False,
    every: int = 1,
) -> BenchmarkOutcome:
    """Replay a recording, compare each frame with its simulation, and write all files.

    Args:
        out: output folder.
        recording: open recording.
        sensor: sensor model.
        indenter: indenter spec; empty for the spec in the recording.
        network: folder of the network that renders the images; None for the physical renderer.
        offset: transformation from the recorded poses to the frame `gel` of the sensor file.
        material: material of the gel.
        reference: (H, W, 3) uint8 RGB reference image; None for frames of the recording.
        inverted: whether to simulate the surface inverted from each image instead of the poses.
        every: step between rendered frames.

    Raises:
        InputError: the recording, its indenter or the network cannot be used.
    """
    from tacdiff_ros.replay.image_replay import replay_images
    from tacdiff_ros.replay.replay import replay
    from tacdiff_ros.twin.live_twin import LiveTwin

    check_output_folder(out, FILES)
    spec = indenter or recording.indenter
    _check_replay(recording, spec, inverted, every)
    renderer = _renderer(sensor, network)
    with ProgressBar("replaying", recording.frame_count) as bar:
        if inverted:
            result = replay_images(recording, sensor, renderer, bar.update, reference)
        else:
            twin = LiveTwin(sensor, spec, renderer, material)
            result = replay(recording, sensor, twin, offset, bar.update, reference, every)
    simulator = "renderer" if network is None else "network"
    metrics = _metrics(result, sensor, spec, simulator, inverted)
    timing = _timing(result)
    _write(out, recording.source, metrics, timing, result)
    return BenchmarkOutcome(metrics=metrics, timing=timing, result=result)


def _check_replay(recording: Recording, spec: str, inverted: bool, every: int) -> None:
    if inverted and every != 1:
        raise InputError("--every needs recorded poses: leave it out with --inverted")
    if not recording.states and not inverted:
        raise InputError(
            f"{recording.source} has no poses: give --inverted to replay without them, record "
            "acquisition_state as well, or give a folder with images and poses.csv"
        )
    if not spec and not inverted:
        raise InputError("the recording does not name its indenter: give --indenter")


def _summary(outcome: BenchmarkOutcome) -> str:
    """Return the frame count, the contact score and the speed in one line."""
    score = outcome.metrics["all"]["contact_psnr_db"]
    gain = outcome.metrics["all"]["contact_gain_db"]
    contact = f"contact {score['median']:.1f} dB in the median" if score else "no contact"
    contact += f", gain {gain['median']:.1f} dB" if gain else ""
    reasons = outcome.result.skips.summary()
    skipped = f"{outcome.result.skipped} skipped" + (f" ({reasons})" if reasons else "")
    return (
        f"{len(outcome.result.frames)} frames, {skipped}, "
        f"{outcome.result.reference_frames} of the undeformed gel, {contact}, "
        f"{outcome.timing['realtime_factor']} times real time"
    )


def verdict_on(scores: dict[str, Any], inverted: bool = False) -> Verdict:
    """Return the verdict on the scores of all frames; see `replay_verdict`."""
    gain, markers = scores["contact_gain_db"], scores["marker_rms_px"]
    return replay_verdict(gain and gain["median"], markers and markers["median"], inverted)


def _timing(result: ReplayResult) -> dict[str, Any]:
    """Return the content of `timing.json`."""
    return {
        "frames": len(result.frames),
        "skipped": result.skipped,
        "skipped_by_reason": result.skips.by_reason,
        "seconds": round(result.seconds, 3),
        "recorded_s": round(result.recorded_s, 3),
        "realtime_factor": round(result.recorded_s / max(result.seconds, 1e-9), 3),
    }


def _renderer(model: SensorModel, network: Path | None) -> SurfaceRenderer:
    if network is None:
        from tacdiff_ros.twin.physical_renderer import PhysicalRenderer

        return PhysicalRenderer(model)
    from tacdiff_ros.twin.network_renderer import NetworkRenderer

    return NetworkRenderer(model, network)


def _metrics(
    result: ReplayResult, model: SensorModel, indenter: str, simulator: str, inverted: bool
) -> dict[str, Any]:
    """Return the content of `metrics.json`, which does not depend on the machine or the time."""
    from tacdiff_ros.replay.replay_scores import by_depth, by_phase, summarise

    scores = summarise(result.frames)
    return {
        "sensor_id": model.sensor_id,
        "sensor_checksum": model.checksum,
        "verdict": verdict_on(scores, inverted).as_json(),
        "indenter": indenter,
        "simulator": simulator,
        "reference_frames": result.reference_frames,
        "skipped": result.skipped,
        "skipped_by_reason": result.skips.by_reason,
        "skipped_examples": result.skips.examples,
        "all": scores,
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
    """Write either all files or none."""
    from tacdiff_ros.reports.replay_report import replay_report

    title = f"Replay of {recording.name}"
    contents = {
        "report.html": replay_report(title, metrics, result.frames, result.worst),
        "frames.csv": _table(result),
        "metrics.json": json_text(metrics),
        "timing.json": json_text(timing),
    }
    write_files(out, contents)


def _table(result: ReplayResult) -> str:
    """Return CSV text with one row per frame."""
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
