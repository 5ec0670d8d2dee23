"""`tacdiff identify` finds the material that a force curve was made with."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor


def write_press(path, scale: float) -> None:
    depth_mm = np.linspace(0.1, 0.7, 7)
    force_n = scale * depth_mm**1.7
    rows = "\n".join(f"{d},{f}" for d, f in zip(depth_mm, force_n, strict=True))
    path.write_text(f"depth_mm,force_n\n{rows}\n")


def test_a_force_curve_gives_a_modulus_of_its_size(tmp_path, capsys):
    """A stiffness of 1 N/mm^1.7 under a ball of 5 mm is that of a gel of some 0.1 MPa."""
    write_press(tmp_path / "press.csv", 1.0)
    arguments = ["--press", str(tmp_path / "press.csv"), "--indenter", "sphere:diameter=5"]
    arguments += ["--out", str(tmp_path / "sensor.yaml")]
    assert run(["identify", *arguments, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert 0.05 < figures["young_modulus_mpa"] < 0.4
    assert 0 < figures["young_modulus_stddev_mpa"] < 0.2 * figures["young_modulus_mpa"]
    assert figures["friction"] is None
    written = read_sensor(tmp_path / "sensor.yaml")
    assert written.material is not None
    assert written.material.young_modulus_mpa == figures["young_modulus_mpa"]
    assert written.material.young_modulus_stddev_mpa == figures["young_modulus_stddev_mpa"]
    assert written.checksum == default_sensor().checksum


@pytest.mark.parametrize(
    ("content", "further", "expected"),
    [
        ("depth_mm,newton\n0.1,1\n", [], "has no column force_n"),
        ("depth_mm,force_n\n0.1,x\n", [], "could not convert"),
        ("depth_mm,force_n\n0.1,1\n", [], "press"),
        ("depth_mm,force_n\n0.1,1\n", ["--shear", "x.csv"], "belong together"),
    ],
)
def test_bad_curves_are_one_line(tmp_path, capsys, content, further, expected):
    (tmp_path / "press.csv").write_text(content)
    arguments = ["--press", str(tmp_path / "press.csv"), "--indenter", "sphere:diameter=5"]
    assert run(["identify", *arguments, *further]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
