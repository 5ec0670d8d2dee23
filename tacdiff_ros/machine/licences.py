"""Licences of installed packages, and what is worth knowing before passing them on."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

MAX_LICENCE_NAME = 80  # characters; longer fields hold the whole licence
NO_LICENCE = ("", "UNKNOWN", "%LICENSE")

INTEL = "Intel, binary only: may be passed on unchanged and with its terms; no reverse engineering"
INTEL_TOOLS = "Intel, binary only: may be passed on as far as its agreement lists the files"
NVIDIA = "NVIDIA, binary only: read its agreement before passing it on"
FORTRAN = "its wheel holds libgfortran (GPL-3 with runtime exception) and libquadmath (LGPL-2.1)"
# By the start of the name.
NOTES = {
    "cuda-": NVIDIA,
    "empy": "copyleft (LGPL); only used to build the ROS interfaces",
    "intel-": INTEL_TOOLS,
    "mkl": INTEL,
    "numpy": FORTRAN,
    "nvidia-": NVIDIA,
    "opencv-python": "its wheel holds FFmpeg (LGPL-2.1) as shared libraries that can be replaced",
    "scipy": FORTRAN,
    "tbb": INTEL,
    "tcmlib": INTEL,
}
# Of packages whose metadata are silent; from the licence files in them.
SILENT = {
    "cmeel-qhull": "Qhull",
    "empy": "LGPL",
    "ros-fastcdr": "Apache-2.0",
    "ros-fastrtps": "Apache-2.0",
    "setuptools": "MIT",
}
COPYLEFT = re.compile(r"\b[AL]?GPL|\bMPL|\bEPL|\bCDDL|Affero|Lesser|Mozilla", re.IGNORECASE)
PROPRIETARY = re.compile(r"proprietary|NVIDIA|End User|Intel Simplified", re.IGNORECASE)


def licence(name: str, distribution: metadata.Distribution) -> tuple[str, bool]:
    """A package's licence in its own words, and whether these are an SPDX expression.

    From its metadata: the expression, the short field, or the classifiers; for a ROS package from
    its `package.xml`. Empty where it says nothing and is not one of the few that are known.
    """
    fields = distribution.metadata
    if expression := field(fields, "License-Expression"):
        return expression, True
    short = field(fields, "License")
    if short not in NO_LICENCE and "\n" not in short and len(short) <= MAX_LICENCE_NAME:
        return short, False
    classifiers = fields.get_all("Classifier") or []
    names = [entry.split(" :: ")[-1] for entry in classifiers if entry.startswith("License")]
    return "; ".join(names) or _ros_licence(name) or SILENT.get(name, ""), False


def note(name: str, licence_text: str) -> str:
    """What to know before passing a package on; empty for permissive licences."""
    for start, text in NOTES.items():
        if name.startswith(start):
            return text
    if COPYLEFT.search(licence_text):
        return "copyleft: changes to it, when passed on, under the same licence"
    if PROPRIETARY.search(licence_text):
        return "proprietary: read its agreement before passing it on"
    return "" if licence_text else "its metadata name no licence"


def field(fields: metadata.PackageMetadata, name: str) -> str:
    """A field of a package's metadata; empty where it is missing.

    The backport importlib_metadata, once something imports it, raises KeyError there.
    """
    return (fields[name] or "").strip() if name in fields else ""


def _ros_licence(name: str) -> str:
    package = name.removeprefix("ros-").replace("-", "_")
    path = Path(sys.prefix) / "share" / package / "package.xml"
    if not path.exists():
        return ""
    found = re.findall(r"<license[^>]*>([^<]*)</license>", path.read_text("utf-8"))
    return "; ".join(name.strip() for name in found)
