"""Which installed Python packages this one needs, directly and through others."""

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
    """One package as its own metadata describe it.

    Attributes:
        name: as the package index compares it: lower case, hyphens.
        version: installed version.
        licence: SPDX expression or the package's own words; empty where it says nothing.
        is_spdx: whether the licence is an SPDX expression.
        needs: names of the installed packages that it needs.
        record_sha256: of its list of files and their hashes; empty where there is none.
    """

    name: str
    version: str
    licence: str
    is_spdx: bool
    needs: tuple[str, ...]
    record_sha256: str

    @property
    def purl(self) -> str:
        """Package URL, by which vulnerability databases know it."""
        return f"pkg:pypi/{self.name}@{self.version.replace('+', '%2B')}"


def needed_packages() -> list[InstalledPackage]:
    """Packages that are installed and needed, by name, without those for development only.

    Optional packages count where they are installed, and so do all wheels of ROS. Where the own
    requirements are unknown, as in a colcon workspace, these are all packages of the environment.
    """
    installed = _distributions()
    own = own_requirements()
    if own is None:
        names: set[str] = set(installed) - {OWN_NAME}
    else:
        wheels = [Requirement(name) for name in installed if name.startswith(ROS_WHEELS)]
        names = _reached([*own, *wheels], installed)
    return [_package(name, installed[name], names) for name in sorted(names)]


def own_requirements() -> list[Requirement] | None:
    """Of this package and its optional parts, from the installation or the checkout."""
    try:
        lines = metadata.requires(OWN_NAME)
    except metadata.PackageNotFoundError:
        lines = None
    if not lines:  # installed by CMake
        lines = checkout_requirements()
    return None if lines is None else list(_parsed(lines))


def checkout_requirements() -> list[str] | None:
    """Of the checkout that this file is in, without those for development; None outside one."""
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
    """All packages of this environment; the first one on the path counts, as for imports."""
    found: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        if name := field(distribution.metadata, "Name"):
            found.setdefault(canonicalize_name(name), distribution)
    return found


def _reached(start: Iterable[Requirement], installed: dict[str, metadata.Distribution]) -> set[str]:
    """Names of what requirements lead to; a package counts with the extras that are asked for."""
    waiting = list(start)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name not in installed or (name, extras) in seen:
            continue
        seen.add((name, extras))
        waiting += _requirements(installed[name], extras)
    return {name for name, _ in seen} - {OWN_NAME}


def _requirements(
    distribution: metadata.Distribution, extras: Iterable[str]
) -> Iterator[Requirement]:
    """What a package needs on this machine, with some of its extras."""
    for requirement in _parsed(distribution.requires or []):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _parsed(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of a package older than the rules
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
