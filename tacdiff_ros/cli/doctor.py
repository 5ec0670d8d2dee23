"""`tacdiff doctor`: what works on this machine, what does not, and what to do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from tacdiff_ros.machine.checks import run_checks

COLOURS = {"good": "green", "warning": "yellow", "bad": "red"}


def doctor(
    out: Annotated[Path, typer.Option(help="folder that results will go to")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> int:
    """Check this machine, a line a check; exit code 1 if something is bad."""
    console = Console(soft_wrap=True)
    checks = []
    for check in run_checks(out):
        checks.append(check)
        if not as_json:
            state = Text(f"{check.state:8}", COLOURS[check.state])
            console.print(state + Text(check.line))
    ok = all(check.state != "bad" for check in checks)
    if as_json:
        print(json.dumps({"ok": ok, "checks": [dataclasses.asdict(check) for check in checks]}))
    return 0 if ok else 1
