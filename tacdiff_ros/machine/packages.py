"""Installed Python packages that this package needs, directly or indirectly."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tacdiff_ros.machine.licences import field, licence

OWN_NAME = "tacdiff-ros"
DEVELOPMENT_EXTRA = "dev"
ROS_WHEELS = "ros-"


@dataclass(frozen=True)
class InstalledPackage:
    """Metadata of one installed package.

    Attributes:
        name: canonical package name (lower case, hyphens).
        version: installed version.
        licence: SPDX expression or other licence text; empty if unknown.
        is_spdx: whether the licence is an SPDX expression.
        needs: names of its installed dependencies.
        record_sha256: SHA-256 of its RECORD file (file list with hashes); empty without one.
    """

    name: str
    version: str
    licence: str
    is_spdx: bool
    needs: tuple[str, ...]
    record_sha256: str

    @property
    def purl(self) -> str:
        """Package URL (purl), the identifier used by vulnerability databases."""
        return f"pkg:pypi/{self.name}@{self.version.replace('+', '%2B')}"


def needed_packages() -> list[InstalledPackage]:
    """Return the installed runtime dependencies, sorted by name.

    Installed optional dependencies and all wheels of ROS are included; development dependencies are
    not. If the requirements of this package are unknown, as in a colcon workspace, all packages of
    the environment are returned.
    """
    installed = _distributions()
    own = own_requirements()
    if own is None:
        names: set[str] = set(installed) - {OWN_NAME}
    else:
        wheels = [Requirement(name) for name in installed if name.startswith(ROS_WHEELS)]
        names = _dependency_names([*own, *wheels], installed)
    return [_package(name, installed[name], names) for name in sorted(names)]


def own_requirements() -> list[Requirement] | None:
    """Return the requirements of this package and its extras; None if they are unknown."""
    try:
        lines = metadata.requires(OWN_NAME)
    except metadata.PackageNotFoundError:
        lines = None
    if not lines:  # installed by CMake
        lines = checkout_requirements()
    return None if lines is None else list(_parsed(lines))


def checkout_requirements() -> list[str] | None:
    """Return the runtime requirements of the checkout of this file; None outside a checkout."""
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not path.exists():
        return None
    try:
        project = _read_toml(path)["project"]
    except ImportError:  # Python 3.10 without pip
        return None
    optional = project["optional-dependencies"]
    extras = (lines for name, lines in optional.items() if name != DEVELOPMENT_EXTRA)
    return [*project["dependencies"], *(line for lines in extras for line in lines)]


def _read_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        from pip._vendor import tomli as tomllib
    return tomllib.loads(path.read_text("utf-8"))


def _distributions() -> dict[str, metadata.Distribution]:
    """Return the distributions of this environment by name, the first one on the path each."""
    by_name: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        if name := field(distribution.metadata, "Name"):
            by_name.setdefault(canonicalize_name(name), distribution)
    return by_name


def _dependency_names(
    start: Iterable[Requirement], installed: dict[str, metadata.Distribution]
) -> set[str]:
    """Return the names of all direct and indirect dependencies, requested extras included."""
    pending = list(start)
    visited: set[tuple[str, frozenset[str]]] = set()
    while pending:
        requirement = pending.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name not in installed or (name, extras) in visited:
            continue
        visited.add((name, extras))
        pending += _requirements(installed[name], extras)
    return {name for name, _ in visited} - {OWN_NAME}


def _requirements(
    distribution: metadata.Distribution, extras: Iterable[str]
) -> Iterator[Requirement]:
    """Yield the requirements of a package on this machine with the given extras."""
    for requirement in _parsed(distribution.requires or []):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _parsed(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # from a package older than PEP 508
            continue
        if DEVELOPMENT_EXTRA not in re.findall(r"\w+", str(requirement.marker or "")):
            yield requirement


def _package(name: str, distribution: metadata.Distribution, names: set[str]) -> InstalledPackage:
    needs = {canonicalize_name(r.name) for r in _requirements(distribution, ())}
    text, is_spdx = licence(name, distribution)
    record = distribution.read_text("RECORD")
    return InstalledPackage(
        name=name,
        version=distribution.version,
        licence=text,
        is_spdx=is_spdx,
        needs=tuple(sorted(needs & names)),
        record_sha256=hashlib.sha256(record.encode()).hexdigest() if record else "",
    )
