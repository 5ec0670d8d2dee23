"""The list of installed packages and their licences, as other programs and people read it."""

from __future__ import annotations

import datetime
import json
import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tacdiff_ros.cli.application import run
from tacdiff_ros.machine import packages
from tacdiff_ros.machine.bill_of_materials import bill_of_materials
from tacdiff_ros.machine.licences import note

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.timezone.utc)


def install(folder, name, version, *fields, record=""):
    """A package's metadata, as pip leaves them."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *fields]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    if record:
        (info / "RECORD").write_text(record)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Five packages; `solver` is needed with an extra, `editor` by nobody."""
    install(tmp_path, "Solver_Kit", "2.0+cpu", "Requires-Dist: fortran-runtime; extra == 'fast'")
    install(tmp_path, "fortran-runtime", "1.1", "License: LGPL-3.0", "Requires-Dist: absent>=2")
    install(
        tmp_path, "reader", "3", "License-Expression: MIT", "Requires-Dist: solver-kit", record="a"
    )
    install(tmp_path, "reader-tests", "3", "Requires-Dist: reader")
    install(tmp_path, "editor", "4", "Classifier: License :: OSI Approved :: MIT License")
    found = list(metadata.distributions(path=[str(tmp_path)]))
    monkeypatch.setattr(packages.metadata, "distributions", lambda: found)
    lines = ["reader>=2", "solver-kit[fast]", "windows-only; sys_platform == 'win32'"]
    monkeypatch.setattr(packages, "own_requirements", lambda: [Requirement(x) for x in lines])


def test_only_what_is_needed_and_installed_is_listed(environment):
    found = {package.name: package for package in packages.needed_packages()}
    assert set(found) == {"reader", "solver-kit", "fortran-runtime"}
    assert found["reader"].needs == ("solver-kit",)
    assert found["reader"].licence == "MIT"
    assert found["solver-kit"].purl == "pkg:pypi/solver-kit@2.0%2Bcpu"


def test_bill_holds_what_cyclonedx_requires(environment):
    listed = packages.needed_packages()
    bill = bill_of_materials(listed, NOON)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    assert bill["metadata"]["timestamp"] == "2026-01-02T12:00:00+00:00"
    references = [part["bom-ref"] for part in bill["components"]]
    references.append(bill["metadata"]["component"]["bom-ref"])
    assert len(set(references)) == len(references)
    assert {part["type"] for part in bill["components"]} == {"library"}
    assert {entry["ref"] for entry in bill["dependencies"]} == set(references)
    assert {ref for entry in bill["dependencies"] for ref in entry["dependsOn"]} <= set(references)
    by_name = {part["name"]: part for part in bill["components"]}
    assert by_name["reader"]["licenses"] == [{"expression": "MIT"}]
    assert by_name["fortran-runtime"]["licenses"] == [{"license": {"name": "LGPL-3.0"}}]
    assert "licenses" not in by_name["solver-kit"]
    assert bill == bill_of_materials(listed, NOON)


@pytest.mark.parametrize(
    ("name", "licence", "expected"),
    [
        ("mkl", "Intel Simplified Software License", "no reverse engineering"),
        ("intel-openmp", "Intel End User License Agreement", "its agreement lists"),
        ("nvidia-cudnn-cu12", "LicenseRef-NVIDIA-Proprietary", "NVIDIA"),
        ("jrl-cmakemodules", "LGPL-3.0-or-later", "copyleft"),
        ("pathspec", "Mozilla Public License 2.0", "copyleft"),
        ("nameless", "", "name no licence"),
        ("reader", "BSD-3-Clause", ""),
    ],
)
def test_what_to_know_before_passing_a_package_on(name, licence, expected):
    said = note(name, licence)
    assert expected in said
    assert bool(said) == bool(expected)


def test_this_environment_is_listed_without_tools_for_development(tmp_path, capsys):
    out = tmp_path / "bill.json"
    assert run(["sbom", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    bill = json.loads(out.read_text())
    parts = {part["name"]: part for part in bill["components"]}
    assert said == {"out": str(out), "components": len(parts)}
    assert parts["numpy"]["version"] == metadata.version("numpy")
    assert {"numba", "llvmlite", "rosbags", "lz4"} <= set(parts)
    assert not {"pytest", "ruff", "mypy"} & set(parts)
    assert list(tmp_path.iterdir()) == [out]


def test_table_of_licences_for_people_and_programs(environment, capsys):
    assert run(["sbom", "--licences"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "fortran" in line)
    assert line.split()[:3] == ["fortran-runtime", "1.1", "LGPL-3.0"]
    assert run(["sbom", "--licences", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["packages"]
    assert [row["name"] for row in rows] == ["fortran-runtime", "reader", "solver-kit"]


def test_a_folder_that_is_not_there_is_one_line(environment, tmp_path, capsys):
    assert run(["sbom", "--out", str(tmp_path / "none" / "bill.json")]) == 2
    assert "cannot write" in capsys.readouterr().err
