"""Checks of the Python interpreter and of the locale that it was started in."""

from __future__ import annotations

import locale
import platform
import sys

from tacdiff_ros.machine.check import Check

OLDEST, NEWEST = (3, 10), (3, 14)  # of the ROS wheels; pyproject.toml asks for the first as well


def check_python(version: tuple[int, int] | None = None) -> Check:
    """Version of the interpreter; `version` stands in for it in tests."""
    major, minor = version or sys.version_info[:2]
    found = f"{platform.python_version() if version is None else f'{major}.{minor}'} ({sys.prefix})"
    if OLDEST <= (major, minor) <= NEWEST:
        return Check("Python", "good", found)
    return Check(
        "Python",
        "bad" if (major, minor) < OLDEST else "warning",
        found,
        f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} are tested: "
        "`make clean setup PYTHON=python3.12`",
    )


def check_locale() -> Check:
    """Whether programs started in this shell take paths as UTF-8."""
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        return Check(
            "locale", "warning", "LANG or LC_ALL names none that is installed", "use LANG=C.UTF-8"
        )
    encoding = locale.nl_langinfo(locale.CODESET)
    if encoding.upper().replace("-", "") == "UTF8":
        return Check("locale", "good", encoding)
    return Check(
        "locale",
        "warning",
        f"{encoding}; tacdiff takes paths as UTF-8 all the same",
        "for ROS nodes with umlauts in a path: export LC_ALL=C.UTF-8",
    )
