"""`tacdiff demo`: the complete workflow on virtual hardware over real DDS, with a report."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tacdiff_ros.cli.first_run import first_run
from tacdiff_ros.cli.virtual_graph import GraphRun, parameters, require_ros, run_graph
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import default_crop
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
START_GAP_MM = 12.0  # initial gap between virtual sensor and indenter
REPLAYED_EVERY = 3  # frames: a third of the duration with the same medians
EXPLANATION = (
    "No hardware: arm and sensor are virtual. The nodes, DDS, the recordings and all later stages "
    "are those that run on a robot."
)
FIRST_SENSOR = "docs/first_sensor.md"
FRAMES_NOTE = (
    "The frames are your own, the arm is virtual: forces and depths on this page are those of the "
    "virtual contact, not of what touched the sensor in the frames."
)
LIVE_TOPICS = ("simulated/image_raw", "comparison", "ground_truth/gel_points")


def demo(
    out: Annotated[Path, typer.Option(help="folder for recordings, logs and report")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="seed of the virtual sensor")] = 0,
    frames: Annotated[
        Path | None,
        typer.Option(help="video or image folder: only record and track its frames"),
    ] = None,
    grid: Annotated[
        str, typer.Option(help="rows x columns of the markers in these frames")
    ] = "7x9",
    trials: Annotated[
        int, typer.Option(min=1, max=100, help="trials with the cross, or with these frames")
    ] = 1,
    grasp: Annotated[
        bool, typer.Option("--grasp", help="grasp an object instead and estimate its pose")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> int:
    """Acquire, calibrate, simulate live, compare, replay, invert; write report.html."""
    if grasp and frames is not None:
        raise InputError("--grasp and --frames: give one of them")
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
    if grasp:
        return _run_grasp(out, seed, console, as_json)
    session = _Session(out, time.strftime("%Y%m%d_%H%M%S"), console)
    try:
        if frames is None:
            figures = _run_all_stages(session, seed, trials)
        else:
            figures = _run_with_frames(session, frames, marker_grid, trials)
    except _RunFailedError as error:
        console.print(f"[red]{error}[/]; logs are in {out / 'logs'}")
        return 130 if "interrupted" in str(error) or "cancelled" in str(error) else 1
    figures |= {
        "images": sum(result["samples"] for result in session.results),
        "images_lost": sum(result["images_lost"] for result in session.results),
        "report": str(out / "report.html"),
        "demo_seconds": round(time.monotonic() - started_s, 1),
    }
    if as_json:
        print(json.dumps(figures))
    else:
        if verdict := figures.get("verdict"):
            print(f"{verdict['level']}: {'; '.join(verdict['reasons'])}")
            print(f"next: the same with your own sensor: {FIRST_SENSOR}")
        print(f"report: {figures['report']} ({figures['demo_seconds']} s)")
    return 0


def _run_grasp(out: Path, seed: int, console: Console, as_json: bool) -> int:
    """Run the demonstration of object poses."""
    from tacdiff_ros.cli.grasp_demo import grasp_demo, write_summary

    started_s = time.monotonic()
    figures = grasp_demo(out, seed, console)
    figures["demo_seconds"] = round(time.monotonic() - started_s, 1)
    if as_json:
        print(json.dumps(figures))
    elif "position_error_mm" in figures:
        write_summary(figures, out)
    else:
        console.print(f"[red]{figures['message']}[/]; logs are in {out / 'logs'}")
    if figures["success"]:
        return 0
    return 130 if "interrupted" in figures["message"] else 1


class _RunFailedError(Exception):
    """Error raised when a run of the acquisition graph fails."""


@dataclass(frozen=True)
class _Session:
    """Output folder and recordings of one demonstration.

    Attributes:
        out: output folder.
        stamp: date and time, part of the names of the recordings.
        console: console for messages.
        results: result of each acquisition goal.
    """

    out: Path
    stamp: str
    console: Console
    results: list[dict[str, Any]] = field(default_factory=list)

    def record(self, run: GraphRun) -> RecordedRun:
        """Run the graph for one goal and return its recording."""
        result = run_graph(run, self.out / "logs", self.console)
        if not result["success"]:
            raise _RunFailedError(result["message"])
        self.console.print(result["message"], highlight=False)
        self.results.append(result)
        return open_run(self.out / run.name)

    def acquisition(self, **further: object) -> list[str]:
        """Return the ROS arguments of the acquisition node."""
        return parameters(data_folder=self.out.resolve(), **further)

    def announce(self, line: str) -> None:
        """Print the stage that starts now."""
        self.console.print(f"[bold]{line}[/]")


def _check_frames(frames: Path, grid: MarkerGrid) -> None:
    """Check that the markers in the frames can be tracked, before any node is started.

    Whole frames of a camera are cropped first, as the driver does.
    """
    source = open_frames(str(frames), loop=False)
    first = source.read()
    source.close()
    if first is None:
        raise InputError(f"{frames} has no readable frame")
    detect_markers(default_crop().reduce(first, "a frame"), grid)


def _run_with_frames(
    session: _Session, frames: Path, grid: MarkerGrid, trials: int
) -> dict[str, Any]:
    """Run only the acquisition, on given frames, and return the figures of its report."""
    session.announce(f"recording {frames} with a virtual arm")
    nodes = {
        "virtual_panda": [],
        "gelsight_driver": parameters(source=frames.resolve()),
        "marker_tracker": parameters(grid=f"{grid.rows}x{grid.columns}"),
        "acquisition": session.acquisition(),
    }
    run = session.record(GraphRun(f"run_{session.stamp}", "demo.yaml", "", nodes, trials))
    figures = write_report(run, grid, session.out / "report.html", FRAMES_NOTE)
    return {**figures, "recording": str(run.folder)}


def _run_all_stages(session: _Session, seed: int, trials: int) -> dict[str, Any]:
    """Acquire, calibrate, simulate live, replay and invert; return the figures of the report."""
    from tacdiff_ros.cli.benchmark import verdict_on
    from tacdiff_ros.cli.demo_stages import calibration_chapter, inversion_chapter, live_chapter
    from tacdiff_ros.replay.recorded_truth import read_comparisons
    from tacdiff_ros.virtual.virtual_sensor import virtual_sensor_model

    truth = virtual_sensor_model(seed)
    grid = truth.markers.grid if truth.markers is not None else MarkerGrid(7, 9)
    session.announce("1. two presses of a ball with a virtual arm and a virtual sensor")
    ball = session.record(_ball_run(session, seed))
    session.announce("2. calibrating the sensor from three images: reference and two presses")
    calibrated = _calibrate(session, ball)
    session.announce("3. pressing a cross while the calibrated twin simulates it live")
    cross = session.record(_cross_run(session, seed, trials))
    live = read_comparisons(cross.bag)
    acquired = write_report(cross, grid, session.out / "acquisition.html")
    session.announce("4. replaying the recording as a benchmark")
    replayed = _replay(session, cross, calibrated)
    session.announce("5. inverting two of its images to the deformed gel surface")
    inverted = _invert(session, cross, calibrated, truth)
    chapters = [
        _acquisition_chapter(ball, cross, acquired),
        calibration_chapter(calibrated, truth),
        live_chapter(cross, live, SIMULATOR),
        _replay_chapter(replayed),
        inversion_chapter(inverted),
    ]
    page, title = session.out / "report.html", "A tactile sensor and its twin"
    verdict = verdict_on(replayed.metrics["all"])
    write_story(page, title, EXPLANATION, chapters, verdict, calibrated.result.model)
    figures = _figures(cross, live, replayed, inverted, calibrated, acquired)
    return {**figures, "verdict": verdict.as_json()}


def _ball_run(session: _Session, seed: int) -> GraphRun:
    nodes = {
        "virtual_panda": parameters(start_gap_mm=START_GAP_MM),
        "virtual_gelsight": _virtual_sensor(seed, BALL),
        "acquisition": session.acquisition(),
    }
    return GraphRun(f"ball_{session.stamp}", "demo_ball.yaml", BALL, nodes, 0, ["image_raw"])


def _cross_run(session: _Session, seed: int, trials: int) -> GraphRun:
    sensor, reference = (
        session.out.resolve() / "sensor.yaml",
        session.out.resolve() / "untouched.png",
    )
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
        "acquisition": session.acquisition(also_record=f"[{','.join(LIVE_TOPICS)}]"),
    }
    name = f"cross_{session.stamp}"
    return GraphRun(name, "demo.yaml", CROSS, nodes, trials, ["image_raw", *LIVE_TOPICS])


def _virtual_sensor(seed: int, indenter: str) -> list[str]:
    return parameters(seed=seed, indenter=f"'{indenter}'", threads=1)


def _calibrate(session: _Session, ball: RecordedRun) -> Any:
    from tacdiff_ros.cli.demo_stages import calibrate_from
    from tacdiff_ros.replay.recorded_presses import recorded_presses
    from tacdiff_ros.reports.calibration_report import write_calibration_report
    from tacdiff_ros.sensor.sensor_file import default_sensor

    with session.console.status("calibrating"):
        calibrated = calibrate_from(recorded_presses(ball))
        images = [press.image for press in calibrated.presses]
        report = session.out / "calibration.html"
        write_calibration_report(
            calibrated.result, default_sensor(), calibrated.reference, images, report
        )
    write_sensor(calibrated.result.model, session.out / "sensor.yaml")
    write_file(session.out / "untouched.png", png_bytes(calibrated.reference))
    return calibrated


def _replay(session: _Session, cross: RecordedRun, calibrated: Any) -> Any:
    from tacdiff_ros.cli.benchmark import replay_to
    from tacdiff_ros.mechanics.material import GelMaterial
    from tacdiff_ros.replay.replay import PoseOffset
    from tacdiff_ros.replay.replay_frames import open_recording

    return replay_to(
        session.out / "benchmark",
        recording=open_recording(cross.folder, from_rig=True),
        sensor=calibrated.result.model,
        indenter="",
        network=None,
        offset=PoseOffset(),
        material=GelMaterial(),
        reference=calibrated.reference,
        every=REPLAYED_EVERY,
    )


def _invert(session: _Session, cross: RecordedRun, calibrated: Any, truth: Any) -> Any:
    from tacdiff_ros.cli.demo_stages import invert_stills

    with first_run("inversion", session.console), session.console.status("inverting"):
        return invert_stills(cross, calibrated, truth)


def _acquisition_chapter(
    ball: RecordedRun, cross: RecordedRun, acquired: dict[str, Any]
) -> Chapter:
    return Chapter(
        "Acquired",
        "A virtual Panda (1 kHz, impedance control, topics of franka_ros2) presses a virtual "
        "GelSight Mini onto a ball, and then presses, slides and rotates it on a cross. The "
        "protocol is the same as on a real arm, within its workspace and limits, recorded as "
        "rosbag2.",
        {
            "images with robot state, ball, cross": f"{ball.sample_count}, {cross.sample_count}",
            "largest time difference of robot state and image": f"{acquired['pose_gap_ms_max']} ms",
            "depth error at rest, median": f"{acquired['dwell_depth_error_mm_median']} mm",
            "markers found": f"{100 * acquired['dots_found_share']:.1f} %",
        },
        pages=[("the cross: phases, forces, poses, markers", "acquisition.html")],
    )


def _replay_chapter(replayed: Any) -> Chapter:
    scores = replayed.metrics["all"]
    return Chapter(
        "Replayed as a benchmark",
        f"One frame in {REPLAYED_EVERY} of the recording is simulated again at its time stamp; the "
        "numbers are the same in every run and on every machine. Depths are computed from the rig "
        f"geometry: tacdiff benchmark RECORDING --from-rig --every {REPLAYED_EVERY}.",
        {
            "frames": scores["frames"],
            "PSNR in the contact": _interval(scores["contact_psnr_db"], "dB"),
            "gain over the reference image": _interval(scores["contact_gain_db"], "dB"),
            "markers, RMS distance": _interval(scores["marker_rms_px"], "px"),
            "speed": f"{replayed.timing['realtime_factor']} times real time",
        },
        pages=[("scores by phase and depth, and the worst frames", "benchmark/report.html")],
    )


def _interval(figure: dict[str, Any] | None, symbol: str) -> str:
    if figure is None:
        return "none"
    return f"{figure['median']:.2f} {symbol} median, {figure['worst']:.2f} worst"


def _figures(
    cross: RecordedRun,
    live: Any,
    replayed: Any,
    inverted: Any,
    calibrated: Any,
    acquired: dict[str, Any],
) -> dict[str, Any]:
    from tacdiff_ros.cli.demo_stages import live_figures

    scores = replayed.metrics["all"]
    figures: dict[str, Any] = {
        "samples": cross.sample_count,
        "dots_found_share": acquired["dots_found_share"],
        "calibration_seconds": round(calibrated.seconds, 1),
        **live_figures(live),
        "contact_psnr_db": (scores["contact_psnr_db"] or {}).get("median", math.nan),
        "marker_error_px": (scores["marker_rms_px"] or {}).get("median", math.nan),
        "inversion_height_rmse_mm": max(
            (entry.height_rmse_mm for entry in inverted), default=math.nan
        ),
        "recording": str(cross.folder),
    }
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in figures.items()
    }
