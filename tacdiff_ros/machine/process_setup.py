"""What a process of ours takes from the shell that started it, and what it leaves.

Needs only Python's standard library, so that it can run before anything else is imported.
"""

from __future__ import annotations

import os
import sys
import tempfile

from tacdiff_ros.kernel_cache import cache_folder
from tacdiff_ros.machine.ros_environment import bundled_ros, foreign_entries

RESTARTED = "_TACDIFF_UTF8_RESTARTED"
# OpenCV and FFmpeg print lines of their own about damaged files, beside our one line.
QUIET = {"OPENCV_LOG_LEVEL": "FATAL", "OPENCV_FFMPEG_LOGLEVEL": "-8"}


def prepare_process() -> None:
    """Make the `tacdiff` process, and those that it starts, independent of the shell.

    Paths are UTF-8 whatever the locale says, figures go to files whatever a notebook asks for,
    and modules of another ROS are not imported in place of ours.
    """
    use_utf8()
    os.environ["MPLBACKEND"] = "Agg"  # a notebook names one that only its own Python has
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
    """Start this program again in Python's UTF-8 mode where paths are not decoded as UTF-8.

    With `LC_ALL=C` and `PYTHONUTF8=0`, and in Latin-1 locales, a path with an umlaut reaches
    libraries in C++ as something else than the path; OpenCV 5 ends with a segmentation fault.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get(RESTARTED):
        return
    environment = {**os.environ, "PYTHONUTF8": "1", RESTARTED: "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606


def home_is_writable() -> bool:
    """Whether programs can keep settings in the folder that `HOME` names."""
    home = os.environ.get("HOME")
    if not home:
        return False
    try:
        tempfile.TemporaryFile(dir=home).close()
    except OSError:
        return False
    return True
