"""`tacdiff markers`: dots in an image, a video or a folder."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from tacdiff_ros.acquisition.frame_sources import IMAGE_ENDINGS, open_frames
from tacdiff_ros.calibration.markers import MarkerField, MarkerTracker, detect_markers
from tacdiff_ros.errors import InputError
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
    frames = _read_frames(source)
    first = detect_markers(_read_image(reference) if reference else frames[0], marker_grid)
    tracker = MarkerTracker(marker_grid, first)
    console = Console(stderr=True)
    steps = track(frames, "dots", console=console, disable=not sys.stderr.isatty())
    fields = [tracker.track(frame) for frame in steps]
    if as_json:
        rows = [_frame_row(index, field, first) for index, field in enumerate(fields)]
        print(json.dumps({"frames": rows}))
        return
    for index, field in enumerate(fields):
        moved = np.sqrt(np.nansum(field.displacement_px(first) ** 2, axis=-1))
        print(
            f"frame {index}: {field.found_count} of {field.expected} dots, "
            f"moved by up to {moved.max():.2f} px"
        )


def _read_frames(source: Path) -> list[NDArray[np.uint8]]:
    """All frames of an image, a video or a folder."""
    if not source.exists():
        raise InputError(f"no file or folder at {source}: give an image, a video or a folder")
    if source.suffix.lower() in IMAGE_ENDINGS:
        return [_read_image(source)]
    opened = open_frames(str(source), loop=False)
    frames = []
    while (frame := opened.read()) is not None:
        frames.append(frame)
    opened.close()
    if not frames:
        raise InputError(f"{source} holds no frame that can be read")
    return frames


def _read_image(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise InputError(f"{path} is no image that OpenCV can read")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


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
