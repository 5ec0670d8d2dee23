"""`tacdiff markers`: tracked markers in an image, a folder of images, a video, a bag or a run."""

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

from tacdiff_ros.cli.crop_option import CropOption
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.cli.warning_lines import print_warnings
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import Crop, default_crop
from tacdiff_ros.images.frame_sources import IMAGE_ENDINGS, FrameSource, open_frames
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.sensor.marker_grid import MarkerGrid


def markers(
    source: Annotated[
        Path, typer.Argument(help="image, folder of images, video, bag or run folder")
    ],
    grid: Annotated[str, typer.Option(help="rows x columns; older gels have 8x10")] = "7x9",
    reference: Annotated[
        Path | None, typer.Option(help="image of the untouched gel; default: the first frame")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="image topic, if a bag has several")] = None,
    crop: CropOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Track markers: number found and expected, grid index, position and displacement in px."""
    marker_grid = MarkerGrid.parse(grid)
    console = Console(stderr=True)
    whole = default_crop(crop)
    frames, count = _open(source, topic, whole, console)
    try:
        first_frame = next(frames, None)
        if first_frame is None:
            raise InputError(f"{source} has no readable frame")
        reference_image = first_frame
        if reference is not None:
            reference_image = whole.reduce(read_image(reference), reference.name)
        reference_field = detect_markers(reference_image, marker_grid)
        tracker = MarkerTracker(marker_grid, reference_field)
        fields = map(tracker.track, chain([first_frame], frames))
        with ProgressBar("markers", count) as bar:
            if as_json:
                _print_json(bar.track(fields), reference_field)
            else:
                _print_lines(bar.track(fields), reference_field)
    finally:
        frames.close()


def _open(
    source: Path, topic: str | None, crop: Crop, console: Console
) -> tuple[Generator[NDArray[np.uint8], None, None], int | None]:
    """Open an image, a folder of images, a video, a bag or a run.

    Returns:
        Generator of (H, W, 3) uint8 RGB frames, and their number if it is known.
    """
    from tacdiff_ros.recording.bag_storage import is_bag
    from tacdiff_ros.replay.replay_frames import open_recording

    if not source.exists():
        raise InputError(
            f"no file or folder at {source}: give an image, a folder of images, a video or a bag"
        )
    if (source / "index.csv").is_file() or is_bag(source):
        recording = open_recording(source, topic, with_poses=False)
        print_warnings(console, recording.notes)
        cropped = (crop.reduce(image, "a frame") for _, image in recording.images())
        return cropped, recording.frame_count
    if topic is not None:
        raise InputError(f"{source} is no bag: leave out --topic")
    if source.is_file() and source.suffix.lower() in IMAGE_ENDINGS:
        image = crop.reduce(read_image(source), source.name)
        return (image for _ in range(1)), 1
    opened = open_frames(str(source), loop=False)
    return _frames(opened, crop), opened.frame_count


def _frames(opened: FrameSource, crop: Crop) -> Generator[NDArray[np.uint8], None, None]:
    """Yield the frames of a source and close it at the end."""
    try:
        while (frame := opened.read()) is not None:
            yield crop.reduce(frame, "a frame")
    finally:
        opened.close()


def _print_json(fields: Iterable[MarkerField], reference: MarkerField) -> None:
    """Print one JSON object after all frames are read; a source that fails prints nothing.

    The rows are buffered on disk because a long video would fill the memory.
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
        distance = np.sqrt(np.nansum(field.displacement_px(reference) ** 2, axis=-1))
        print(
            f"frame {index}: {field.found_count} of {field.expected} markers, "
            f"displaced by up to {distance.max():.2f} px"
        )


def _frame_row(index: int, field: MarkerField, reference: MarkerField) -> dict[str, Any]:
    displacement = field.displacement_px(reference)
    rows = [
        {
            "row": row,
            "column": column,
            "x_px": _number(field.position_px[row, column, 0]),
            "y_px": _number(field.position_px[row, column, 1]),
            "dx_px": _number(displacement[row, column, 0]),
            "dy_px": _number(displacement[row, column, 1]),
            "found": bool(field.found[row, column]),
        }
        for row, column in np.ndindex(field.found.shape)
    ]
    return {"index": index, "found": field.found_count, "expected": field.expected, "dots": rows}


def _number(value: float) -> float | None:
    """Return a rounded number, or None for NaN, which JSON does not have."""
    return None if math.isnan(value) else round(float(value), 4)
