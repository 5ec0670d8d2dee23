"""`tacdiff units`: random virtual sensors with path-traced images and their truth."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from tacdiff_ros.virtual.unit_store import cache_folder, cached_unit
from tacdiff_ros.virtual.units import UnitSettings


def units(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="how many units")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="of the first unit; others count on")] = 0,
    presses: Annotated[int, typer.Option(min=0, max=100, help="images of presses per unit")] = 2,
    samples: Annotated[
        int, typer.Option(min=16, max=65_536, help="of the path tracer, per pixel and light")
    ] = 108,
    out: Annotated[
        Path | None, typer.Option(help="folder; default: ~/.cache/tacdiff_ros/units")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Make virtual sensor units with path-traced images; what is there already is kept."""
    folder = out or cache_folder()
    settings = UnitSettings(presses=presses, samples=samples)
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("units", total=count)

        def advance(made: int, share: float) -> None:
            progress.update(task, completed=made + share)

        for k in range(count):
            cached_unit(seed + k, settings, folder, partial(advance, k))
            advance(k, 1.0)
    if as_json:
        print(json.dumps({"units": count, "first_seed": seed, "folder": str(folder)}))
    else:
        print(f"{count} units in {folder}")
