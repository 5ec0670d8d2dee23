"""Runs of the acquisition graph on virtual hardware, as processes on a DDS domain of their own."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.errors import InputError

WATCH_PERIOD_S = 0.5
PATIENCE_S = 1800  # for nodes that compile; one that ends or fails is noticed at once
CLOCK = "virtual_clock"
WORLD = ("virtual_panda", "virtual_gelsight", "gelsight_driver", "acquisition")
FOLLOWERS = ("tactile_simulator", "comparator")


@dataclass(frozen=True)
class GraphRun:
    """Nodes to start and one goal to send.

    Attributes:
        name: of the recording.
        protocol: file name.
        indenter: spec, for the recording.
        nodes: further ROS arguments of each; those of the virtual world wait for each other on
            its clock, so that a slow machine makes the run longer and loses nothing.
        trials: 0 for the protocol's.
        awaited: topics that must be published before the goal is sent.
    """

    name: str
    protocol: str
    indenter: str
    nodes: dict[str, list[str]]
    trials: int = 0
    awaited: Sequence[str] = ()


def require_ros() -> None:
    """InputError where the nodes cannot run."""
    for module in ("rclpy", "franka_msgs", "tacdiff_ros.msg"):
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"the demo runs on ROS 2 and {module} is not installed: run `make setup` in the "
                "repository, or source a ROS workspace with this package"
            )


def parameters(**values: object) -> list[str]:
    """ROS arguments that set parameters; a double underscore stands for a dot."""
    return [
        part
        for name, value in values.items()
        for part in ("-p", f"{name.replace('__', '.')}:={value}")
    ]


def run_graph(run: GraphRun, logs: Path, console: Console) -> dict[str, Any]:
    """Start the nodes, send the goal, end the nodes; the goal's result."""
    environment = isolated_environment()
    nodes = {}
    with ExitStack() as stack:
        for node, extra in in_lock_step(run.nodes).items():
            log = logs / f"{run.name}_{node}.log"
            nodes[log] = stack.enter_context(running_node(node, extra, log, environment))
        goal = ["--protocol", run.protocol, "--output", run.name, "--trials", str(run.trials)]
        goal += ["--indenter", run.indenter, "--server-timeout", str(PATIENCE_S)]
        goal += [part for topic in run.awaited for part in ("--await-topic", topic)]
        goal += [part for node in run.nodes for part in ("--await-ready", node)]
        result = _send_goal(goal, environment, console, nodes)
        for process in nodes.values():  # all at once: the run has ended, nobody needs another
            process.send_signal(signal.SIGINT)
        return result


def in_lock_step(nodes: dict[str, list[str]]) -> dict[str, list[str]]:
    """The same nodes on the clock of the virtual world, which is started first.

    Without a virtual arm there is no such world: the nodes stay on the wall clock.
    """
    if "virtual_panda" not in nodes:
        return dict(nodes)
    taking_part = [name for name in nodes if name in WORLD + FOLLOWERS]
    shared = parameters(use_sim_time="true", lock_step="true", lock_step_nodes=_listed(taking_part))
    clock = parameters(
        participants=_listed(name for name in taking_part if name in WORLD),
        followers=_listed(name for name in taking_part if name in FOLLOWERS),
    )
    others = parameters(use_sim_time="true")
    return {CLOCK: clock} | {
        name: [*extra, *(shared if name in taking_part else others)]
        for name, extra in nodes.items()
    }


def _listed(names: Iterable[str]) -> str:
    """Value of a parameter that is a list of names."""
    return "[" + ",".join(f"'{name}'" for name in list(names) or [""]) + "]"


def _send_goal(
    goal: list[str],
    environment: dict[str, str],
    console: Console,
    nodes: dict[Path, subprocess.Popen[bytes]],
) -> dict[str, Any]:
    """Send the goal from a process of its own and show its feedback; Ctrl-C cancels it.

    The end of a node, known by its log, ends the wait.
    """
    command = [sys.executable, "-m", "tacdiff_ros.nodes.acquire_client", *goal]
    client = subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert client.stdout is not None  # noqa: S101
    ended: list[str] = []
    watch = threading.Thread(target=_watch, args=(nodes, client, ended), daemon=True)
    watch.start()
    interrupted = _follow(client, console)
    answer = client.stdout.read().strip()
    client.wait()
    watch.join()
    nothing = ended[0] if ended else "the acquisition gave no result"
    if interrupted:
        nothing = "interrupted before the goal was sent"
    result = _parse(answer) or {"success": False, "message": nothing}
    if not result["success"] and (cause := _ended(nodes)):
        result["message"] = cause  # the client only knows that a node is gone
    return result


def _follow(client: subprocess.Popen[str], console: Console) -> bool:
    """Show what the client says until it ends; whether Ctrl-C came, which is handed on to it."""
    assert client.stderr is not None  # noqa: S101
    interrupted = False
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        feedback = _FeedbackLines(console, progress)
        while True:
            try:
                line = client.stderr.readline()
            except KeyboardInterrupt:
                interrupted = True
                client.send_signal(signal.SIGINT)
                console.print("interrupted: ending the run and its nodes")
                continue
            if not line:
                return interrupted
            if _parse(line) is not None or not interrupted:
                feedback.show(line)  # else what Python says of an interrupted import


class _FeedbackLines:
    """Progress on a terminal, a line for each new step elsewhere."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._task = progress.add_task("starting the nodes", total=1.0)
        self._last = ""

    def show(self, line: str) -> None:
        """One line of the client: feedback as JSON, or a message."""
        feedback = _parse(line)
        if feedback is None:
            self._console.print(line.rstrip(), markup=False)
            return
        text, completed = feedback.get("waiting", ""), 0.0
        if not text:
            text = f"trial {feedback['trial']}: {feedback['step']}"
            completed = feedback["progress"]
        self._progress.update(self._task, completed=completed, description=f"{text:30}")
        if not self._console.is_terminal and text != self._last:
            self._console.print(text, markup=False, highlight=False)
        self._last = text


def _watch(
    nodes: dict[Path, subprocess.Popen[bytes]], client: subprocess.Popen[str], ended: list[str]
) -> None:
    """End the client when a node ends before it, and keep that node's last line."""
    while client.poll() is None:
        if cause := _ended(nodes):
            ended.append(cause)
            client.kill()
            return
        time.sleep(WATCH_PERIOD_S)


def _ended(nodes: dict[Path, subprocess.Popen[bytes]]) -> str:
    """Which node has ended, and its last line; empty while all run."""
    for log, process in nodes.items():
        if process.poll() is not None:
            lines = _lines(log)
            return f"{log.stem} ended: {lines[-1] if lines else 'without a word'}"
    return ""


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").strip().splitlines()
    except OSError as error:
        return [f"its log cannot be read ({error.strerror})"]


def _parse(line: str) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except json.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None
