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
    assert interrupts.received
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_nodes_end_when_what_started_them_is_killed(tmp_path):
    """SIGKILL gives nobody the time to end them."""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    script = (
        "import time; from pathlib import Path\n"
        "from tacdiff_ros.cli.processes import isolated_environment, running_node\n"
        f"log = Path({str(tmp_path / 'log')!r})\n"
        "with running_node('marker_tracker', [], log, isolated_environment()) as node:\n"
        "    print(node.pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    node = int(parent.stdout.readline())
    end = time.monotonic() + 60.0
    while "ready" not in (tmp_path / "log").read_text() and time.monotonic() < end:
        time.sleep(0.1)
    parent.kill()
    parent.communicate()
    while is_running(node) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_running(node)


@pytest.mark.slow
def test_a_demo_that_is_told_to_end_leaves_no_node(tmp_path):
    """By either signal; both demonstrations run side by side."""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
    frames = tmp_path / "frames"
    frames.mkdir()
    from tacdiff_ros.geometry.indenter_pose import IndenterPose
    from tacdiff_ros.virtual.frames import GeneratedFrames

    image = GeneratedFrames().render(IndenterPose(depth_mm=-1.0))
    cv2.imwrite(str(frames / "0.png"), np.asarray(image)[..., ::-1])
    folders = {
        number: tmp_path / f"out_{number.name}" for number in (signal.SIGTERM, signal.SIGHUP)
    }
    demos = {
        number: subprocess.Popen(
            [*COMMAND, "demo", "--frames", str(frames), "--out", str(out)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, out in folders.items()
    }
    for number, demo in demos.items():
        said = []
        for line in demo.stderr:
            said.append(line)
            if "trial 0" in line:
                break
        assert nodes_with(folders[number]), "".join(said)
        demo.send_signal(number)
    for number, demo in demos.items():
        _, errors = demo.communicate(timeout=60)
        assert demo.returncode == 130, errors
        assert not nodes_with(folders[number])


def is_running(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


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
