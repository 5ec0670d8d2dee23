"""`tacdiff record`: images by hand from a camera, into a folder that `calibrate` takes."""

import io
import json

import numpy as np
import pytest

from tacdiff_ros.calibration.calibration_folder import read_folder
from tacdiff_ros.cli.application import run
from tacdiff_ros.images.image_file import read_image

GEL, SIZE = 100, (240, 320)


class HandHeldCamera:
    """Shows what is pressed at present: a bright disc, or nothing. Each image has noise."""

    def __init__(self, scenes):
        self.scenes, self.random, self.count = scenes, np.random.default_rng(0), 0

    def image(self):
        self.count += 1
        picture = GEL + self.random.normal(0, 1, (*SIZE, 3))
        scene = self.scenes[0]
        if scene is not None:
            x, y = scene[:2] if self.count % 2 else scene[-2:]
            rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
            picture[np.hypot(columns - x, rows - y) < 30] += 60
        return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def hand(monkeypatch):
    """Presses Enter, after which the next scene is before the camera."""

    def start(scenes):
        camera = HandHeldCamera([None, *scenes])

        class Frames:
            def __init__(self, _settings):
                self.lock = type("Lock", (), {"on_image": lambda _self, _mean: False})()

            def read(self):
                return type("CameraImage", (), {"image": camera.image()})

            def close(self):
                camera.closed = True

        class Keys(io.StringIO):
            asked = 0

            def readline(self, *_):
                if self.asked:
                    camera.scenes.pop(0)
                self.asked += 1
                return "\n" if camera.scenes else ""

        monkeypatch.setattr("tacdiff_ros.cli.live_images.CameraFrames", Frames)
        monkeypatch.setattr("sys.stdin", Keys())
        return camera

    return start


def test_two_presses_by_hand_are_a_calibration_folder(hand, tmp_path, capsys):
    camera = hand([None, (100, 120), (105, 120), (220, 120, 240, 120), (220, 120)])
    out = tmp_path / "presses"
    assert run(["record", "--out", str(out), "--diameter", "6.35"]) == 0
    captured = capsys.readouterr()
    assert "calibrate --folder" in captured.out
    for reason in ("nothing touches the gel:", "position is taken already", "the ball moves"):
        assert captured.err.count(reason) == 1
    folder = read_folder(out)
    assert [press.diameter_mm for press in folder.presses] == [6.35, 6.35]
    assert abs(float(read_image(folder.reference).mean()) - GEL) < 1
    assert read_image(folder.presses[1].path)[120, 220].min() > GEL + 40
    assert camera.closed


def test_an_end_of_input_leaves_nothing(hand, tmp_path, capsys):
    hand([(100, 120)])
    assert run(["record", "--out", str(tmp_path / "presses")]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "presses").exists()


def test_an_existing_recording_is_kept(tmp_path, capsys):
    (tmp_path / "catalog.csv").write_text("mine")
    assert run(["record", "--out", str(tmp_path)]) == 2
    assert "another folder" in capsys.readouterr().err
    assert (tmp_path / "catalog.csv").read_text() == "mine"


def test_a_missing_camera_is_named(tmp_path, capsys):
    assert run(["record", "--out", str(tmp_path / "x"), "--device", "no such camera"]) == 2
    assert "no such camera" in capsys.readouterr().err


def test_a_virtual_sensor_is_recorded_without_a_camera(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n\n"))
    out = tmp_path / "later"
    options = ["--device", "virtual", "--presses", "2", "--out", str(out), "--json"]
    assert run(["record", *options]) == 0
    first, second = json.loads(capsys.readouterr().out)["centres_px"]
    assert np.hypot(*np.subtract(first, second)) == pytest.approx(np.hypot(10, 7) / 0.0634, rel=0.2)
    assert read_image(out / "background.png").shape == (*SIZE, 3)
