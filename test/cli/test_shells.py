"""The `tacdiff` command in the shells that people have: notebooks, another ROS, locales, users."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import cv2
import pytest

from tacdiff_ros.acquisition.protocol import IndenterPose
from tacdiff_ros.virtual.frames import GeneratedFrames

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMAND = [sys.executable, "-c", "import sys; from tacdiff_ros.cli import main; sys.exit(main())"]


def tacdiff(*arguments, without=(), **variables):
    """Run the command in a process with changed variables."""
    environment = {k: v for k, v in os.environ.items() if k not in (*without, "PYTHONUTF8")}
    return subprocess.run(
        [*COMMAND, *(os.fsencode(argument) for argument in arguments)],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two frames in a folder whose name has a space and an umlaut."""
    folder = tmp_path_factory.mktemp("frames") / "zwei für mich"
    folder.mkdir()
    frames = GeneratedFrames()
    video = cv2.VideoWriter(
        str(folder / "übung.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240)
    )
    for name, pose in (("null", IndenterPose()), ("käfer", IndenterPose(0.0, 0.0, 1.0))):
        frame = frames.render(pose)[..., ::-1]
        cv2.imwrite(str(folder / f"{name}.png"), frame)
        video.write(frame)
    video.release()
    return folder


@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "TkAgg"},
        {"HOME": "/proc/nothing"},
    ],
)
def test_a_command_that_draws_starts_in_any_shell(variables):
    result = tacdiff("benchmark", "--help", without=["DISPLAY"], **variables)
    assert (result.returncode, result.stderr) == (0, "")


def test_without_a_home_nothing_is_said():
    result = tacdiff("benchmark", "--help", without=["HOME", "DISPLAY"])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("source", ["übung.avi", "käfer.png", ""])
def test_umlauts_in_a_c_locale(folder, source):
    result = tacdiff("markers", str(folder / source), **C_LOCALE)
    assert (result.returncode, result.stderr) == (0, "")
    assert "frame 0: 63 of 63 markers" in result.stdout


def test_a_missing_file_is_named_in_a_c_locale(folder):
    result = tacdiff("markers", str(folder / "größe.avi"), **C_LOCALE)
    assert result.returncode == 2
    assert result.stderr.startswith("error: no file or folder at ")
    assert "größe.avi" in result.stderr


def test_a_name_in_another_encoding_is_refused():
    result = tacdiff("markers", os.fsdecode(b"gr\xf6\xdfe.avi"), PYTHONUTF8="1")
    assert result.returncode == 2
    assert "not UTF-8 text" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_name_in_another_encoding_inside_a_folder_is_read(folder, tmp_path):
    picture = tmp_path / os.fsdecode(b"k\xe4fer.png")
    picture.write_bytes((folder / "käfer.png").read_bytes())
    result = tacdiff("markers", str(tmp_path), PYTHONUTF8="1")
    assert (result.returncode, result.stderr) == (0, "")


def test_modules_of_another_ros_are_not_imported(tmp_path, folder):
    for name in ("rclpy", "cv2", "trimesh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('of another Python')")
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    result = tacdiff("markers", str(folder / "null.png"), PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")


def test_a_reader_that_has_enough_ends_the_command_quietly(folder):
    command = shlex.join([*COMMAND, "markers", str(folder / "übung.avi")])
    result = subprocess.run(
        ["/bin/sh", "-c", f"{command} | true"], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in result.stderr
