"""`tacdiff invert`: an image in, files and numbers out; refusals in one line."""

import json

import cv2
import numpy as np
import pytest
import trimesh

from tacdiff_ros.cli.application import run
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_file import default_sensor


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """What `tacdiff simulate` shows of a ball."""
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    folder = tmp_path_factory.mktemp("touch")
    arguments = ["--indenter", "sphere:diameter=6", "--at-mm", "1", "-1", "--depth", "0.6"]
    assert run(["simulate", *arguments, "--vertices", "33x41", "--out", str(folder)]) == 0
    return folder / "rgb.png"


def test_the_files_belong_together(image, tmp_path, capsys):
    capsys.readouterr()
    assert run(["invert", "--image", str(image), "--out", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert printed == {**meta, "out": str(tmp_path)}
    assert meta["sensor_checksum"] == default_sensor().checksum
    assert meta["mm_per_px"] == pytest.approx(default_sensor().mm_per_px)
    assert meta["in_contact"]
    assert meta["depth_mm"] == pytest.approx(0.6, abs=0.08)
    assert meta["centroid_mm"] == pytest.approx([1.0, -1.0], abs=0.2)
    indentation = np.load(tmp_path / "indentation.npy")
    assert indentation.shape == (240, 320)
    assert indentation.dtype == np.float32
    assert indentation.max() == pytest.approx(meta["depth_mm"], abs=0.05)
    assert np.load(tmp_path / "shear.npy").shape == (240, 320, 2)
    mesh = trimesh.load(tmp_path / "mesh.ply", process=False)
    assert len(mesh.vertices) == meta["rows"] * meta["columns"]
    shown = cv2.imread(str(tmp_path / "rgb.png")).astype(float)
    assert np.abs(shown - cv2.imread(str(image))).mean() < 3.0
    names = {"indentation.npy", "shear.npy", "mesh.ply", "rgb.png", "meta.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--image": "missing.png"}, "cannot read"),
        ({"--sensor": "missing.yaml"}, "cannot read"),
        ({"--prior": "wavy"}, "prior"),
        ({"--steps": "0"}, "steps"),
        ({"--spacing": "0"}, "spacing"),
        ({"--reference": "missing.png"}, "cannot read"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(image, tmp_path, capsys, change, message):
    capsys.readouterr()
    options = {"--image": str(image), "--out": str(tmp_path / "out"), **change}
    assert run(["invert", *(word for pair in options.items() for word in pair)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_black_image_and_a_file_as_folder_are_refused(image, tmp_path, capsys):
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((240, 320, 3), np.uint8))
    assert run(["invert", "--image", str(black), "--out", str(tmp_path / "out")]) == 2
    assert "blank" in capsys.readouterr().err
    assert run(["invert", "--image", str(image), "--out", str(black)]) == 2
    assert "is a file" in capsys.readouterr().err
