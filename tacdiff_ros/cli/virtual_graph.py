"""Runs the acquisition graph on virtual hardware, as processes on an isolated DDS domain."""

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
SERVER_TIMEOUT_S = 1800  # nodes may compile; a node that ends or fails is detected at once
CLOCK = "virtual_clock"
WORLD = ("virtual_panda", "virtual_gelsight", "gelsight_driver", "acquisition")
FOLLOWERS = ("tactile_simulator", "comparator")


@dataclass(frozen=True)
class GraphRun:
    """Nodes to start and one acquisition goal to send.

    Attributes:
        name: name of the recording.
        protocol: file name of the protocol.
        indenter: indenter spec, stored in the recording.
        nodes: further ROS arguments by node name. The nodes of the virtual world run in lock step
            on its clock, so that a slow machine extends the run but loses no images.
        trials: number of trials; 0 for the number in the protocol.
        awaited: topics that must be published before the goal is sent.
    """

    name: str
    protocol: str
    indenter: str
    nodes: dict[str, list[str]]
    trials: int = 0
    awaited: Sequence[str] = ()


def require_ros() -> None:
    """Check that the Python modules of the nodes are installed.

    Raises:
        InputError: a module is missing.
    """
    for module in ("rclpy", "franka_msgs", "tacdiff_ros.msg"):
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"the demo needs ROS 2, but {module} is not installed: run `make setup` in the "
                "repository, or source a ROS workspace with this package"
            )


def parameters(**values: object) -> list[str]:
    """Return the ROS arguments that set parameters.

    Args:
        values: parameter values by name; a double underscore in a name becomes a period.
    """
    return [
        part
        for name, value in values.items()
        for part in ("-p", f"{name.replace('__', '.')}:={value}")
    ]


def run_graph(run: GraphRun, logs: Path, console: Console) -> dict[str, Any]:
    """Start the nodes, send the goal, stop the nodes, and return the result of the goal.

    Args:
        run: nodes and goal.
        logs: folder of the log files, one per node.
        console: console for progress and messages.
    """
    environment = isolated_environment()
    nodes = {}
    with ExitStack() as stack:
        for node, extra in in_lock_step(run.nodes).items():
            log = logs / f"{run.name}_{node}.log"
            nodes[log] = stack.enter_context(running_node(node, extra, log, environment))
        goal = ["--protocol", run.protocol, "--output", run.name, "--trials", str(run.trials)]
        goal += ["--indenter", run.indenter, "--server-timeout", str(SERVER_TIMEOUT_S)]
        goal += [part for topic in run.awaited for part in ("--await-topic", topic)]
        goal += [part for node in run.nodes for part in ("--await-ready", node)]
        result = run_client("acquire_client", goal, environment, console, nodes)
        for process in nodes.values():  # all at once, to stop them in parallel
            process.send_signal(signal.SIGINT)
        return result


def in_lock_step(nodes: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the nodes with arguments that synchronise them with the virtual clock.

    The node of the virtual clock is added as the first one. Without a virtual arm there is no
    virtual world: the nodes are returned unchanged and use the wall clock.

    Args:
        nodes: further ROS arguments by node name.
    """
    if "virtual_panda" not in nodes:
        return dict(nodes)
    synchronised = [name for name in nodes if name in WORLD + FOLLOWERS]
    shared = parameters(
        use_sim_time="true", lock_step="true", lock_step_nodes=_list_parameter(synchronised)
    )
    clock = parameters(
        participants=_list_parameter(name for name in synchronised if name in WORLD),
        followers=_list_parameter(name for name in synchronised if name in FOLLOWERS),
    )
    others = parameters(use_sim_time="true")
    return {CLOCK: clock} | {
        name: [*extra, *(shared if name in synchronised else others)]
        for name, extra in nodes.items()
    }


def _list_parameter(names: Iterable[str]) -> str:
    """Return the value of a list parameter as ROS argument."""
    return "[" + ",".join(f"'{name}'" for name in list(names) or [""]) + "]"


def run_client(
    name: str,
    arguments: list[str],
    environment: dict[str, str],
    console: Console,
    nodes: dict[Path, subprocess.Popen[bytes]],
) -> dict[str, Any]:
    """Run a client that sends a goal, show its progress, and return its result.

    Ctrl-C interrupts the client. The end of a node ends the wait.

    Args:
        name: name of the client in `tacdiff_ros.nodes`.
        arguments: its command line arguments.
        environment: its environment variables.
        console: console for progress and messages.
        nodes: node processes by log file.

    Returns:
        Its result, at least `success` and `message`.
    """
    command = [sys.executable, "-m", f"tacdiff_ros.nodes.{name}", *arguments]
    client = subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert client.stdout is not None  # noqa: S101
    failures: list[str] = []
    watch = threading.Thread(target=_watch, args=(nodes, client, failures), daemon=True)
    watch.start()
    interrupted = _follow(client, console)
    output = client.stdout.read().strip()
    client.wait()
    watch.join()
    message = failures[0] if failures else f"{name} returned no result"
    if interrupted:
        message = "interrupted before the goal was sent"
    result = _parse(output) or {"success": False, "message": message}
    if not result["success"] and (cause := _ended_node(nodes)):
        result["message"] = cause  # the client does not know why the node ended
    return result


def _follow(client: subprocess.Popen[str], console: Console) -> bool:
    """Show the client's output until it ends; return whether Ctrl-C was pressed and forwarded."""
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
                console.print("interrupted: stopping the run and its nodes")
                continue
            if not line:
                return interrupted
            if _parse(line) is not None or not interrupted:
                feedback.show(line)  # else a traceback of an interrupted import


class _FeedbackLines:
    """Prints feedback: a progress bar on a terminal, else one line per new step."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._task = progress.add_task("starting the nodes", total=1.0)
        self._last = ""

    def show(self, line: str) -> None:
        """Print one line of the client, which is feedback as JSON or a message."""
        feedback = _parse(line)
        if feedback is None:
            self._console.print(line.rstrip(), markup=False)
            return
        text, completed = feedback.get("waiting", ""), 0.0
        if not text:
            trial = f"trial {feedback['trial']}: " if "trial" in feedback else ""
            text = trial + feedback["step"]
            completed = feedback["progress"]
        self._progress.update(self._task, completed=completed, description=f"{text:30}")
        if not self._console.is_terminal and text != self._last:
            self._console.print(text, markup=False, highlight=False)
        self._last = text


def _watch(
    nodes: dict[Path, subprocess.Popen[bytes]], client: subprocess.Popen[str], failures: list[str]
) -> None:
    """Kill the client if a node ends first, and append the description of that node to failures."""
    while client.poll() is None:
        if cause := _ended_node(nodes):
            failures.append(cause)
            client.kill()
            return
        time.sleep(WATCH_PERIOD_S)


def _ended_node(nodes: dict[Path, subprocess.Popen[bytes]]) -> str:
    """Return the name and the last output line of an ended node; empty while all nodes run."""
    for log, process in nodes.items():
        if process.poll() is not None:
            lines = _lines(log)
            return f"{log.stem} ended: {lines[-1] if lines else 'without output'}"
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
