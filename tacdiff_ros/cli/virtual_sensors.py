"""`tacdiff virtual-sensors`: random virtual sensors with path-traced images and ground truth."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.virtual.random_sensors import VirtualSensorSettings
from tacdiff_ros.virtual.sensor_store import cache_folder, cached_sensor

Count = Annotated[int, typer.Option(min=1, max=10_000, help="number of sensors")]
Seed = Annotated[
    int, typer.Option(min=0, help="seed of the first sensor; each further sensor adds one")
]
Presses = Annotated[int, typer.Option(min=0, max=100, help="images of presses per sensor")]
Samples = Annotated[
    int, typer.Option(min=16, max=65_536, help="path tracer samples per pixel and light")
]
Folder = Annotated[
    Path | None, typer.Option(help="folder to write to; default: ~/.cache/tacdiff_ros/units")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]


def virtual_sensors(
    count: Count = 3,
    seed: Seed = 0,
    presses: Presses = 2,
    samples: Samples = 108,
    out: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Create random virtual sensors with path-traced images; existing sensors are reused."""
    folder = out or cache_folder()
    settings = VirtualSensorSettings(presses=presses, samples=samples)
    with ProgressBar("sensors", count) as bar:

        def advance(completed: int, fraction: float) -> None:
            bar.update(round(completed + fraction, 2))

        for k in range(count):
            cached_sensor(seed + k, settings, folder, partial(advance, k))
            advance(k, 1.0)
    if as_json:
        figures = {"sensors": count, "units": count, "first_seed": seed, "folder": str(folder)}
        print(json.dumps(figures))  # `units`: the key's name before 0.2
    else:
        print(f"{count} sensors in {folder}")


def deprecated_virtual_sensors(
    count: Count = 3,
    seed: Seed = 0,
    presses: Presses = 2,
    samples: Samples = 108,
    out: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Deprecated name of `tacdiff virtual-sensors`."""
    print("`tacdiff units` is now `tacdiff virtual-sensors`", file=sys.stderr)
    virtual_sensors(count, seed, presses, samples, out, as_json)
