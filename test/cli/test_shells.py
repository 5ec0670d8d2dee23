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


def start(*arguments, without=(), **variables):
    """Start the command in a process with changed variables."""
    environment = {k: v for k, v in os.environ.items() if k not in (*without, "PYTHONUTF8")}
    return subprocess.Popen(
        [*COMMAND, *(os.fsencode(argument) for argument in arguments)],
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def result(process):
    """Exit code, stdout and stderr of a process that has been started."""
    out, errors = process.communicate(timeout=120)
    return process.returncode, out, errors


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


def test_a_command_that_draws_starts_in_any_shell():
    """Also without a home, of which nothing is said. All shells at once."""
    help_of = ("benchmark", "--help")
    inline = "module://matplotlib_inline.backend_inline"
    started = [
        start(*help_of, without=["DISPLAY"], MPLBACKEND=inline),
        start(*help_of, without=["DISPLAY"], MPLBACKEND="TkAgg"),
        start(*help_of, without=["DISPLAY"], HOME="/proc/nothing"),
        start(*help_of, without=["HOME", "DISPLAY"]),
    ]
    for process in started:
        exit_code, _, errors = result(process)
        assert (exit_code, errors) == (0, ""), process.args


def test_umlauts_in_a_c_locale(folder):
    names = ("übung.avi", "käfer.png", "")
    started = [start("markers", str(folder / name), **C_LOCALE) for name in names]
    missing = start("markers", str(folder / "größe.avi"), **C_LOCALE)
    for process in started:
        exit_code, out, errors = result(process)
        assert (exit_code, errors) == (0, ""), process.args
        assert "frame 0: 63 of 63 markers" in out
    exit_code, _, errors = result(missing)
    assert exit_code == 2
    assert errors.startswith("error: no file or folder at ")
    assert "größe.avi" in errors


def test_a_name_in_another_encoding_is_refused_but_read_inside_a_folder(folder, tmp_path):
    picture = tmp_path / os.fsdecode(b"k\xe4fer.png")
    picture.write_bytes((folder / "käfer.png").read_bytes())
    inside = start("markers", str(tmp_path), PYTHONUTF8="1")
    named = start("markers", os.fsdecode(b"gr\xf6\xdfe.avi"), PYTHONUTF8="1")
    exit_code, _, errors = result(inside)
    assert (exit_code, errors) == (0, "")
    exit_code, _, errors = result(named)
    assert exit_code == 2
    assert "not UTF-8 text" in errors
    assert len(errors.splitlines()) == 1


def test_modules_of_another_ros_are_not_imported(tmp_path, folder):
    for name in ("rclpy", "cv2", "trimesh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('of another Python')")
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    exit_code, _, errors = result(
        start("markers", str(folder / "null.png"), PYTHONPATH=str(tmp_path))
    )
    assert (exit_code, errors) == (0, "")


def test_a_reader_that_has_enough_ends_the_command_quietly(folder):
    command = shlex.join([*COMMAND, "markers", str(folder / "übung.avi")])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} | true"], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
