"""The example programs run as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tacdiff_ros.cli.application import run as tacdiff
from tacdiff_ros.optics import llvm

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_simulated_press_is_inverted_to_its_depth(tmp_path):
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    press, reference = tmp_path / "press.png", tmp_path / "reference.png"
    force = run("simulate_press.py", "--indenter", "sphere:diameter=5", "--out", press)
    assert "normal force" in force
    run("simulate_press.py", "--depth", 0, "--out", reference)
    found = run("invert_image.py", press, reference)
    depth_mm = float(found.split("deepest point: ")[1].split(" mm")[0])
    assert depth_mm == pytest.approx(0.8, abs=0.15)


def test_the_pose_of_a_simulated_grasp_is_estimated(tmp_path):
    pytest.importorskip("pinocchio", reason="the extra `pose` is not installed")
    grasp, out = tmp_path / "grasp", tmp_path / "pose"
    assert "next: tacdiff pose" in run("simulate_grasp.py", grasp)
    arguments = ["pose", str(grasp), "--object", str(grasp / "box.obj")]
    assert tacdiff([*arguments, "--hand", "allegro_xela", "--out", str(out)]) == 0
    estimate = json.loads((out / "pose.json").read_text())["hypotheses"][0]["pose"]
    true = json.loads((grasp / "true_pose.json").read_text())
    distance_mm = 1e3 * np.linalg.norm((np.array(estimate) - true)[:3, 3])
    assert distance_mm < 3.0


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_compiles_and_names_its_call(name):
    text = (EXAMPLES / name).read_text()
    compile(text, name, "exec")
    program = "ros2 launch" if name.endswith(".launch.py") else "python"
    assert f"{program} examples/{name}" in text
