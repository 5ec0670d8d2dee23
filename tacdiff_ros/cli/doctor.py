"""`tacdiff doctor`: checks of this machine or of the rig, with advice for each problem."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from tacdiff_ros.errors import InputError
from tacdiff_ros.machine.check import Check
from tacdiff_ros.machine.checks import run_checks
from tacdiff_ros.machine.rig_checks import check_rig, check_rig_file, compare_checksums

COLOURS = {"good": "green", "warning": "yellow", "bad": "red"}


def doctor(
    out: Annotated[Path, typer.Option(help="output folder of results, to check")] = Path(),
    rig: Annotated[
        bool, typer.Option("--rig", help="check the rig of the running nodes, without a motion")
    ] = False,
    rig_file: Annotated[
        Path | None,
        typer.Option(help="rig file to check; with --rig, also whether the nodes run with it"),
    ] = None,
    namespace: Annotated[str, typer.Option(help="namespace of the nodes, with --rig")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> int:
    """Check this machine or the rig, one line per check; exit with code 1 if a check is bad."""
    if namespace and not rig:
        raise InputError(f"namespace '{namespace[:60]}' is given without --rig: add --rig")
    console = Console(soft_wrap=True)
    checks = []
    for check in _checks(out, rig, rig_file, namespace):
        checks.append(check)
        if not as_json:
            state = Text(f"{check.state:8}", COLOURS[check.state])
            console.print(state + Text(check.line))
    ok = all(check.state != "bad" for check in checks)
    if as_json:
        print(json.dumps({"ok": ok, "checks": [check.as_json() for check in checks]}))
    return 0 if ok else 1


def _checks(out: Path, rig: bool, rig_file: Path | None, namespace: str) -> Iterator[Check]:
    """Checks of the rig file, of the running rig, or of the machine."""
    if rig_file is not None:
        yield from check_rig_file(rig_file)
    if not rig:
        yield from () if rig_file is not None else run_checks(out)
        return
    answered = []
    for check in check_rig(namespace):
        answered.append(check)
        yield check
    if rig_file is not None:
        yield compare_checksums(rig_file, answered)
