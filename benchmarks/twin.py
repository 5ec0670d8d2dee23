"""Speed and fault recovery of the live twin, accuracy of the demonstration, and replay.

    python benchmarks/twin.py [--quick] [--json] [--only PART] [--seconds S] [--rate HZ]
        [--simulator pix2pix|renderer]

PART is one of live, faults, demo, replay, video, contact_psnr. live plays a recorded touch to the
real nodes `tactile_simulator` (network, or fast renderer) and `comparator` on DDS, images at --rate
and robot states at 1 kHz, for --seconds (600; --quick 20). demo and replay run `tacdiff demo` once,
about three minutes; --quick omits them. video needs the real frames at --data. contact_psnr
replaces the parts of the twin by the truth in turn.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import Part, run_parts

from tacdiff_ros.resources import shipped_model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
VIDEO = "mini_dots_video/baseball_exp_num_1_camera_0.avi"
QUICK_S = 20.0
BROKEN_S, SOUND_S, FAULT_RUN_S = 3.0, 4.0, 25.0
LATE_NS = 60_000_000
WARM_S = 10.0  # start of a run that is excluded from the memory measurement


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--seconds", type=float, default=600.0, help="duration of the live part, s")
    parser.add_argument("--rate", type=float, default=25.0, help="images per second of the stream")
    parser.add_argument("--indenter", default="sphere:diameter=5", help="indenter spec")
    parser.add_argument("--model", type=Path, help="folder of a network; default: the shipped one")
    parser.add_argument(
        "--simulator",
        choices=("pix2pix", "renderer"),
        default="pix2pix",
        help="network, or the fast renderer",
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real frames")
    parser.add_argument(
        "--calibrated",
        type=Path,
        help="contact_psnr: sensor file of a demonstration, instead of another calibration",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of network or renderer")
    parser.add_argument(
        "--local-interreflection",
        action="store_true",
        help="live: parts of the gel light each other",
    )
    options = parser.parse_args()
    names = [options.only] if options.only else (["live"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def measure_live(options: argparse.Namespace) -> Part:
    """Stream images and robot states to the twin; measure rate, latency and memory."""
    from twin_stream import play

    seconds = QUICK_S if options.quick else options.seconds
    streamed = play(
        _model(options),
        options.indenter,
        seconds,
        options.rate,
        options.threads,
        options.local_interreflection,
    )
    latency = 1e3 * np.array(streamed.latencies_s)
    early = [memory for at, memory in streamed.memory_mib if at > WARM_S]
    return [], {
        "live_seconds": round(seconds, 1),
        "images_sent": streamed.sent,
        "live_hz": round(streamed.compared / streamed.seconds, 2),
        "latency_p50_ms": round(float(np.median(latency)), 1),
        "latency_p99_ms": round(float(np.quantile(latency, 0.99)), 1),
        "frames_dropped": streamed.sent - streamed.compared,
        "memory_growth_mib": round(early[-1] - early[0], 1),
        "memory_mib": round(early[-1]),
        "cpu_simulator": round(streamed.cpu["tactile_simulator"], 2),
        "cpu_comparator": round(streamed.cpu["comparator"], 2),
        "live_contact_psnr_db": round(float(np.nanmedian(streamed.contact_psnr_db)), 2),
    }


def _model(options: argparse.Namespace) -> Path | None:
    """Return the folder of the network; None for the renderer."""
    return None if options.simulator == "renderer" else options.model or shipped_model()


def measure_faults(options: argparse.Namespace) -> Part:
    """Inject faults into a running stream; measure whether and when comparisons resume."""
    from twin_stream import NodeProcess, Player, streaming

    def killed(name: str) -> Callable[[dict[str, NodeProcess], Player], None]:
        def fault(nodes: dict[str, NodeProcess], _player: Player) -> None:
            nodes[name].kill()
            time.sleep(BROKEN_S)
            nodes[name].start()

        return fault

    def silent(stream: str) -> Callable[[dict[str, NodeProcess], Player], None]:
        def fault(_nodes: dict[str, NodeProcess], player: Player) -> None:
            player.silent = {stream}
            time.sleep(BROKEN_S)
            player.silent = set()

        return fault

    def late(_nodes: dict[str, NodeProcess], player: Player) -> None:
        player.late_ns = LATE_NS
        time.sleep(BROKEN_S)
        player.late_ns = 0

    faults = {
        "tactile_simulator killed and started": killed("tactile_simulator"),
        "comparator killed and started": killed("comparator"),
        "images silent": silent("images"),
        "robot states silent": silent("states"),
        "every other image's stamp 60 ms late, out of order": late,
    }
    rows = []
    model = _model(options)
    with streaming(model, options.indenter, options.rate, options.threads) as (nodes, player):
        for name, fault in faults.items():
            thread = player.run_beside(FAULT_RUN_S)
            time.sleep(SOUND_S)
            began = time.monotonic()
            fault(nodes, player)
            ended = time.monotonic()
            thread.join()
            came = np.array(player.streamed.times_s)
            after = came[came > ended]
            rows.append(
                {
                    "fault": name,
                    "seconds": round(ended - began, 1),
                    "compared_before": int((came < began).sum()),
                    "compared_meanwhile": int(((came >= began) & (came <= ended)).sum()),
                    "compared_after": len(after),
                    "goes_on_after_s": round(float(after[0] - ended), 2) if len(after) else None,
                }
            )
    lost = [row["fault"] for row in rows if row["goes_on_after_s"] is None]
    return rows, {"faults": len(rows), "faults_not_recovered": len(lost)}


def measure_demo(_options: argparse.Namespace) -> Part:
    """Return the figures of the demonstration, measured against the virtual sensor's truth."""
    demo = demo_figures()
    names = ("demo_seconds", "contact_psnr_db", "marker_error_px", "inversion_height_rmse_mm")
    return [], {name: demo[name] for name in names}


def measure_replay(_options: argparse.Namespace) -> Part:
    """Replay the recording of the demonstration twice."""
    demo = demo_figures()
    sensor = Path(demo["report"]).parent / "sensor.yaml"
    arguments = ["--sensor", str(sensor), "--from-rig"]
    arguments += ["--reference", str(sensor.with_name("untouched.png"))]
    return [], replayed_twice("replay", demo["recording"], *arguments)


def measure_video(options: argparse.Namespace) -> Part:
    """Replay a real video without poses by inverting and rendering each frame."""
    video, presses = options.data / VIDEO, options.data / "mini_dots_ball"
    if not video.is_file() or not presses.is_dir():
        print(f"no real frames at {options.data}", file=sys.stderr)
        return [], {}
    with tempfile.TemporaryDirectory() as name:
        sensor = str(Path(name) / "unit.yaml")
        tacdiff("calibrate", "--folder", str(presses), "--out", sensor)
        return [], replayed_twice("video", str(video), "--inverted", "--sensor", sensor)


def replayed_twice(prefix: str, *arguments: str) -> dict[str, Any]:
    """Return whether two replays give the same files, and the figures of the second."""
    with tempfile.TemporaryDirectory() as name:
        outs = [Path(name) / part for part in ("first", "second")]
        outputs = [tacdiff("benchmark", *arguments, "--out", str(out)) for out in outs]
        same = all(
            filecmp.cmp(outs[0] / file, outs[1] / file, shallow=False)
            for file in ("metrics.json", "frames.csv")
        )
    every = outputs[1]["all"]
    return {
        f"{prefix}_frames": outputs[1]["frames"],
        f"{prefix}_deterministic": same,
        f"{prefix}_realtime_factor": outputs[1]["realtime_factor"],
        f"{prefix}_whole_psnr_db": every["whole_psnr_db"]["median"],
        f"{prefix}_contact_psnr_db": (every["contact_psnr_db"] or {}).get("median"),
        f"{prefix}_marker_px": (every["marker_rms_px"] or {}).get("median"),
    }


@cache
def demo_figures() -> dict[str, Any]:
    """Run the demonstration once in a temporary folder that is not removed; return its figures."""
    out = Path(tempfile.mkdtemp(prefix="twin_benchmark_"))
    return tacdiff("demo", "--out", str(out))


def tacdiff(*arguments: str) -> dict[str, Any]:
    """Run a command and return the object that it prints with --json."""
    program = "from tacdiff_ros.cli.application import run; raise SystemExit(run())"
    command = [sys.executable, "-c", program, *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ, check=True)
    return dict(json.loads(done.stdout))


def measure_contact_psnr(options: argparse.Namespace) -> Part:
    """Replace mechanics, calibration and drawing of the twin by the truth in turn."""
    from contact_psnr import contact_psnr_rows

    return contact_psnr_rows(options.calibrated), {}


PARTS = {
    "live": measure_live,
    "faults": measure_faults,
    "demo": measure_demo,
    "replay": measure_replay,
    "video": measure_video,
    "contact_psnr": measure_contact_psnr,
}

if __name__ == "__main__":
    sys.exit(main())
