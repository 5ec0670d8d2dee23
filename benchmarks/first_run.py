"""The demonstration as first command of a new user: cold caches, one core, a busy machine.

    python benchmarks/first_run.py [--quick] [--json] [--only CASE]

CASE is one of
  cold      `tacdiff demo` with empty kernel caches, on all cores
  one_core  the same on one core
  busy      the same on one core with two concurrent busy loops
  warm      in a second clone of the sources with the caches of `cold` (or its own first run)
  tests     the tests that start nodes, as in `busy`; runs only on request
--quick records only one run of the virtual arm on one core with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import Part, run_parts

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("tacdiff_ros", "config")
ONE_CORE = ("taskset", "-c", "0")
BUSY_LOOPS = 2
NODE_TESTS = ("test/nodes", "test/cli/test_virtual_graph.py")
MAX_SECONDS = 3600.0
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tacdiff_ros.cli import main; main()"
CACHES = ("TACDIFF_CACHE_DIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "DRJIT_CACHE_DIR")


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one recorded run on one core")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=[*CASES, "tests"], help="one case")
    options = parser.parse_args()
    if options.only == "tests":
        return run_parts({"tests": measure_tests}, ["tests"], options)
    names = [options.only] if options.only else [*CASES]
    if options.quick:
        return run_parts({"quick": measure_quick}, ["quick"], options)
    return run_parts({"first run": lambda _: measure(names)}, ["first run"], options)


def measure(names: list[str]) -> Part:
    """Run the cases one after the other and return their rows and the available figures."""
    with tempfile.TemporaryDirectory(prefix="first_run") as scratch:
        rows = [{"case": name, **CASES[name](Path(scratch))} for name in names]
    passed = {row["case"]: row["passes"] for row in rows}
    seconds = {row["case"]: row["seconds"] for row in rows}
    candidates = {
        "cold_demo_passes": passed.get("cold"),
        "cold_demo_seconds": seconds.get("cold"),
        "one_core_demo_passes": passed.get("one_core"),
        "one_core_demo_seconds": seconds.get("one_core"),
        "busy_demo_passes": passed.get("busy"),
        "busy_demo_seconds": seconds.get("busy"),
        "warm_demo_seconds": seconds.get("warm"),
    }
    figures = {name: value for name, value in candidates.items() if value is not None}
    whole = [row for row in rows if row["passes"]]
    if whole:
        figures["images_lost"] = max(row["images_lost"] for row in whole)
        psnr = [row["contact_psnr_db"] for row in whole]
        figures["contact_psnr_spread_db"] = round(max(psnr) - min(psnr), 3)
        figures |= {f"{row['case']}_contact_psnr_db": row["contact_psnr_db"] for row in whole}
    return rows, figures


def measure_quick(_options: argparse.Namespace) -> Part:
    """Record one run of the virtual arm with generated images, cold cache, one core."""
    import cv2
    import numpy as np

    from tacdiff_ros.geometry.indenter_pose import IndenterPose
    from tacdiff_ros.virtual.frames import GeneratedFrames

    with tempfile.TemporaryDirectory(prefix="first_run") as scratch:
        frames = Path(scratch) / "frames"
        frames.mkdir()
        for number in range(5):
            image = np.asarray(GeneratedFrames().render(IndenterPose(depth_mm=-1.0)))
            cv2.imwrite(str(frames / f"{number}.png"), image[..., ::-1])
        further = ["--frames", str(frames)]
        row = demo(Path(scratch), "quick", home(Path(scratch), "quick"), ONE_CORE, further)
    return [row], {"quick_run_passes": row["passes"], "images_lost": row["images_lost"]}


def measure_cold(scratch: Path) -> dict[str, Any]:
    """Run the demonstration on all cores with an empty cache."""
    return demo(scratch, "cold", home(scratch, "cold"))


def measure_one_core(scratch: Path) -> dict[str, Any]:
    """Run the demonstration on one core with an empty cache."""
    return demo(scratch, "one_core", home(scratch, "one_core"), ONE_CORE)


def measure_busy(scratch: Path) -> dict[str, Any]:
    """Run the demonstration on one core shared with busy loops, with an empty cache."""
    with busy_loops():
        return demo(scratch, "busy", home(scratch, "busy"), ONE_CORE)


def measure_warm(scratch: Path) -> dict[str, Any]:
    """Run the demonstration from a clone at a new path with warm caches."""
    cold = scratch / "home_cold"
    if not cold.exists():
        demo(scratch, "fill", home(scratch, "cold"))
    return demo(scratch, "warm", cold, sources=clone(scratch / "second clone"))


def measure_tests(_options: argparse.Namespace) -> Part:
    """Run the tests that start nodes on one core shared with busy loops."""
    with tempfile.TemporaryDirectory(prefix="first_run") as scratch, busy_loops():
        environment = {key: value for key, value in os.environ.items() if key not in CACHES}
        environment["HOME"] = str(home(Path(scratch), "tests"))
        command = [*ONE_CORE, sys.executable, "-m", "pytest", "-q", "-rf", *NODE_TESTS]
        started = time.monotonic()
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    rows = [{"test": name, "outcome": "failed"} for name in failed]
    passed = re.search(r"(\d+) passed", done.stdout)
    return rows, {
        "node_tests_passed": int(passed[1]) if passed else 0,
        "node_tests_failed": len(failed),
        "node_tests_failed_names": failed,
        "node_tests_seconds": round(time.monotonic() - started, 1),
    }


CASES = {
    "cold": measure_cold,
    "one_core": measure_one_core,
    "busy": measure_busy,
    "warm": measure_warm,
}


def home(scratch: Path, name: str) -> Path:
    """Create and return an empty home folder."""
    folder = scratch / f"home_{name}"
    folder.mkdir()
    return folder


def clone(folder: Path) -> Path:
    """Copy the sources without compiled files."""
    for name in COPIED:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
        )
    return folder


def demo(
    scratch: Path,
    name: str,
    home_folder: Path,
    prefix: tuple[str, ...] = (),
    further: list[str] | None = None,
    sources: Path = ROOT,
) -> dict[str, Any]:
    """Run `tacdiff demo` and return its outcome.

    Args:
        scratch: folder for the output.
        name: name of the case.
        home_folder: home folder of the process.
        prefix: command that starts the program, such as `taskset`.
        further: further arguments of the demonstration.
        sources: folder of the sources.
    """
    environment = {key: value for key, value in os.environ.items() if key not in CACHES}
    environment["HOME"] = str(home_folder)
    command = [*prefix, sys.executable, "-c", RUN, str(sources), "demo", "--json"]
    command += ["--out", str(scratch / f"demo_{name}"), *(further or [])]
    started = time.monotonic()
    done = subprocess.run(
        command, env=environment, cwd=sources, capture_output=True, text=True, timeout=MAX_SECONDS
    )
    seconds = round(time.monotonic() - started, 1)
    figures = _last_object(done.stdout)
    if not figures:
        print(f"{name}: {done.stderr.strip()[-2000:]}", file=sys.stderr)
    return {
        "passes": bool(figures),
        "seconds": seconds,
        "images": figures.get("images", 0),
        "images_lost": figures.get("images_lost", -1),
        "contact_psnr_db": figures.get("contact_psnr_db", float("nan")),
        "live_contact_psnr_db": figures.get("live_contact_psnr_db", float("nan")),
    }


def _last_object(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    try:
        return json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        return {}


@contextmanager
def busy_loops() -> Iterator[None]:
    """Run busy processes on the first core."""
    loops = [
        subprocess.Popen([*ONE_CORE, sys.executable, "-c", "while True: pass"])
        for _ in range(BUSY_LOOPS)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    raise SystemExit(main())
