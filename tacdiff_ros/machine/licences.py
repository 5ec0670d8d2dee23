"""Licences of installed packages, with notes for their redistribution."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

MAX_LICENCE_NAME = 80  # characters; longer fields contain the full licence text
NO_LICENCE = ("", "UNKNOWN", "%LICENSE")

INTEL = "Intel, binary only: redistributable unchanged with its terms; no reverse engineering"
INTEL_TOOLS = "Intel, binary only: its agreement lists the redistributable files"
NVIDIA = "NVIDIA, binary only: read its agreement before redistributing it"
FORTRAN = "its wheel contains libgfortran (GPL-3 with runtime exception) and libquadmath (LGPL-2.1)"
# Notes by the beginning of the package name.
NOTES = {
    "av": "its wheel contains FFmpeg with x264 and x265 (GPL-2)",
    "cuda-": NVIDIA,
    "empy": "copyleft (LGPL); used only to build the ROS interfaces",
    "intel-": INTEL_TOOLS,
    "mkl": INTEL,
    "numpy": FORTRAN,
    "nvidia-": NVIDIA,
    "opencv-python": "its wheel contains FFmpeg (LGPL-2.1) as replaceable shared libraries",
    "scipy": FORTRAN,
    "tbb": INTEL,
    "tcmlib": INTEL,
}
# Licences of packages without licence metadata, from the licence files in the packages.
WITHOUT_METADATA = {
    "cmeel-qhull": "Qhull",
    "empy": "LGPL",
    "ros-fastcdr": "Apache-2.0",
    "ros-fastrtps": "Apache-2.0",
    "setuptools": "MIT",
}
COPYLEFT = re.compile(r"\b[AL]?GPL|\bMPL|\bEPL|\bCDDL|Affero|Lesser|Mozilla", re.IGNORECASE)
PROPRIETARY = re.compile(r"proprietary|NVIDIA|End User|Intel Simplified", re.IGNORECASE)


def licence(name: str, distribution: metadata.Distribution) -> tuple[str, bool]:
    """Return the licence of a package, and whether it is an SPDX expression.

    The sources are, in order: the licence expression, the short licence field and the classifiers
    of the metadata; the `package.xml` of a ROS package; and the table `WITHOUT_METADATA`.

    Args:
        name: canonical name of the package.
        distribution: installed distribution of the package.

    Returns:
        Licence text, empty if unknown, and whether it is an SPDX expression.
    """
    fields = distribution.metadata
    if expression := field(fields, "License-Expression"):
        return expression, True
    short = field(fields, "License")
    if short not in NO_LICENCE and "\n" not in short and len(short) <= MAX_LICENCE_NAME:
        return short, False
    classifiers = fields.get_all("Classifier") or []
    names = [entry.split(" :: ")[-1] for entry in classifiers if entry.startswith("License")]
    return "; ".join(names) or _ros_licence(name) or WITHOUT_METADATA.get(name, ""), False


def note(name: str, licence_text: str) -> str:
    """Return a note for the redistribution of a package; empty for permissive licences."""
    for start, text in NOTES.items():
        if name.startswith(start):
            return text
    if COPYLEFT.search(licence_text):
        return "copyleft: redistribute changes to it under the same licence"
    if PROPRIETARY.search(licence_text):
        return "proprietary: read its agreement before redistributing it"
    return "" if licence_text else "its metadata name no licence"


def field(fields: metadata.PackageMetadata, name: str) -> str:
    """Return a field of a package's metadata; empty if it is missing.

    The membership test is needed because the backport importlib_metadata, once imported, raises
    KeyError for a missing field.
    """
    return (fields[name] or "").strip() if name in fields else ""


def _ros_licence(name: str) -> str:
    package = name.removeprefix("ros-").replace("-", "_")
    path = Path(sys.prefix) / "share" / package / "package.xml"
    if not path.exists():
        return ""
    licences = re.findall(r"<license[^>]*>([^<]*)</license>", path.read_text("utf-8"))
    return "; ".join(name.strip() for name in licences)
