"""Commands that `adversity.py` runs, with generated inputs and expected outputs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tacdiff_ros.cli import main; "
TACDIFF = (sys.executable, "-c", f"{RUN}sys.exit(main())", str(ROOT))
BALL = "sphere:diameter=5"
PLAN = """\
trials: {trials}
indenters: ["{ball}"]
mechanics: live
trajectory: {{depth_mm: 0.3, translation_mm: 0.3, step_mm: 0.3}}
start_mm: [1.0, 1.0]
rows: 17
columns: 21
"""
POSES = """\
image,x_mm,y_mm,depth_mm,yaw_rad
0.png,0,0,-1,0
1.png,0,0,0.8,0
2.png,3,2,0.8,0
"""


@dataclass(frozen=True)
class Case:
    """One command.

    Attributes:
        arguments: command line after `tacdiff`, with placeholders {out} and {inputs}.
        output: name of the output file or folder; empty for commands that only print.
        files: names of the files in the output folder; empty if the output is a file.
        codes: exit codes beside 2 that report a problem.
    """

    arguments: str
    output: str = ""
    files: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()

    def command(self, inputs: Path, out: Path) -> list[str]:
        """Return the program and its arguments."""
        words = self.arguments.split()
        return [*TACDIFF, *(word.format(inputs=inputs, out=out) for word in words)]


TOUCH = f"--indenter {BALL} --depth 0.8 --vertices 17x21"
CASES = {
    "simulate": Case(
        f"simulate {TOUCH} --out {{out}}",
        "touch",
        ("rgb.png", "nocs.npy", "depth.npy", "indentation.npy", "mesh.ply", "meta.json"),
    ),
    "markers": Case("markers {inputs}/press/rgb.png --json"),
    "invert": Case(
        "invert --image {inputs}/press/rgb.png --spacing 0.4 --steps 3 --out {out}",
        "surface",
        ("indentation.npy", "shear.npy", "mesh.ply", "rgb.png", "meta.json"),
    ),
    "calibrate": Case(
        "calibrate --reference {inputs}/untouched/rgb.png --press {inputs}/press/rgb.png "
        f"--press {{inputs}}/other/rgb.png --indenter {BALL} --out {{out}}",
        "sensor.yaml",
    ),
    "translate": Case("translate {inputs}/press/nocs.npy --out {out}", "drawn", ("press.png",)),
    "compare": Case(
        "compare {inputs}/press/rgb.png {inputs}/other/rgb.png --picture {out}", "sheet.png"
    ),
    "dataset": Case(
        "dataset --plan {inputs}/plan_one.yaml --workers 1 --out {out}", "touches", ("zarr.json",)
    ),
    "train": Case(
        "train {inputs}/dataset --width 4 --steps 6 --batch 2 "
        "--settings {inputs}/training.yaml --out {out}",
        "network",
        ("weights.safetensors", "network.onnx", "curves.csv"),
    ),
    "evaluate": Case(
        "evaluate {inputs}/dataset --model {inputs}/network --max-samples 4 --out {out}",
        "scores",
        ("scores.csv", "sheet.png", "metrics.json"),
    ),
    "benchmark": Case(
        f"benchmark {{inputs}}/recording --indenter {BALL} --out {{out}}",
        "replay",
        ("report.html", "metrics.json", "frames.csv", "timing.json"),
    ),
    "sbom": Case("sbom --out {out}", "bill.json"),
    "doctor": Case("doctor --json", codes=(1,)),
}
LEFT_OUT = {
    "demo": "starts six processes and DDS; tested by benchmarks/acquisition.py and first_run.py",
    "units": "path tracing takes minutes; its files are tested in test/virtual",
}


def make_inputs(folder: Path) -> None:
    """Create touches, a recording, a dataset and a network unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan_one.yaml").write_text(PLAN.format(trials=1, ball=BALL))
    (folder / "plan.yaml").write_text(PLAN.format(trials=3, ball=BALL))
    (folder / "training.yaml").write_text("validate_every: 2\ndevice: cpu\n")
    make = {
        "untouched": "simulate --out {out}",
        "press": f"simulate {TOUCH} --out {{out}}",
        "other": f"simulate {TOUCH} --at-mm 3 2 --out {{out}}",
        "dataset": "dataset --plan {inputs}/plan.yaml --workers 1 --out {out}",
        "network": CASES["train"].arguments,
    }
    for name, arguments in make.items():
        if not (folder / f"{name}.made").exists():
            subprocess.run(Case(arguments).command(folder, folder / name), check=True)
            (folder / f"{name}.made").touch()
    recording = folder / "recording"
    recording.mkdir(exist_ok=True)
    for number, name in enumerate(("untouched", "press", "other")):
        shutil.copy(folder / name / "rgb.png", recording / f"{number}.png")
    (recording / "poses.csv").write_text(POSES)


def faults(case: Case, out: Path, succeeded: bool) -> list[str]:
    """Return the problems of an output: missing, truncated or leftover files."""
    problems = []
    expected = [out / name for name in case.files] if case.files else [out]
    if succeeded:
        problems += [f"{path.name} is missing" for path in expected if not path.exists()]
    if out.is_dir():
        problems += _left_behind(out)
    problems += _left_behind(out.parent)
    problems += [
        f"{path.name} is truncated" for path in expected if path.exists() and _broken(path)
    ]
    if case.output == "touches" and (out / "zarr.json").exists():
        problems += _broken_samples(out)
    return problems


def _left_behind(folder: Path) -> list[str]:
    """Return leftover files that are neither results nor used to resume."""
    hidden = sorted(re.sub(r"^\.tmp\w+$", ".tmp*", path.name) for path in folder.glob(".*"))
    return [f"leaves {name}" for name in hidden if not name.startswith(".partial-")]


def _broken_samples(out: Path) -> list[str]:
    from tacdiff_ros.dataset.reader import SampleReader, sensor_checksums
    from tacdiff_ros.dataset.store import open_dataset
    from tacdiff_ros.errors import InputError

    try:
        opened = open_dataset(out)
        for checksum in sensor_checksums(opened):
            reader = SampleReader(opened, "train", checksum)
            for number in range(len(reader)):
                reader.sample(number)
    except InputError as error:
        return [f"damaged: {error}"]
    return []


def _broken(path: Path) -> bool:
    check = CHECKS.get(path.suffix)
    if check is None or path.name == "zarr.json":
        return False
    try:
        return not check(path)
    except Exception:  # any exception of a reader means that the file is broken
        return True


def _is_mesh(path: Path) -> bool:
    import trimesh

    return len(trimesh.load(str(path), process=False).faces) > 0


def _is_sensor(path: Path) -> bool:
    from tacdiff_ros.sensor.sensor_file import read_sensor

    return read_sensor(path) is not None


def _is_weights(path: Path) -> bool:
    from safetensors.numpy import load_file

    return len(load_file(path)) > 0


def _is_network(path: Path) -> bool:
    import onnx

    onnx.checker.check_model(str(path))
    return True


CHECKS: dict[str, Callable[[Path], bool]] = {
    ".png": lambda path: cv2.imread(str(path)) is not None and path.read_bytes()[-8:-4] == b"IEND",
    ".npy": lambda path: np.load(path).size > 0,
    ".json": lambda path: bool(json.loads(path.read_text())),
    ".csv": lambda path: path.read_text().endswith("\n"),
    ".html": lambda path: path.read_text().rstrip().endswith("</html>"),
    ".ply": _is_mesh,
    ".yaml": _is_sensor,
    ".safetensors": _is_weights,
    ".onnx": _is_network,
}
