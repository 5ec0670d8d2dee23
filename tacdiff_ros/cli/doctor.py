"""`tacdiff doctor`: checks of this machine, with advice for each problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from tacdiff_ros.machine.checks import run_checks

COLOURS = {"good": "green", "warning": "yellow", "bad": "red"}


def doctor(
    out: Annotated[Path, typer.Option(help="output folder of results, to check")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> int:
    """Check this machine, one line per check; exit with code 1 if a check is bad."""
    console = Console(soft_wrap=True)
    checks = []
    for check in run_checks(out):
        checks.append(check)
        if not as_json:
            state = Text(f"{check.state:8}", COLOURS[check.state])
            console.print(state + Text(check.line))
    ok = all(check.state != "bad" for check in checks)
    if as_json:
        print(json.dumps({"ok": ok, "checks": [check.as_json() for check in checks]}))
    return 0 if ok else 1
