"""Commands and Python blocks of the pages that take minutes: part of `make bench-smoke`."""

from __future__ import annotations

from pathlib import Path

import pytest
from documentation_blocks import blocks

from tacdiff_ros.cli.application import run

LIVE_PLAN = "{trials: 1, indenters: [sphere], mechanics: live, trajectory: {depth_mm: 0.4}}"


@pytest.fixture(scope="module")
def folder(unit_folder, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("docs")
    (made / "ref.png").write_bytes(unit_folder.reference.read_bytes())
    for number, name in enumerate(("p1.png", "p2.png")):
        (made / name).write_bytes(unit_folder.press(number).read_bytes())
    (made / "plan.yaml").write_text(LIVE_PLAN)
    return made


def test_readmes_calibration_and_simulation(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    calibrate = "calibrate --reference ref.png --press p1.png --press p2.png --out my_sensor.yaml"
    assert run([*calibrate.split(), "--indenter", "sphere:diameter=5"]) == 0
    assert "good: " in capsys.readouterr().out
    simulate = "simulate --indenter cross --at-px 200 100 --depth 0.8 --shear 0.5 0 --out touch"
    assert run([*simulate.split(), "--vertices", "33x41"]) == 0
    assert run(["translate", "touch/nocs.npy", "--out", "rendered"]) == 0


@pytest.mark.parametrize(
    "block", [b for b in blocks() if b.language == "python"], ids=lambda block: block.name
)
def test_python_block(block, folder, monkeypatch):
    if "import rclpy" in block.text:
        pytest.skip("needs running nodes")
    monkeypatch.chdir(folder)
    if "SampleReader" in block.text:
        assert run(["dataset", "--plan", "plan.yaml", "--out", "touches"]) == 0
    if "import h5py" in block.text:
        assert run(["dataset", "--plan", "plan.yaml", "--out", "exported"]) == 0
        assert run(["export", "exported", "touches.hdf5", "--format", "hdf5"]) == 0
    exec(compile(block.text, block.name, "exec"), {"__name__": "__main__"})  # noqa: S102
