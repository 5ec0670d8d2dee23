"""`tacdiff calibrate --live` with a virtual sensor, from the first key to the sensor file."""

import io
import json

import numpy as np
import pytest

from tacdiff_ros.calibration.calibration_folder import read_folder
from tacdiff_ros.cli.application import run
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.sensor.sensor_file import read_sensor

TAKE, UNDO, FINISH = "\n", "u\n", "f\n"


@pytest.fixture
def live(tmp_path, monkeypatch):
    """Runs the command with keys; the standard input ends after them."""

    def start(keys, *options):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(keys)))
        out = str(tmp_path / "mini.yaml")
        return run(["calibrate", "--live", "--out", out, "--json", *options])

    return start


def test_a_missing_camera_is_named_and_nothing_is_written(live, tmp_path, capsys):
    assert live([TAKE], "--device", "no such camera") == 2
    assert "no such camera" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_live_takes_no_other_images(live, capsys):
    assert live([], "--device", "virtual", "--press", "a.png") == 2
    assert "leave out" in capsys.readouterr().err


def test_a_folder_of_images_is_a_camera_that_ends(live, tmp_path, capsys):
    import cv2

    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames/1.png"), np.full((240, 320, 3), 90, np.uint8))
    assert live([TAKE, TAKE], "--device", str(tmp_path / "frames")) == 2
    error = capsys.readouterr().err
    assert "not done: the reference is blank" in error
    assert "no more images" in error


@pytest.mark.slow
def test_an_interrupted_session_is_resumed_and_gives_the_sensor_that_was_pressed(
    live, tmp_path, capsys
):
    """The truth is the virtual sensor: it renders a press elsewhere, and so does the result."""
    from tacdiff_ros.optics.fast.fast_renderer import FastRenderer
    from tacdiff_ros.virtual.hand import VirtualHand

    assert live([FINISH, TAKE, TAKE, UNDO, TAKE], "--device", "virtual") == 2
    error = capsys.readouterr().err
    assert "0 presses are taken, expected 2" in error
    assert "press 1 is discarded" in error
    assert "same command resumes" in error
    assert len(read_folder(tmp_path / "mini_images").presses) == 1

    assert live([TAKE, FINISH], "--device", "virtual") == 0
    captured = capsys.readouterr()
    assert "is resumed: reference image and 1 presses" in captured.err
    assert "expected error of a ball's radius" in captured.err
    printed = json.loads(captured.out)
    assert len(printed["presses"]) == 2
    model = read_sensor(tmp_path / "mini.yaml")
    assert model.sensor_id == "mini"
    hand = VirtualHand(5.0)
    flat = hand.next(None).astype(float)
    press = hand.sensor.sense(IndenterPose(-3.0, 2.5, 0.9))
    renderer = FastRenderer(model)
    rest = 255.0 * renderer.image()
    renderer.set_surface(press.result.surface)
    change = (255.0 * renderer.image() - rest).ravel()
    true_change = (press.image - flat).ravel()
    assert np.corrcoef(change, true_change)[0, 1] > 0.95
    remaining = np.mean((change - true_change) ** 2) / np.mean(true_change**2)
    assert remaining < 0.1
