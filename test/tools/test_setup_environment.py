"""`make setup` in folders of other people, in paths with spaces, in shells with another ROS."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "setup_environment.py"


@pytest.fixture
def setup(monkeypatch):
    """The script as a module."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(setup, tmp_path, monkeypatch):
    """A small checkout, its root, with everything prepared."""
    root = tmp_path / "a check out"
    (root / "msg").mkdir(parents=True)
    (root / "msg" / "Field.msg").write_text("bool found\n")
    monkeypatch.setattr(setup, "ROOT", root)
    venv = root / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (venv / "bin" / "python").chmod(0o755)
    (venv / "stamps").mkdir()
    for step, inputs in setup.step_inputs().items():
        (venv / "stamps" / step).write_text(setup.fingerprint(inputs))
    monkeypatch.delenv("TACDIFF_VENV", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return root


def test_where_is_the_folder_that_make_uses():
    said = subprocess.run([sys.executable, SCRIPT, "--where"], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    assert Path(said.stdout.strip()).name == ".venv" or "tacdiff_ros" in said.stdout


def test_in_an_own_folder_the_environment_is_dot_venv(setup, checkout):
    assert setup.venv_folder() == checkout / ".venv"


def test_what_the_owner_prepared_is_used(setup, checkout, monkeypatch):
    monkeypatch.setattr(setup, "is_writable", lambda folder: False)
    (checkout / ".venv" / "stamps" / "venv").write_text("made by another Python")
    assert setup.venv_folder() == checkout / ".venv"


@pytest.mark.parametrize("fault", ["missing", "out of date", "private"])
def test_else_it_goes_to_the_data_folder_of_the_user(setup, checkout, monkeypatch, fault):
    monkeypatch.setattr(setup, "is_writable", lambda folder: False)
    if fault == "missing":
        monkeypatch.setattr(setup, "ROOT", checkout / "msg")
    elif fault == "out of date":
        (checkout / "msg" / "Field.msg").write_text("bool[] found\n")
    else:
        (checkout / ".venv" / "bin" / "python").chmod(0)
    folder = setup.venv_folder()
    assert folder.parent == Path(os.environ["XDG_DATA_HOME"]) / "tacdiff_ros"
    assert folder.name.startswith(f"{setup.ROOT.name}-")


def test_a_folder_can_be_chosen(setup, checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("TACDIFF_VENV", str(tmp_path / "mine"))
    assert setup.venv_folder() == tmp_path / "mine"


def test_a_file_error_is_one_line(setup, monkeypatch, capsys):
    def full():
        raise OSError(28, "No space left on device", "/full")

    monkeypatch.setattr(setup, "prepare", full)
    monkeypatch.setattr(setup, "is_writable", lambda folder: True)
    monkeypatch.setattr(sys, "argv", ["setup_environment.py"])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert setup.main() == 2
    assert capsys.readouterr().err == "setup: /full: No space left on device\n"


def test_executables_run_from_a_path_with_spaces_and_umlauts(tmp_path):
    folder = tmp_path / "für einen langen Pfad " / ("x" * 120)
    folder.mkdir(parents=True)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    text = (ROOT / "tools" / "executable.py.in").read_text()
    text = text.replace("@Python3_EXECUTABLE@", str(python)).replace("@module@", "greeting")
    command = folder / "greet"
    command.write_text(text)
    command.chmod(0o755)
    (folder / "greeting.py").write_text("import sys\ndef main(): print(sys.argv[1:]); return 3\n")
    said = subprocess.run([command, "a b", "c"], capture_output=True, text=True)
    assert (said.stdout, said.stderr, said.returncode) == ("['a b', 'c']\n", "", 3)


def test_sources_are_linked_in_any_locale(setup, checkout, monkeypatch, tmp_path):
    root = tmp_path / "zwei für mich"
    venv = root / ".venv"
    monkeypatch.setattr(setup, "ROOT", root)
    monkeypatch.setattr(setup, "VENV", venv)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    monkeypatch.setattr(setup, "PYTHON", venv / "bin" / "python")
    setup.link_sources()
    command = [
        venv / "bin" / "python",
        "-c",
        "import os, sys; print(ascii(os.fsencode(sys.path[1])))",
    ]
    for variables in ({"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONUTF8": "1"}):
        said = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        assert said.stdout.strip() == ascii(os.fsencode(root))
