"""A command never overwrites what it reads, nor one of its files by another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli.application import run

SENSOR = "config/sensors/gelsight_mini.yaml"


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "rgb.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(90, 160, (240, 320, 3), np.uint8))
    return str(path)


def refused(arguments, capsys):
    """The one line of a refusal."""
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_report_and_sensor_file_are_two_files(image, tmp_path, capsys):
    arguments = ["calibrate", "--reference", image, "--press", image]
    arguments += ["--indenter", "sphere:diameter=5"]
    same = str(tmp_path / "same.html")
    error = refused([*arguments, "--out", same, "--report", same], capsys)
    assert "another file of this command" in error
    out = str(tmp_path / "sensor.yaml")
    error = refused([*arguments, "--out", out, "--report", str(tmp_path / "r.yaml")], capsys)
    assert "expected a name that ends in .html" in error
    assert "another file" in refused([*arguments, "--out", image], capsys)
    assert list(tmp_path.iterdir()) == [tmp_path / "rgb.png"]


def test_a_page_or_picture_replaces_no_input(image, tmp_path, capsys):
    target = tmp_path / "sensor.yaml"
    target.write_text("kept")
    assert "ends in .html" in refused(["view", image, "--out", str(target)], capsys)
    assert target.read_text() == "kept"
    before = (tmp_path / "rgb.png").read_bytes()
    error = refused(["compare", image, image, "--picture", image], capsys)
    assert "another file of this command" in error
    error = refused(["invert", "--image", image, "--out", str(tmp_path)], capsys)
    assert "is an input" in error
    assert (tmp_path / "rgb.png").read_bytes() == before


def test_an_empty_out_is_a_variable_that_is_not_set(image, capsys):
    assert "--out is empty" in refused(["invert", "--image", image, "--out", ""], capsys)
    assert "--out is empty" in refused(["invert", "--image", image, "--out="], capsys)


def test_options_of_other_modes_and_numbers_that_are_none_are_refused(image, tmp_path, capsys):
    out = str(tmp_path / "s.yaml")
    error = refused(
        ["calibrate", "--folder", str(tmp_path), "--diameter", "7", "--out", out], capsys
    )
    assert "--diameter is for --live" in error
    rig = ["rig", "write", str(tmp_path / "rig.yaml"), "--mount", "0", "0", "nan"]
    assert "expected three finite numbers" in refused(rig, capsys)
    assert "benchmark" in refused(["invert", "--image", "a.mp4", "--out", out], capsys)
