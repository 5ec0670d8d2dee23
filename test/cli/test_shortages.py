"""A command that runs out of something says so in one line, and ends with exit code 2."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tacdiff_ros.cli import application


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError("2 GB"), "not enough memory"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files"),
    ],
)
def test_shortage_in_a_command_is_one_line(error, expected, monkeypatch, capsys):
    def fail(**_options):
        raise error

    monkeypatch.setattr(application, "application", fail)
    assert application.run([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert expected in line


def test_other_exceptions_keep_their_traceback(monkeypatch):
    def fail(**_options):
        raise KeyError("bug")

    monkeypatch.setattr(application, "application", fail)
    with pytest.raises(KeyError):
        application.run([])


def test_modules_that_find_no_memory_are_one_line(monkeypatch, capsys):
    from tacdiff_ros.cli import main
    from tacdiff_ros.machine import process_setup

    def fail():
        raise ImportError("x.so: failed to map segment from shared object")

    monkeypatch.setattr(process_setup, "prepare_process", fail)
    assert main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not enough memory")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_full_stdout_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(application, "application", lambda **_options: print("result"))
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(application.sys, "stdout", full)
        assert application.run([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: No space left on device")
