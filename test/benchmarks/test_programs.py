"""Every benchmark can be imported, and its command line explains itself."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
pytest.importorskip("torch", reason="torch is not installed; `make setup` brings it")

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text())
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in PROGRAMS)
# Their parts are chosen by other options, or they take seconds.
WITHOUT_QUICK = {"adversity", "attack", "camera_faults", "fuzz", "preflight_cases"}


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_the_benchmarks_are_imported(name):
    assert Path(importlib.import_module(name).__file__).parent == FOLDER


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_printed_with_the_common_options(name, monkeypatch, capsys):
    module = importlib.import_module(name)
    assert Path(module.__file__).parent == FOLDER
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: {name}.py")
    assert "--quick" in printed or name in WITHOUT_QUICK
    assert "--json" in printed or name == "fuzz"
