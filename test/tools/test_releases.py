"""One version everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tacdiff_ros

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("pyproject.toml", r'^version = "(.+)"$'),
        ("package.xml", r"<version>(.+)</version>"),
        ("CITATION.cff", r"^version: (.+)$"),
    ],
)
def test_files_carry_the_version_of_the_package(file, pattern):
    match = re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)
    assert match is not None
    assert match[1] == tacdiff_ros.__version__
