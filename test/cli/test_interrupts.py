"""Ctrl-C, a closed terminal and a request to end: one word, one exit code, nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli import application
from tacdiff_ros.cli.interrupts import SIGNALS, watch_interrupts

COMMAND = [sys.executable, "-c", "from tacdiff_ros.cli import main; raise SystemExit(main())"]


def test_what_a_library_makes_of_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted_import(_arguments):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.0)
        except KeyboardInterrupt as error:
            raise SystemError("returned a result with an exception set") from error

    monkeypatch.setattr(application, "_run", interrupted_import)
    assert application.run(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_handlers_are_as_before_when_a_command_has_ended():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(KeyboardInterrupt), watch_interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1.0)
    assert interrupts.came
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_told_to_end_leaves_no_node(tmp_path, number):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    frames = tmp_path / "frames"
    frames.mkdir()
    from tacdiff_ros.mechanics.indenter_pose import IndenterPose
    from tacdiff_ros.virtual.frames import GeneratedFrames

    image = GeneratedFrames().render(IndenterPose(depth_mm=-1.0))
    cv2.imwrite(str(frames / "0.png"), np.asarray(image)[..., ::-1])
    out = tmp_path / "out"
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--frames", str(frames), "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in demo.stderr:
        said.append(line)
        if "trial 0" in line:
            break
    assert nodes_with(out), said
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130, errors
    assert not nodes_with(out)


def nodes_with(word: Path) -> list[str]:
    """Command lines of processes that name a folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(word) in line and "tacdiff_ros.nodes" in line:
            lines.append(line)
    return lines
