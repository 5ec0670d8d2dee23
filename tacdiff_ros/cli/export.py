"""`tacdiff export`: recorded runs and datasets in formats of other programs."""

from __future__ import annotations

import json
import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.export.episodes import open_episodes
from tacdiff_ros.output_files import check_space


class ExportFormat(str, Enum):
    """Formats that can be written."""

    LEROBOT = "lerobot"
    HDF5 = "hdf5"


def export(
    source: Annotated[Path, typer.Argument(help="folder of a recorded run or of a dataset")],
    out: Annotated[Path, typer.Argument(help="folder (lerobot) or file (hdf5) to write")],
    output_format: Annotated[
        ExportFormat, typer.Option("--format", help="lerobot: LeRobot v3.0; hdf5: as robomimic")
    ],
    video: Annotated[
        bool,
        typer.Option("--video", help="lerobot: images as H.264 video, smaller and lossy"),
    ] = False,
    sensor: Annotated[
        Path | None, typer.Option(help="sensor file whose images of a dataset are exported")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Export a run or dataset: images, poses, forces; one episode for each trial."""
    from tacdiff_ros.sensor.sensor_file import read_sensor

    started = time.perf_counter()
    if video and output_format is not ExportFormat.LEROBOT:
        raise InputError("--video is for --format lerobot: HDF5 stores images without loss")
    check_space(out.absolute().parent)
    episodes = open_episodes(source, None if sensor is None else read_sensor(sensor).checksum)
    with ProgressBar("frames") as bar:
        if output_format is ExportFormat.HDF5:
            from tacdiff_ros.export.hdf5 import write_hdf5

            counts = write_hdf5(episodes, out, bar.advance)
        else:
            from tacdiff_ros.export.lerobot import write_lerobot

            counts = write_lerobot(episodes, out, video, bar.advance)
    figures = {
        "out": str(out),
        "format": output_format.value,
        **counts,
        "fps": episodes.fps,
        "seconds": round(time.perf_counter() - started, 1),
    }
    if as_json:
        print(json.dumps(figures))
        return
    print(
        f"{out}: {counts['episodes']} episodes, {counts['frames']} frames, "
        f"{figures['seconds']:.1f} s\nnext: load it as docs/export.md shows"
    )
