"""Measure time, memory and disk of the commands, and print the table of docs/costs.md.

python tools/command_costs.py          # about four minutes on two idle cores, after `make setup`
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SENSOR_SIZE = "the default sensor, 320x240"
PLAN = "{trials: 1, indenters: [sphere], mechanics: live}"
# Name, arguments; each may use the files of those before it.
COMMANDS = (
    ("simulate, 49x61", "simulate --indenter cross --depth 0.8 --out touch"),
    (
        "simulate, 33x41",
        "simulate --indenter sphere:diameter=5 --at-mm -3 -1.5 --depth 0.8 --vertices 33x41 "
        "--out p1",
    ),
    (
        "simulate, 33x41, again",
        "simulate --indenter sphere:diameter=5 --at-mm 3.5 2 --depth 0.8 --vertices 33x41 --out p2",
    ),
    ("simulate, untouched", "simulate --out ref"),
    ("markers, one image", "markers p1/rgb.png --json"),
    ("compare", "compare p1/rgb.png p2/rgb.png --reference ref/rgb.png --grid 7x9"),
    ("invert", "invert --image p1/rgb.png --reference ref/rgb.png --out result"),
    (
        "calibrate, two presses",
        "calibrate --reference ref/rgb.png --press p1/rgb.png --press p2/rgb.png "
        "--indenter sphere:diameter=5 --out my_sensor.yaml --report report.html",
    ),
    ("translate, one map", "translate p1/nocs.npy --out rendered"),
    ("view, a result", "view result --out view.html"),
    ("dataset, one live trial", "dataset --plan plan.yaml --workers 1 --out set"),
    ("export, that dataset, HDF5", "export set set.h5 --format hdf5"),
    ("export, that dataset, LeRobot", "export set lerobot --format lerobot"),
    ("doctor", "doctor"),
)


def main() -> None:
    """Run all commands in a temporary folder and print one row of Markdown for each."""
    print("| command | seconds | CPU s | memory, MB | written, MB |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
        for title, arguments in COMMANDS:
            print(_row(title, arguments.split(), folder), flush=True)


def _row(title: str, arguments: list[str], folder: Path) -> str:
    before, started_s = _bytes(folder), time.perf_counter()
    code = "from tacdiff_ros.cli import main; raise SystemExit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started_s
    if os.waitstatus_to_exitcode(status) not in (0, 1):  # 1: a check of doctor is bad
        raise SystemExit(f"{title} failed")
    cpu_s = usage.ru_utime + usage.ru_stime
    written = 1e-6 * (_bytes(folder) - before)
    return (
        f"| {title} | {seconds:.1f} | {cpu_s:.1f} | {usage.ru_maxrss / 1e3:.0f} | {written:.1f} |"
    )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
