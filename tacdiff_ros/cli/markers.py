"""`tacdiff markers`: dots in an image, a video or a folder."""

from __future__ import annotations

import json
import math
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.frame_sources import IMAGE_ENDINGS, FrameSource, open_frames
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.sensor.marker_grid import MarkerGrid


def markers(
    source: Annotated[Path, typer.Argument(help="image, video file or folder of images")],
    grid: Annotated[str, typer.Option(help="rows x columns; older gels have 8x10")] = "7x9",
    reference: Annotated[
        Path | None, typer.Option(help="image of the untouched sensor; default: the first frame")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Dots per frame: found, expected, grid index, position and displacement in pixels."""
    marker_grid = MarkerGrid.parse(grid)
    frames, count = _open(source)
    try:
        first_frame = next(frames, None)
        if first_frame is None:
            raise InputError(f"{source} holds no frame that can be read")
        rest_image = read_image(reference) if reference else first_frame
        at_rest = detect_markers(rest_image, marker_grid)
        tracker = MarkerTracker(marker_grid, at_rest)
        fields = map(tracker.track, chain([first_frame], frames))
        steps = track(
            fields,
            "markers",
            total=count,
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        if as_json:
            _print_json(steps, at_rest)
        else:
            _print_lines(steps, at_rest)
    finally:
        frames.close()


def _open(source: Path) -> tuple[Generator[NDArray[np.uint8], None, None], int | None]:
    """Frames of an image, a video or a folder, one at a time, and how many there are if known."""
    if not source.exists():
        raise InputError(f"no file or folder at {source}: give an image, a video or a folder")
    if source.is_file() and source.suffix.lower() in IMAGE_ENDINGS:
        image = read_image(source)
        return (image for _ in range(1)), 1
    opened = open_frames(str(source), loop=False)
    return _frames(opened), opened.frame_count


def _frames(opened: FrameSource) -> Generator[NDArray[np.uint8], None, None]:
    """Frames of a source, which is closed at the end."""
    try:
        while (frame := opened.read()) is not None:
            yield frame
    finally:
        opened.close()


def _print_json(fields: Iterable[MarkerField], reference: MarkerField) -> None:
    """One JSON object, once all frames are read: a source that breaks off prints nothing.

    Rows wait on the disk, not in memory.
    """
    with tempfile.TemporaryFile("w+", encoding="ascii") as rows:
        for index, field in enumerate(fields):
            rows.write((", " if index else "") + json.dumps(_frame_row(index, field, reference)))
        rows.seek(0)
        sys.stdout.write('{"frames": [')
        shutil.copyfileobj(rows, sys.stdout)
        print("]}")


def _print_lines(fields: Iterable[MarkerField], reference: MarkerField) -> None:
    for index, field in enumerate(fields):
        moved = np.sqrt(np.nansum(field.displacement_px(reference) ** 2, axis=-1))
        print(
            f"frame {index}: {field.found_count} of {field.expected} dots, "
            f"moved by up to {moved.max():.2f} px"
        )


def _frame_row(index: int, field: MarkerField, reference: MarkerField) -> dict[str, Any]:
    moved = field.displacement_px(reference)
    dots = [
        {
            "row": row,
            "column": column,
            "x_px": _number(field.position_px[row, column, 0]),
            "y_px": _number(field.position_px[row, column, 1]),
            "dx_px": _number(moved[row, column, 0]),
            "dy_px": _number(moved[row, column, 1]),
            "found": bool(field.found[row, column]),
        }
        for row, column in np.ndindex(field.found.shape)
    ]
    return {"index": index, "found": field.found_count, "expected": field.expected, "dots": dots}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else round(float(value), 4)
