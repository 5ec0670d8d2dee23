"""The `tacdiff` command: results on stdout, one clear line and exit code 2 on bad input."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tacdiff_ros.acquisition.protocol import IndenterPose
from tacdiff_ros.cli.application import run
from tacdiff_ros.virtual.frames import MM_PER_PX, GeneratedFrames


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    frames = GeneratedFrames()
    for name, pose in (
        ("reference", IndenterPose()),
        ("touch", IndenterPose(0.0, 0.0, 1.0)),
        ("sheared", IndenterPose(1.5, 0.0, 1.0)),
    ):
        cv2.imwrite(str(folder / f"{name}.png"), frames.render(pose)[..., ::-1])
    (folder / "text.png").write_text("this is no image")
    cv2.imwrite(str(folder / "black.png"), np.zeros((240, 320, 3), np.uint8))
    return folder


def test_markers_finds_the_grid_where_it_was_drawn(pictures, capsys):
    assert run(["markers", str(pictures / "reference.png"), "--json"]) == 0
    (frame,) = json.loads(capsys.readouterr().out)["frames"]
    assert (frame["found"], frame["expected"]) == (63, 63)
    middle = next(d for d in frame["dots"] if (d["row"], d["column"]) == (3, 4))
    assert (middle["x_px"], middle["y_px"]) == pytest.approx((159.5, 119.5), abs=0.1)
    corner = next(d for d in frame["dots"] if (d["row"], d["column"]) == (0, 0))
    expected = (159.5 - 4 * 2.05 / MM_PER_PX, 119.5 - 3 * 2.00 / MM_PER_PX)
    assert (corner["x_px"], corner["y_px"]) == pytest.approx(expected, abs=0.1)


def test_markers_reports_displacement_from_the_reference(pictures, capsys):
    arguments = ["--reference", str(pictures / "reference.png"), "--json"]
    assert run(["markers", str(pictures / "sheared.png"), *arguments]) == 0
    (frame,) = json.loads(capsys.readouterr().out)["frames"]
    moved = [dot["dx_px"] for dot in frame["dots"]]
    assert max(moved) > 0.3
    assert frame["dots"][0]["dx_px"] == pytest.approx(0.0, abs=0.3)


def test_markers_reads_a_folder_of_images_as_frames(pictures, tmp_path, capsys):
    for number, name in enumerate(("reference", "touch", "sheared")):
        (tmp_path / f"{number}.png").write_bytes((pictures / f"{name}.png").read_bytes())
    assert run(["markers", str(tmp_path), "--json"]) == 0
    frames = json.loads(capsys.readouterr().out)["frames"]
    assert [frame["index"] for frame in frames] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["markers", "missing.avi"], "no file or folder"),
        (["markers", "{}/text.png"], "no image that OpenCV can read"),
        (["markers", "{}/black.png"], "7 x 9"),
        (["markers", "{}/reference.png", "--grid", "8x10"], "8 x 10"),
        (["markers", "{}/reference.png", "--grid", "banana"], "banana"),
        (["markers", "{}/reference.png", "--gird", "7x9"], "--gird"),
        (["markers"], "source"),
        (["frobnicate"], "frobnicate"),
        ([], "missing command"),
        (["demo", "--frames", "missing.avi", "--out", "{}/demo"], "no video at missing.avi"),
        (["demo", "--trials", "0"], "trials"),
        (["demo", "--out", "{}/text.png/demo"], "cannot write"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(pictures, capsys, arguments, expected):
    assert run([argument.format(pictures) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert expected.lower() in lines[0].lower()
