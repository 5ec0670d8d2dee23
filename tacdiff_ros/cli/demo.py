"""`tacdiff demo`: the whole job without hardware, on real DDS, told in one report."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tacdiff_ros.cli.virtual_graph import GraphRun, parameters, require_ros, run_graph
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.frame_sources import open_frames
from tacdiff_ros.machine.checks import require_demo
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.output_files import png_bytes, write_file
from tacdiff_ros.recording.bag_reading import RecordedRun, open_run
from tacdiff_ros.reports.acquisition_report import write_report
from tacdiff_ros.reports.story_report import Chapter, write_story
from tacdiff_ros.sensor.marker_grid import MarkerGrid
from tacdiff_ros.sensor.sensor_file import write_sensor
from tacdiff_ros.shortages import explain

BALL, CROSS = "sphere:diameter=5", "cross:size=4.4"
SIMULATOR = "renderer"
START_GAP_MM = 12.0  # of the virtual sensor above the indenter: nothing is to be seen higher up
REPLAYED_EVERY = 3  # frames: a third of the time, the same medians
EXPLANATION = (
    "No hardware: arm and sensor are virtual, the nodes, DDS, recordings and everything after "
    "them are what runs on a robot."
)
LIVE_TOPICS = ("simulated/image_raw", "comparison", "ground_truth/gel_points")


def demo(
    out: Annotated[Path, typer.Option(help="folder for recordings, logs and report")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="of the virtual sensor")] = 0,
    frames: Annotated[
        Path | None,
        typer.Option(help="video or image folder: record and track these, and no more"),
    ] = None,
    grid: Annotated[str, typer.Option(help="rows x columns of dots in these frames")] = "7x9",
    trials: Annotated[
        int, typer.Option(min=1, max=100, help="with the cross, or with these frames")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> int:
    """Acquire, calibrate, simulate live, compare, replay, invert; write report.html."""
    marker_grid = MarkerGrid.parse(grid)
    if frames is not None:
        _check_frames(frames, marker_grid)
    require_ros()
    try:
        (out / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {explain(error)}") from error
    require_demo(out)
    started_s = time.monotonic()
    console = Console(stderr=True)
    job = _Job(out, time.strftime("%Y%m%d_%H%M%S"), console)
    try:
        if frames is None:
            figures = _whole_job(job, seed, trials)
        else:
            figures = _given_frames(job, frames, marker_grid, trials)
    except _StoppedError as stopped:
        console.print(f"[red]{stopped}[/]; logs are in {out / 'logs'}")
        return 130 if "interrupted" in str(stopped) or "cancelled" in str(stopped) else 1
    figures |= {
        "images": sum(result["samples"] for result in job.results),
        "images_lost": sum(result["images_lost"] for result in job.results),
        "report": str(out / "report.html"),
        "demo_seconds": round(time.monotonic() - started_s, 1),
    }
    if as_json:
        print(json.dumps(figures))
    else:
        print(f"report: {figures['report']} ({figures['demo_seconds']} s)")
    return 0


class _StoppedError(Exception):
    """A run that did not end well."""


@dataclass(frozen=True)
class _Job:
    out: Path
    stamp: str
    console: Console
    results: list[dict[str, Any]] = field(default_factory=list)

    def record(self, run: GraphRun) -> RecordedRun:
        """Run the graph for one goal and read its recording."""
        result = run_graph(run, self.out / "logs", self.console)
        if not result["success"]:
            raise _StoppedError(result["message"])
        self.console.print(result["message"], highlight=False)
        self.results.append(result)
        return open_run(self.out / run.name)

    def acquisition(self, **further: object) -> list[str]:
        """ROS arguments of the acquisition node."""
        return parameters(data_folder=self.out.resolve(), **further)

    def say(self, line: str) -> None:
        """What begins now."""
        self.console.print(f"[bold]{line}[/]")


def _check_frames(frames: Path, grid: MarkerGrid) -> None:
    """Refuse frames that the demo could not track, before anything is started."""
    source = open_frames(str(frames), loop=False)
    first = source.read()
    source.close()
    if first is None:
        raise InputError(f"{frames} holds no frame that can be read")
    detect_markers(first, grid)


def _given_frames(job: _Job, frames: Path, grid: MarkerGrid, trials: int) -> dict[str, Any]:
    """The acquisition job alone, on frames that somebody brought."""
    job.say(f"recording {frames} with a virtual arm")
    nodes = {
        "virtual_panda": [],
        "gelsight_driver": parameters(source=frames.resolve()),
        "marker_tracker": parameters(grid=f"{grid.rows}x{grid.columns}"),
        "acquisition": job.acquisition(),
    }
    run = job.record(GraphRun(f"run_{job.stamp}", "demo.yaml", "", nodes, trials))
    figures = write_report(run, grid, job.out / "report.html")
    return {**figures, "recording": str(run.folder)}


def _whole_job(job: _Job, seed: int, trials: int) -> dict[str, Any]:
    from tacdiff_ros.cli.demo_stages import calibration_chapter, inversion_chapter, live_chapter
    from tacdiff_ros.replay.recorded_truth import read_comparisons
    from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

    truth = virtual_sensor_model(seed)
    grid = truth.markers.grid if truth.markers is not None else MarkerGrid(7, 9)
    job.say("1. two presses of a ball, by a virtual arm on a virtual sensor")
    ball = job.record(_ball_run(job, seed))
    job.say("2. calibrating the sensor from three of its images: untouched, and the presses")
    calibrated = _calibrate(job, ball)
    job.say("3. a cross, with the calibrated twin beside it, live")
    cross = job.record(_cross_run(job, seed, trials))
    live = read_comparisons(cross.bag)
    acquired = write_report(cross, grid, job.out / "acquisition.html")
    job.say("4. the recording as a benchmark")
    replayed = _replay(job, cross, calibrated)
    job.say("5. two of its images back into the deformed gel")
    inverted = _invert(job, cross, calibrated, truth)
    chapters = [
        _acquisition_chapter(ball, cross, acquired),
        calibration_chapter(calibrated, truth),
        live_chapter(cross, live, SIMULATOR),
        _replay_chapter(replayed),
        inversion_chapter(inverted),
    ]
    write_story(job.out / "report.html", "A tactile sensor and its twin", EXPLANATION, chapters)
    return _figures(cross, live, replayed, inverted, calibrated, acquired)


def _ball_run(job: _Job, seed: int) -> GraphRun:
    nodes = {
        "virtual_panda": parameters(start_gap_mm=START_GAP_MM),
        "virtual_gelsight": _virtual_sensor(seed, BALL),
        "acquisition": job.acquisition(),
    }
    return GraphRun(f"ball_{job.stamp}", "demo_ball.yaml", BALL, nodes, 0, ["image_raw"])


def _cross_run(job: _Job, seed: int, trials: int) -> GraphRun:
    sensor, reference = job.out.resolve() / "sensor.yaml", job.out.resolve() / "untouched.png"
    nodes = {
        "virtual_panda": parameters(start_gap_mm=START_GAP_MM),
        "virtual_gelsight": _virtual_sensor(seed, CROSS),
        "tactile_simulator": parameters(
            sensor_file=sensor,
            indenter=f"'{CROSS}'",
            simulator=SIMULATOR,
            threads=1,
            half_precision=True,
        ),
        "comparator": parameters(
            sensor_file=sensor, reference_image=reference, simulator=SIMULATOR, patience_s=5.0
        ),
        "acquisition": job.acquisition(also_record=f"[{','.join(LIVE_TOPICS)}]"),
    }
    name = f"cross_{job.stamp}"
    return GraphRun(name, "demo.yaml", CROSS, nodes, trials, ["image_raw", *LIVE_TOPICS])


def _virtual_sensor(seed: int, indenter: str) -> list[str]:
    return parameters(seed=seed, indenter=f"'{indenter}'", threads=1)


def _calibrate(job: _Job, ball: RecordedRun) -> Any:
    from tacdiff_ros.cli.demo_stages import calibrate_from
    from tacdiff_ros.replay.recorded_presses import recorded_presses
    from tacdiff_ros.reports.calibration_report import write_calibration_report
    from tacdiff_ros.sensor.sensor_file import default_sensor

    with job.console.status("calibrating"):
        done = calibrate_from(recorded_presses(ball))
        images = [press.image for press in done.presses]
        page = job.out / "calibration.html"
        write_calibration_report(done.found, default_sensor(), done.reference, images, page)
    write_sensor(done.found.model, job.out / "sensor.yaml")
    write_file(job.out / "untouched.png", png_bytes(done.reference))
    return done


def _replay(job: _Job, cross: RecordedRun, calibrated: Any) -> Any:
    from tacdiff_ros.cli.benchmark import replay_to
    from tacdiff_ros.mechanics.material import GelMaterial
    from tacdiff_ros.replay.replay import PoseOffset
    from tacdiff_ros.replay.replay_frames import open_recording

    return replay_to(
        job.out / "benchmark",
        open_recording(cross.folder, from_rig=True),
        calibrated.found.model,
        "",
        None,
        PoseOffset(),
        GelMaterial(),
        job.console,
        calibrated.reference,
        every=REPLAYED_EVERY,
    )


def _invert(job: _Job, cross: RecordedRun, calibrated: Any, truth: Any) -> Any:
    from tacdiff_ros.cli.demo_stages import invert_stills

    with job.console.status("inverting"):
        return invert_stills(cross, calibrated, truth)


def _acquisition_chapter(
    ball: RecordedRun, cross: RecordedRun, acquired: dict[str, Any]
) -> Chapter:
    return Chapter(
        "Acquired",
        "A virtual Panda (1 kHz, impedance controlled, the topics of franka_ros2) presses a "
        "virtual GelSight Mini onto a ball, and then presses, slides and turns it on a cross: the "
        "protocol that a real arm would run, inside its box, below its limits, into rosbag2.",
        {
            "images of the ball, of the cross": f"{ball.sample_count}, {cross.sample_count}",
            "robot state and image, farthest apart": f"{acquired['pose_gap_ms_max']} ms",
            "depth against command at rest": f"{acquired['dwell_depth_error_mm_median']} mm",
            "dots found": f"{100 * acquired['dots_found_share']:.1f} %",
        },
        pages=[("the cross: phases, forces, poses, dots", "acquisition.html")],
    )


def _replay_chapter(replayed: Any) -> Chapter:
    every = replayed.metrics["all"]
    return Chapter(
        "Replayed as a benchmark",
        f"The recording is simulated again, one frame in {REPLAYED_EVERY} at its own time; the "
        "numbers are the same on every run and on every machine that has the bag.",
        {
            "frames": every["frames"],
            "PSNR in the contact": _interval(every["contact_psnr_db"], "dB"),
            "gain over nothing happened": _interval(every["contact_gain_db"], "dB"),
            "dots, RMS distance": _interval(every["marker_rms_px"], "px"),
            "speed": f"{replayed.timing['realtime_factor']} times real time",
        },
        pages=[("by phase and depth, the worst frames", "benchmark/report.html")],
    )


def _interval(figure: dict[str, Any] | None, unit: str) -> str:
    if figure is None:
        return "none"
    return f"{figure['median']:.2f} {unit} in the median, {figure['worst']:.2f} at worst"


def _figures(
    cross: RecordedRun,
    live: Any,
    replayed: Any,
    inverted: Any,
    calibrated: Any,
    acquired: dict[str, Any],
) -> dict[str, Any]:
    from tacdiff_ros.cli.demo_stages import live_figures

    every = replayed.metrics["all"]
    figures: dict[str, Any] = {
        "samples": cross.sample_count,
        "dots_found_share": acquired["dots_found_share"],
        "calibration_seconds": round(calibrated.seconds, 1),
        **live_figures(live),
        "contact_psnr_db": (every["contact_psnr_db"] or {}).get("median", math.nan),
        "marker_error_px": (every["marker_rms_px"] or {}).get("median", math.nan),
        "inversion_height_rmse_mm": max(
            (entry.height_rmse_mm for entry in inverted), default=math.nan
        ),
        "recording": str(cross.folder),
    }
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
