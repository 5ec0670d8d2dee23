"""`tacdiff demo`: the acquisition job without hardware, as separate processes on DDS."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tacdiff_ros.acquisition.bag_reading import open_run
from tacdiff_ros.acquisition.frame_sources import open_frames
from tacdiff_ros.calibration.markers import detect_markers
from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.acquisition_report import write_report
from tacdiff_ros.sensor.marker_grid import MarkerGrid

DEMO_INDENTER = "cross:size=4.4"  # what the generated frames show


def demo(
    out: Annotated[Path, typer.Option(help="folder for recording, logs and report")] = Path("demo"),
    frames: Annotated[
        Path | None, typer.Option(help="video or image folder instead of generated frames")
    ] = None,
    grid: Annotated[str, typer.Option(help="rows x columns of dots in the frames")] = "7x9",
    trials: Annotated[int, typer.Option(min=1, max=100, help="trials to run")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> int:
    """Run driver, virtual Panda and acquisition on DDS, record two trials and write report.html."""
    started_s = time.monotonic()
    marker_grid = MarkerGrid.parse(grid)
    if frames is not None:
        _check_frames(frames, marker_grid)
    _require_ros()
    name = time.strftime("run_%Y%m%d_%H%M%S")
    _make_folder(out)
    console = Console(stderr=True)
    console.print(f"[bold]tacdiff demo[/]: recording to {out / name}")
    result = _acquire(out, name, frames, grid, trials, console)
    if not result["success"]:
        console.print(f"[red]{result['message']}[/]; logs are in {out / 'logs'}")
        return 1
    console.print(result["message"])
    with console.status("reading the bag back and writing the report"):
        figures = write_report(open_run(out / name), marker_grid, out / "report.html")
    figures = {
        **figures,
        "images_lost": result["images_lost"],
        "recording": str(out / name),
        "report": str(out / "report.html"),
        "demo_seconds": round(time.monotonic() - started_s, 1),
    }
    if as_json:
        print(json.dumps(figures))
    else:
        print(f"report: {figures['report']} ({figures['demo_seconds']} s)")
    return 0


def _check_frames(frames: Path, grid: MarkerGrid) -> None:
    """Refuse frames that the demo could not track, before anything is started."""
    source = open_frames(str(frames), loop=False)
    first = source.read()
    source.close()
    if first is None:
        raise InputError(f"{frames} holds no frame that can be read")
    detect_markers(first, grid)


def _require_ros() -> None:
    for module in ("rclpy", "franka_msgs", "tacdiff_ros.msg"):
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"the demo runs on ROS 2 and {module} is not installed: run `make setup` in the "
                "repository, or source a ROS workspace with this package"
            )


def _make_folder(out: Path) -> None:
    try:
        (out / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}") from error


def _acquire(
    out: Path, name: str, frames: Path | None, grid: str, trials: int, console: Console
) -> dict[str, Any]:
    """Run the graph for one goal and return its result."""
    source = "generated" if frames is None else str(frames.resolve())
    parameters = {
        "virtual_panda": [],
        "gelsight_driver": ["-p", f"source:={source}"],
        "marker_tracker": ["-p", f"grid:={grid}"],
        "acquisition": ["-p", f"data_folder:={out.resolve()}"],
    }
    environment = isolated_environment()
    with ExitStack() as stack:
        for node, extra in parameters.items():
            stack.enter_context(
                running_node(node, extra, out / "logs" / f"{node}.log", environment)
            )
        goal = ["--protocol", "demo.yaml", "--output", name, "--trials", str(trials)]
        goal += ["--indenter", DEMO_INDENTER if frames is None else ""]
        return _send_goal(goal, environment, console)


def _send_goal(goal: list[str], environment: dict[str, str], console: Console) -> dict[str, Any]:
    """Send the goal from a process of its own and show its feedback; Ctrl-C cancels it."""
    command = [sys.executable, "-m", "tacdiff_ros.nodes.acquire_client", *goal]
    client = subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert client.stderr is not None and client.stdout is not None  # noqa: S101
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting the nodes", total=1.0)
        last_step = ""
        while True:
            try:
                line = client.stderr.readline()
            except KeyboardInterrupt:
                client.send_signal(signal.SIGINT)
                continue
            if not line:
                break
            feedback = _parse(line)
            if feedback is None:
                console.print(line.rstrip(), markup=False)
                continue
            text = f"trial {feedback['trial']}: {feedback['step']}"
            progress.update(task, completed=feedback["progress"], description=f"{text:30}")
            if not console.is_terminal and text != last_step:
                console.print(text)
            last_step = text
    answer = client.stdout.read().strip()
    client.wait()
    return _parse(answer) or {"success": False, "message": "the acquisition gave no result"}


def _parse(line: str) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except json.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None
