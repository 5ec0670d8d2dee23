"""Acquisition on real DDS: lost images, pose interpolation, CPU, faults, and marker detection.

    python benchmarks/acquisition.py [--quick] [--json] [--runs N] [--faults NAME ...] [--data DIR]
    python benchmarks/acquisition.py --faults          # a minute of 25 Hz images and 1 kHz states

Needs the environment of `make setup`. Marker detection needs the real frames in `--data`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from acquisition_faults import (
    FAULTS,
    FORCE_LIMIT_N,
    QUICK_FAULTS,
    TRACKING_LIMIT_MM,
    measure_fault,
)
from acquisition_graph import Graph
from camera_faults import count_named
from marker_sets import measure_marker_sets
from preflight_cases import measure_checks
from tables import dump, print_rows
from tacdiff_ros.action import Acquire

from tacdiff_ros.cli.processes import isolated_environment
from tacdiff_ros.recording.bag_reading import messages, open_run
from tacdiff_ros.recording.run_recorder import FREE_SPACE_BYTES

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FAULT_PROTOCOL = {
    "version": 1,
    "trials": 1,
    "start": {"offset_x_mm": 0.0, "offset_y_mm": 0.0, "yaw_deg": 0.0, "standoff_mm": 3.0},
    "approach": {"speed_mm_s": 4.0},
    "translation_mm": 1.5,
    "speed_mm_s": 2.0,
    "travel_speed_mm_s": 15.0,
    "settle_s": 0.0,
    "dwell_s": 0.05,
}
TRAVEL_PROTOCOL = {**FAULT_PROTOCOL, "start": {"offset_x_mm": 10.0, "standoff_mm": 3.0}}
STREAM_PROTOCOL = {**FAULT_PROTOCOL, "speed_mm_s": 5.0, "trials": 100}
STREAM_FIGURES = (
    "images_lost",
    "images_recorded",
    "pose_gap_ms_max",
    "target_gap_ms_max",
    "cpu_cores",
)
Rows = dict[str, list[dict[str, Any]]]


def measure_stream(graph: Graph, folder: Path, seconds: float) -> dict[str, Any]:
    """Record for some seconds and count the probe's image numbers in the bag."""
    goal = Acquire.Goal(protocol="stream.yaml", output="stream")
    handle = graph.probe.start(goal)
    graph.probe.wait_for(lambda state: state.sample > 0)
    begin_s, begin_cpu_s = time.monotonic(), graph.cpu_s()
    time.sleep(seconds)
    cpu_cores = (graph.cpu_s() - begin_cpu_s) / (time.monotonic() - begin_s)
    graph.probe.request(handle.cancel_goal_async)
    result = graph.probe.request(handle.get_result_async).result
    run = open_run(folder / "stream")
    numbers = [
        int(image.header.frame_id) for _, image in messages(run.bag, "sensor_msgs/msg/Image")
    ]
    states_ns = _stamps_ns(run.bag, "franka_msgs/msg/FrankaRobotState")
    targets_ns = _stamps_ns(run.bag, "geometry_msgs/msg/PoseStamped")
    return {
        "seconds": round(float(np.ptp(run.columns["stamp_ns"])) * 1e-9, 1),
        "ended_by": result.cause,  # "cancelled" unless the run ended itself
        "images_sent": numbers[-1] - numbers[0] + 1,
        "images_recorded": len(numbers),
        "samples": result.samples,
        "images_lost": numbers[-1] - numbers[0] + 1 - len(set(numbers)),
        "states_hz": round(1e9 * (len(states_ns) - 1) / float(np.ptp(states_ns)), 1),
        "state_gap_ms_max": round(1e-6 * float(np.diff(states_ns).max()), 1),
        "target_gap_ms_max": round(1e-6 * float(np.diff(targets_ns).max()), 1),
        "pose_gap_ms_max": round(float(run.columns["pose_gap_ms"].max()), 3),
        "cpu_cores": round(cpu_cores, 3),
    }


def _stamps_ns(bag: Path, type_name: str) -> np.ndarray:
    return np.array([stamp_ns for stamp_ns, _ in messages(bag, type_name)], np.int64)


def measure_kill(graph: Graph, folder: Path) -> dict[str, Any]:
    """Kill the recording process; return how much of the recording is readable."""
    graph.probe.start(Acquire.Goal(protocol="stream.yaml", output="killed"))
    graph.probe.wait_for(lambda state: state.sample > 60)
    killed_ns = time.time_ns()
    graph.signal(signal.SIGKILL)
    graph.acquisition.wait()
    run = open_run(folder / "killed")
    stamps = [stamp_ns for stamp_ns, _ in messages(run.bag, "sensor_msgs/msg/Image")]
    graph.start_acquisition()
    return {
        "images_readable": len(stamps),
        "seconds_lost": round((killed_ns - stamps[-1]) * 1e-9, 3),
        "repaired": run.repaired,
    }


def write_protocols(folder: Path) -> list[str]:
    """Write the protocols of this benchmark; return the ROS arguments of the acquisition."""
    (folder / "protocols").mkdir()
    protocols = {"fault": FAULT_PROTOCOL, "travel": TRAVEL_PROTOCOL, "stream": STREAM_PROTOCOL}
    for file, protocol in protocols.items():
        (folder / "protocols" / f"{file}.yaml").write_text(yaml.safe_dump(protocol))
    parameters = {
        "data_folder": folder,
        "protocol_folder": folder / "protocols",
        "protocol": "fault.yaml",
        "limits.state_age_s": 0.1,
        "limits.image_age_s": 0.4,
        "limits.force_n": FORCE_LIMIT_N,
        "limits.tracking_mm": TRACKING_LIMIT_MM,
    }
    return [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]


def measure_graph(options: argparse.Namespace, folder: Path, environment: dict[str, str]) -> Rows:
    """Measure the stream, the faults and a killed recording on one graph."""
    names = options.faults
    if names is None:
        names = QUICK_FAULTS if options.quick else tuple(FAULTS)
    with Graph(folder, environment, write_protocols(folder)) as graph:
        rows: Rows = {"stream": [measure_stream(graph, folder, 12.0 if options.quick else 60.0)]}
        for name in names:
            for run in range(options.runs):
                row = measure_fault(graph, name, run)
                print(*(f"{key}={value}" for key, value in row.items()), file=sys.stderr)
                rows.setdefault("faults", []).append(row)
        if not options.quick and options.faults is None:
            rows["killed while recording"] = [measure_kill(graph, folder)]
    return rows


def measure_rest(options: argparse.Namespace) -> tuple[Rows, dict[str, Any]]:
    """Measure what needs no graph: camera faults, checks of the rig, markers in real frames."""
    sets = measure_marker_sets(options.data, options.quick) if options.data.is_dir() else []
    cameras_named, cameras_tested = count_named()
    checks = measure_checks()
    figures = {
        "camera_faults_named": cameras_named,
        "camera_faults_tested": cameras_tested,
        "preflight_checks": sum(row["named"] for row in checks) / len(checks),
        "marker_ms": max((row["ms_per_frame"] for row in sets), default=None),
        "marker_found_fraction_min": min((row["found_fraction"] for row in sets), default=None),
    }
    rows = {"preflight checks": checks}
    if sets:
        rows["markers"] = sets
    else:
        print(f"markers: no real frames at {options.data}", file=sys.stderr)
    return rows, figures


def graph_figures(rows: Rows) -> dict[str, Any]:
    """Return the figures of `measure_graph`."""
    stream, faults = rows["stream"][0], rows.get("faults", [])
    kill = rows.get("killed while recording", [None])[0]
    force_over_limit = max((row["force_over_limit"] for row in faults), default=None)
    return {
        **{key: stream[key] for key in STREAM_FIGURES},
        "stream_seconds": stream["seconds"],
        "fault_stop_ms_max": max((row["stop_ms"] for row in faults), default=None),
        "faults_tested": len(faults),
        "faults_named": sum(row["named"] for row in faults),
        "force_over_limit_max": force_over_limit,
        "fault_force_over_limit_max": force_over_limit,
        "killed_bag_seconds_lost": kill["seconds_lost"] if kill else None,
    }


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--runs", type=int, default=1, help="runs of each fault")
    parser.add_argument(
        "--faults", nargs="*", metavar="NAME", help="only the stream and these faults, if any"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real frames")
    options = parser.parse_args()
    if unknown := sorted(set(options.faults or ()) - set(FAULTS)):
        parser.error(f"unknown fault {unknown[0]}, expected some of {', '.join(FAULTS)}")
    environment = isolated_environment()
    os.environ.update(environment)
    with tempfile.TemporaryDirectory(prefix="tacdiff_bench_") as name:
        folder = Path(name)
        free = os.statvfs(folder)
        if free.f_bavail * free.f_frsize < 10 * FREE_SPACE_BYTES:
            print(f"error: {folder} has too little space for the recordings", file=sys.stderr)
            return 2
        rows = measure_graph(options, folder, environment)
    figures = graph_figures(rows)
    if options.faults is None:
        more_rows, more_figures = measure_rest(options)
        rows, figures = rows | more_rows, figures | more_figures
    if options.json:
        dump(figures)
        return 0
    for title, lines in rows.items():
        print_rows(title, lines)
    print_rows("figures", [{"figure": key, "value": value} for key, value in figures.items()])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
