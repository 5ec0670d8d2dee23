"""Prepares the environment of a `tacdiff` process, whatever shell started it.

This module needs only Python's standard library, so that it can run before all other imports.
"""

from __future__ import annotations

import os
import sys
import tempfile

from tacdiff_ros.kept_memory import keep_freed_memory
from tacdiff_ros.kernel_cache import cache_folder
from tacdiff_ros.machine.ros_environment import bundled_ros, foreign_entries

RESTARTED = "_TACDIFF_UTF8_RESTARTED"  # set in a process restarted in UTF-8 mode
# OpenCV and FFmpeg would print messages about damaged files in addition to ours.
QUIET = {"OPENCV_LOG_LEVEL": "FATAL", "OPENCV_FFMPEG_LOGLEVEL": "-8"}


def prepare_process() -> None:
    """Make the `tacdiff` process and its child processes independent of the shell.

    Paths are UTF-8 in every locale, freed memory is kept, Matplotlib draws to files even below a
    notebook, and modules of another ROS installation are removed from the import path.
    """
    use_utf8()
    keep_freed_memory()
    os.environ["MPLBACKEND"] = "Agg"  # a notebook sets one that only its own Python has
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not home_is_writable():
        folder = cache_folder() / "matplotlib"
        folder.mkdir(exist_ok=True)
        os.environ.setdefault("MPLCONFIGDIR", str(folder))
    if bundled_ros():
        foreign = foreign_entries(os.environ).get("PYTHONPATH", [])
        sys.path[:] = [entry for entry in sys.path if entry not in foreign]


def use_utf8() -> None:
    """Restart this program in Python's UTF-8 mode if paths are not decoded as UTF-8.

    With `LC_ALL=C` and `PYTHONUTF8=0`, and in Latin-1 locales, C++ libraries receive a garbled path
    for a path with an umlaut; OpenCV 5 ends with a segmentation fault.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get(RESTARTED):
        return
    environment = {**os.environ, "PYTHONUTF8": "1", RESTARTED: "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606


def home_is_writable() -> bool:
    """Return whether programs can write settings to the folder in `HOME`."""
    home = os.environ.get("HOME")
    if not home:
        return False
    try:
        tempfile.TemporaryFile(dir=home).close()
    except OSError:
        return False
    return True
