"""Progress of commands whose error stream is no terminal."""

from __future__ import annotations

import pytest

from tacdiff_ros.cli import progress_bar
from tacdiff_ros.cli.progress_bar import ProgressBar


@pytest.mark.parametrize(
    ("total", "completed", "line"),
    [
        (215, 120, "replaying: 120 of 215, beta"),
        (1.0, 0.25, "replaying: 25 %, beta"),
        (None, 7, "replaying: 7, beta"),
    ],
)
def test_a_pipe_gets_lines_and_no_bar(total, completed, line, monkeypatch, capsys):
    monkeypatch.setattr(progress_bar, "LINE_PERIOD_S", -1.0)
    with ProgressBar("replaying", total) as bar:
        bar.update(completed, note="beta")
    assert capsys.readouterr().err == f"{line}\n"


def test_a_quick_command_prints_nothing(capsys):
    with ProgressBar("markers", 3) as bar:
        assert list(bar.track("abc")) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_total_and_a_stage_may_become_known_later(monkeypatch, capsys):
    monkeypatch.setattr(progress_bar, "LINE_PERIOD_S", -1.0)
    with ProgressBar("trials") as bar:
        bar.update(1, 4, stage="samples")
        bar.advance()
    assert capsys.readouterr().err == "samples: 1 of 4\nsamples: 2 of 4\n"
