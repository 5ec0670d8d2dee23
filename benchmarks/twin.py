"""The live twin at the camera's rate, the demonstration against its truth, and replay.

    python benchmarks/twin.py [--quick] [--json] [--only PART] [--seconds S] [--rate HZ]

PART is one of live, demo, replay. live plays a recorded touch to the real nodes `tactile_simulator`
(network) and `comparator` on DDS, images at --rate and robot states at 1 kHz, for --seconds (600;
--quick 20). demo and replay run `tacdiff demo` once, about three minutes; --quick leaves them out.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import Part, run_parts

from tacdiff_ros.resources import shipped_model

QUICK_S = 20.0
WARM_S = 10.0  # of a run whose memory is not counted


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part")
    parser.add_argument("--seconds", type=float, default=600.0, help="of the live part")
    parser.add_argument("--rate", type=float, default=25.0, help="images per second")
    parser.add_argument("--model", type=Path, help="folder of a network; default: the shipped one")
    parser.add_argument("--threads", type=int, default=1, help="of the network")
    options = parser.parse_args()
    names = [options.only] if options.only else (["live"] if options.quick else list(PARTS))
    return run_parts(PARTS, names, options)


def measure_live(options: argparse.Namespace) -> Part:
    """Images and states in, simulated images and comparisons out."""
    from twin_stream import play

    seconds = QUICK_S if options.quick else options.seconds
    found = play(options.model or shipped_model(), seconds, options.rate, options.threads)
    latency = 1e3 * np.array(found.latencies_s)
    early = [memory for at, memory in found.memory_mib if at > WARM_S]
    return [], {
        "live_seconds": round(seconds, 1),
        "images_sent": found.sent,
        "live_hz": round(found.compared / found.seconds, 2),
        "latency_p50_ms": round(float(np.median(latency)), 1),
        "latency_p99_ms": round(float(np.quantile(latency, 0.99)), 1),
        "frames_dropped": found.sent - found.compared,
        "memory_growth_mib": round(early[-1] - early[0], 1),
        "memory_mib": round(early[-1]),
        "cpu_simulator": round(found.cpu["tactile_simulator"], 2),
        "cpu_comparator": round(found.cpu["comparator"], 2),
        "live_contact_psnr_db": round(float(np.nanmedian(found.contact_psnr_db)), 2),
    }


def measure_demo(_options: argparse.Namespace) -> Part:
    """The demonstration's own figures, against the virtual sensor's truth."""
    shown = demo_figures()
    names = ("demo_seconds", "contact_psnr_db", "marker_error_px", "inversion_height_rmse_mm")
    return [], {name: shown[name] for name in names}


def measure_replay(_options: argparse.Namespace) -> Part:
    """The demonstration's recording, replayed twice."""
    shown = demo_figures()
    sensor = Path(shown["report"]).parent / "sensor.yaml"
    with tempfile.TemporaryDirectory() as name:
        outs = [Path(name) / part for part in ("first", "second")]
        told = [
            tacdiff("benchmark", shown["recording"], "--sensor", str(sensor), "--out", str(out))
            for out in outs
        ]
        same = all(
            filecmp.cmp(outs[0] / file, outs[1] / file, shallow=False)
            for file in ("metrics.json", "frames.csv")
        )
    return [], {
        "replay_frames": told[0]["frames"],
        "replay_deterministic": same,
        "replay_realtime_factor": told[1]["realtime_factor"],
    }


@cache
def demo_figures() -> dict[str, Any]:
    """Of one run of the demonstration, kept in a folder that outlives it."""
    out = Path(tempfile.mkdtemp(prefix="twin_benchmark_"))
    return tacdiff("demo", "--out", str(out))


def tacdiff(*arguments: str) -> dict[str, Any]:
    """What a command prints with --json."""
    command = [sys.executable, "-m", "tacdiff_ros.cli.application", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ, check=True)
    return dict(json.loads(done.stdout))


PARTS = {"live": measure_live, "demo": measure_demo, "replay": measure_replay}

if __name__ == "__main__":
    sys.exit(main())
