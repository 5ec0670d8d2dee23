"""What set-up downloads: pinned, checked by hashes, above known holes."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tacdiff_ros.machine.packages import checkout_requirements

ROOT = Path(__file__).parents[2]


def requirements(text: str) -> dict[str, Requirement]:
    """Requirements of a text, a line each, by their names."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    parsed = [Requirement(line) for line in lines if line]
    return {requirement.name: requirement for requirement in parsed}


@pytest.fixture(scope="module")
def project() -> dict[str, Requirement]:
    """Requirements of pyproject.toml, optional ones included."""
    return requirements("\n".join(checkout_requirements() or []))


def test_every_ros_wheel_is_pinned_and_hashed():
    text = (ROOT / "tools" / "ros-jazzy-wheels.txt").read_text()
    entries = re.split(r"\n(?=ros-)", text.split("\nros-", 1)[1])
    for entry in entries:
        name, *hashes = entry.replace("\\", "").split()
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", name), name
        assert len(hashes) in (1, 5), name  # one for all, or one for each of CPython 3.10 to 3.14
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text) for text in hashes)
    assert len(entries) == text.count("==")


def test_requirements_for_colcon_are_those_of_the_package(project):
    listed = requirements((ROOT / "requirements.txt").read_text())
    for name, requirement in listed.items():
        assert requirement.specifier == project[name].specifier, name
        assert requirement.extras == project[name].extras, name


def test_this_environment_keeps_to_the_bounds(project):
    checked = []
    for name, requirement in project.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # optional, or another Python's
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(version, prereleases=True), (name, version)
            checked.append(name)
    assert {"numpy", "opencv-python-headless", "pydantic"} <= set(checked), sys.version
