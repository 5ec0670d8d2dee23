"""Checks of the Python interpreter and of the locale of this shell."""

from __future__ import annotations

import locale
import platform
import sys

from tacdiff_ros.machine.check import Check

OLDEST, NEWEST = (
    (3, 10),
    (3, 14),
)  # versions of the ROS wheels; pyproject.toml requires the oldest too


def check_python(version: tuple[int, int] | None = None) -> Check:
    """Check the version of the Python interpreter.

    Args:
        version: (major, minor) version to check; None for the running interpreter.
    """
    major, minor = version or sys.version_info[:2]
    detail = (
        f"{platform.python_version() if version is None else f'{major}.{minor}'} ({sys.prefix})"
    )
    if OLDEST <= (major, minor) <= NEWEST:
        return Check("Python", "good", detail)
    return Check(
        "Python",
        "bad" if (major, minor) < OLDEST else "warning",
        detail,
        f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} are tested: "
        "`make clean setup PYTHON=python3.12`",
    )


def check_locale() -> Check:
    """Check that programs started in this shell interpret paths as UTF-8."""
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        return Check(
            "locale",
            "warning",
            "LANG or LC_ALL names a locale that is not installed",
            "use LANG=C.UTF-8",
        )
    encoding = locale.nl_langinfo(locale.CODESET)
    if encoding.upper().replace("-", "") == "UTF8":
        return Check("locale", "good", encoding)
    return Check(
        "locale",
        "warning",
        f"{encoding}; tacdiff itself interprets paths as UTF-8",
        "for ROS nodes with umlauts in a path: export LC_ALL=C.UTF-8",
    )
