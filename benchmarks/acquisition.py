"""Acquisition on real DDS: lost images, pose interpolation, CPU, faults, and marker detection.

    python benchmarks/acquisition.py [--quick] [--json] [--runs N] [--faults NAME ...] [--data DIR]

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

from acquisition_graph import Graph, Observed, wait
from camera_faults import count_named
from marker_sets import measure_marker_sets
from preflight_cases import measure_checks
from tables import dump, print_rows
from tacdiff_ros.action import Acquire
from tacdiff_ros.msg import AcquisitionState

from tacdiff_ros.cli.processes import isolated_environment
from tacdiff_ros.recording.bag_reading import messages, open_run
from tacdiff_ros.recording.run_recorder import FREE_SPACE_BYTES

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FORCE_LIMIT_N = 6.0
HOLD_S = 0.15  # a target has stopped if it is constant for this time
STILL_MM = 1e-4
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
SEED_LEFT, SEED_RIGHT = 39, 10  # start poses at x = -9.5 mm and 9.8 mm, for a long travel
STREAM_PROTOCOL = {**FAULT_PROTOCOL, "speed_mm_s": 5.0, "trials": 100}
TOLERATED = ""  # the run continues to its end
OWN_MOTION = {"tracking_error", "speed_limit", "rotation_speed_limit", "outside_workspace"}
FROM_START = None  # the fault exists before the goal
# Faults with the phase of injection and the accepted causes; some have two true causes.
IN_CONTACT, IN_TRAVEL = AcquisitionState.PHASE_TRANSLATE, AcquisitionState.PHASE_MOVE_TO_START
FAULTS: dict[str, tuple[int | None, set[str]]] = {
    "force_spike": (IN_CONTACT, {"force_limit"}),
    "stale_state": (IN_CONTACT, {"stale_state"}),
    "stale_images": (IN_CONTACT, {"stale_images"}),
    "cancel": (IN_CONTACT, {"cancelled"}),
    "torque_spike": (IN_CONTACT, {"torque_limit"}),
    "reflex": (IN_CONTACT, {"reflex"}),
    "user_stopped": (IN_CONTACT, {"robot_mode"}),
    "guiding": (IN_CONTACT, {"robot_mode"}),
    "robot_error": (IN_CONTACT, {"robot_error"}),
    "not_finite": (IN_CONTACT, {"not_finite"}),
    "clock_jump": (IN_CONTACT, {"clock_jump"}),
    "pose_jump": (IN_CONTACT, {"speed_limit", "outside_workspace"}),
    "rotation_jump": (IN_CONTACT, {"rotation_speed_limit"}),
    "drift": (IN_TRAVEL, {"tracking_error", "outside_workspace"}),
    "frozen_arm": (IN_TRAVEL, {"tracking_error"}),
    "rising_indenter": (
        IN_CONTACT,
        {"force_limit", "tracking_error", "target_outside_workspace"},
    ),
    "image_format": (IN_CONTACT, {"image_changed_format"}),
    "image_clock": (IN_CONTACT, {"clock_jump"}),
    "sigint": (IN_CONTACT, {"terminated"}),
    "sigterm": (IN_CONTACT, {"terminated"}),
    "silent_reflex": (IN_CONTACT, {"reflex"}),
    "released_user_stop": (IN_CONTACT, {"robot_mode"}),
    "second_publisher": (IN_CONTACT, {"second_publisher"}),
    "other_end_effector": (FROM_START, {"uncommanded_motion"}),
    "stale_target": (IN_TRAVEL, OWN_MOTION),
    "coalesced_states": (IN_CONTACT, {TOLERATED}),
    "other_frame_id": (IN_CONTACT, {"base_frame"}),
}
# Faults that build up and last for 3 s: their stop time counts from the first violation of a limit.
LASTING_FAULTS = ("drift", "frozen_arm", "rising_indenter", "stale_target")
TRACKING_LIMIT_MM = 4.0
QUICK_FAULTS = ("force_spike", "stale_state", "stale_images")


def measure_stream(graph: Graph, folder: Path, seconds: float) -> dict[str, Any]:
    """Record for some seconds and count the probe's image numbers in the bag."""
    goal = Acquire.Goal(protocol="stream.yaml", output="stream")
    handle = graph.probe.start(goal)
    graph.probe.wait_for(lambda state: state.sample > 0)
    begin_s, begin_cpu_s = time.monotonic(), graph.cpu_s()
    time.sleep(seconds)
    cpu_cores = (graph.cpu_s() - begin_cpu_s) / (time.monotonic() - begin_s)
    wait(handle.cancel_goal_async())
    result = wait(handle.get_result_async()).result
    run = open_run(folder / "stream")
    numbers = [
        int(image.header.frame_id) for _, image in messages(run.bag, "sensor_msgs/msg/Image")
    ]
    return {
        "seconds": round(float(np.ptp(run.columns["stamp_ns"])) * 1e-9, 1),
        "images_sent": numbers[-1] - numbers[0] + 1,
        "images_recorded": len(numbers),
        "samples": result.samples,
        "images_lost": numbers[-1] - numbers[0] + 1 - len(set(numbers)),
        "pose_gap_ms_max": round(float(run.columns["pose_gap_ms"].max()), 3),
        "cpu_cores": round(cpu_cores, 3),
    }


def measure_fault(graph: Graph, name: str, run: int) -> dict[str, Any]:
    """Inject one fault in a running trial; return stop time, cause and force overshoot."""
    phase, expected = FAULTS[name]
    probe = graph.probe
    goal = Acquire.Goal(protocol="fault.yaml", output=f"fault_{name}_{run}", seed=-1)
    if phase == IN_TRAVEL:
        goal.protocol = "travel.yaml"
        goal.seed = SEED_LEFT if name == "drift" else SEED_RIGHT
    if phase is FROM_START:
        probe.inject(name, 0.0)
    injected_s = time.monotonic()
    handle = probe.start(goal)
    reached = True
    if phase is not FROM_START:
        reached = probe.wait_for(lambda state: state.phase == phase and state.motion == "moving")
        time.sleep(0.5 if phase == IN_TRAVEL else 0.0)  # the motion has started
        injected_s = time.monotonic()
        _begin(graph, name, handle)
    result = wait(handle.get_result_async()).result
    _end(graph, name)
    observed = probe.observed
    begin_s = limit_passed(observed, injected_s) if name in LASTING_FAULTS else injected_s
    is_tolerated = TOLERATED in expected
    stop_ms = (
        0.0 if is_tolerated else 1e3 * max(0.0, stop_time(observed.targets, injected_s) - begin_s)
    )
    force_n = max((force_n for _, force_n in observed.forces), default=0.0)
    return {
        "fault": name,
        "cause": result.cause,
        "injected": reached,
        "named": reached and result.cause in expected,
        "stop_ms": round(stop_ms, 1),
        "force_over_limit": round(force_n / FORCE_LIMIT_N, 3),
        "retracted": "left where it stopped" not in result.message,
    }


def limit_passed(observed: Observed, injected_s: float) -> float:
    """Return the first time after the injection when force or tracking error passed its limit."""
    times = [time_s for time_s, force_n in observed.forces if force_n > FORCE_LIMIT_N]
    stamps = np.array([time_s for time_s, _ in observed.targets])
    for time_s, position_mm in observed.poses:
        index = int(np.searchsorted(stamps, time_s)) - 1
        if (
            index >= 0
            and np.linalg.norm(position_mm - observed.targets[index][1]) > TRACKING_LIMIT_MM
        ):
            times.append(time_s)
    return min((time_s for time_s in times if time_s > injected_s), default=injected_s)


def stop_time(targets: list[tuple[float, np.ndarray]], injected_s: float) -> float:
    """Return the time of the last target motion before the target stopped or was not sent."""
    last_moved_s = injected_s
    previous = None
    for time_s, position_mm in targets:
        if previous is not None and np.abs(position_mm - previous).max() > STILL_MM:
            if time_s > injected_s and time_s - last_moved_s > HOLD_S:
                return last_moved_s
            last_moved_s = max(last_moved_s, time_s)
        previous = position_mm
    return last_moved_s


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


def _begin(graph: Graph, name: str, handle: Any) -> None:
    probe = graph.probe
    if name == "stale_images":
        probe.images_on = False
    elif name == "image_format":
        probe.image_size = (160, 120)
    elif name == "image_clock":
        probe.stamp_offset_ns = 10_000_000_000
    elif name == "cancel":
        handle.cancel_goal_async()
    elif name in ("sigint", "sigterm"):
        graph.signal(signal.Signals[name.upper()])
    else:
        probe.inject(name, 3.0 if name in LASTING_FAULTS else 0.5)


def _end(graph: Graph, name: str) -> None:
    probe = graph.probe
    probe.images_on, probe.image_size, probe.stamp_offset_ns = True, (320, 240), 0
    if name in ("sigint", "sigterm"):
        graph.acquisition.wait(10)
        graph.start_acquisition()
    elif name in (*LASTING_FAULTS, "pose_jump"):
        probe.inject("none", 0.0)
        time.sleep(3.0)  # the arm settles
    elif FAULTS[name][0] is FROM_START:
        graph.restart_arm()  # it has moved out of the workspace


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--runs", type=int, default=1, help="runs of each fault")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, help="only these faults")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real frames")
    options = parser.parse_args()
    environment = isolated_environment()
    os.environ.update(environment)
    with tempfile.TemporaryDirectory(prefix="tacdiff_bench_") as name:
        folder = Path(name)
        free = os.statvfs(folder)
        if free.f_bavail * free.f_frsize < 10 * FREE_SPACE_BYTES:
            print(f"error: {folder} has too little space for the recordings", file=sys.stderr)
            return 2
        (folder / "protocols").mkdir()
        protocols = {"fault": FAULT_PROTOCOL, "travel": TRAVEL_PROTOCOL, "stream": STREAM_PROTOCOL}
        for file, protocol in protocols.items():
            (folder / "protocols" / f"{file}.yaml").write_text(yaml.safe_dump(protocol))
        settings = ["-p", f"data_folder:={folder}", "-p", f"protocol_folder:={folder}/protocols"]
        settings += ["-p", "limits.state_age_s:=0.1", "-p", "limits.image_age_s:=0.4"]
        settings += ["-p", "protocol:=fault.yaml", "-p", f"limits.force_n:={FORCE_LIMIT_N}"]
        settings += ["-p", f"limits.tracking_mm:={TRACKING_LIMIT_MM}"]
        with Graph(folder, environment, settings) as graph:
            stream = measure_stream(graph, folder, 12.0 if options.quick else 60.0)
            names = options.faults or (QUICK_FAULTS if options.quick else tuple(FAULTS))
            faults = [
                measure_fault(graph, fault, run) for fault in names for run in range(options.runs)
            ]
            kill = None if options.quick else measure_kill(graph, folder)
    sets = measure_marker_sets(options.data, options.quick) if options.data.is_dir() else []
    cameras_named, cameras_tested = count_named()
    checks = measure_checks()
    figures = {
        **{key: stream[key] for key in ("images_lost", "pose_gap_ms_max", "cpu_cores")},
        "images_recorded": stream["images_recorded"],
        "stream_seconds": stream["seconds"],
        "fault_stop_ms_max": max(row["stop_ms"] for row in faults),
        "faults_tested": len(faults),
        "faults_named": sum(row["named"] for row in faults),
        "camera_faults_named": cameras_named,
        "camera_faults_tested": cameras_tested,
        "preflight_checks": sum(row["named"] for row in checks) / len(checks),
        "force_over_limit_max": max(row["force_over_limit"] for row in faults),
        "fault_force_over_limit_max": max(row["force_over_limit"] for row in faults),
        "killed_bag_seconds_lost": kill["seconds_lost"] if kill else None,
        "marker_ms": max((row["ms_per_frame"] for row in sets), default=None),
        "marker_found_fraction_min": min((row["found_fraction"] for row in sets), default=None),
    }
    if options.json:
        dump(figures)
        return 0
    print_rows("stream", [stream])
    print_rows("faults", faults)
    print_rows("preflight checks", checks)
    if kill:
        print_rows("killed while recording", [kill])
    print_rows("markers", sets) if sets else print(f"\nmarkers: no real frames at {options.data}")
    print_rows("figures", [{"figure": key, "value": value} for key, value in figures.items()])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
