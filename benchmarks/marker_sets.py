"""Measures the marker detection and tracking on sets of real images.

Run `python benchmarks/marker_sets.py` from the repository root.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tacdiff_ros.errors import InputError  # noqa: E402
from tacdiff_ros.markers.detection import detect_markers  # noqa: E402
from tacdiff_ros.markers.marker_field import MarkerField  # noqa: E402
from tacdiff_ros.markers.tracking import MarkerTracker  # noqa: E402
from tacdiff_ros.sensor.marker_grid import MarkerGrid  # noqa: E402

#: Marker grids of the two gels in the data.
GRIDS = (MarkerGrid.parse("7x9"), MarkerGrid.parse("8x10"))
#: Two frames are a still pair if the median marker motion between them is smaller, px.
STILL_PX = 0.05
#: Markers beyond this distance / labelled imprint radius are far from a press.
FAR_RADII = 3.0

Image = NDArray[np.uint8]


def measure_marker_sets(data_folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Measure every set of images with markers below a folder.

    Repeatability is the noise of one coordinate of one marker in one frame:
    - "still pairs" (videos): RMS over markers and axes of the motion between two frames without
      the median motion, over pairs with a median marker motion below 0.05 px, divided by sqrt(2)
      because two frames contribute. The codec repeats parts of still frames, so a live camera is
      noisier.
    - "far from press" (mini_dots_ball): RMS difference to the background of the markers beyond 3
      label radii after an affine fit, divided by sqrt(2). The gel there truly moves by about 1 px
      and not only affinely, so this is an upper bound.

    Args:
        data_folder: folder with the sets.
        quick: whether to use only 6 presses and 90 frames of each video.

    Returns:
        One row per set and video: set; mode, "detect" (single images) or "track" (video); grid;
        frames; found and expected markers over all frames; found_fraction; complete_frames (all
        markers found); repeatability_px with repeatability_means, None if it cannot be measured;
        ms_per_frame, the median on one thread.

    Raises:
        InputError: the folder has no set.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rows = [
            *_measure_ball(data_folder / "mini_dots_ball", quick),
            *_measure_cuboid(data_folder / "mini_dots_cuboid"),
            *_measure_videos(data_folder / "mini_dots_video", quick),
        ]
    finally:
        cv2.setNumThreads(threads)
    if not rows:
        raise InputError(f"{data_folder}: no mini_dots_* folder here, pass --data DIR")
    return rows


def _measure_ball(folder: Path, quick: bool) -> Iterator[dict[str, Any]]:
    presses = sorted(folder.glob("*mm/*/gelsight.png"), key=lambda path: int(path.parent.name))
    presses = presses[:6] if quick else presses
    if not presses:
        return
    reference = detect_markers(_read(folder / "background.png"), GRIDS[0])
    fields, ms = _timed(lambda image: detect_markers(image, GRIDS[0]), map(_read, presses))
    off = [_far_motion(field, reference, path) for field, path in zip(fields, presses, strict=True)]
    noise = float(np.sqrt(np.mean(np.concatenate(off) ** 2) / 2.0))
    yield _row(folder.name, "detect", fields, ms, noise, "far from press")


def _measure_cuboid(folder: Path) -> Iterator[dict[str, Any]]:
    images = [folder / "background.png", folder / "pressed_cuboid_10mm.png"]
    if all(path.is_file() for path in images):
        fields, ms = _timed(lambda image: detect_markers(image, GRIDS[0]), map(_read, images))
        yield _row(folder.name, "detect", fields, ms, None, None)


def _measure_videos(folder: Path, quick: bool) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.avi")):
        frames = _video(path, 90 if quick else None)
        tracker = MarkerTracker(_grid_of(frames[0]))
        fields, ms = _timed(tracker.track, iter(frames))
        yield _row(path.stem, "track", fields, ms, _still_noise(fields), "still pairs")


def _timed(
    find: Callable[[Image], MarkerField], images: Iterator[Image]
) -> tuple[list[MarkerField], float]:
    """Return the markers of each image, and the median duration per image, ms."""
    fields, seconds = [], []
    for image in images:
        start = time.perf_counter()
        fields.append(find(image))
        seconds.append(time.perf_counter() - start)
    return fields, 1e3 * float(np.median(seconds))


def _row(
    name: str,
    mode: str,
    fields: list[MarkerField],
    ms: float,
    noise_px: float | None,
    means: str | None,
) -> dict[str, Any]:
    detected = sum(field.found_count for field in fields)
    expected = sum(field.expected for field in fields)
    rows, columns = fields[0].found.shape
    return {
        "set": name,
        "mode": mode,
        "grid": f"{rows}x{columns}",
        "frames": len(fields),
        "found": detected,
        "expected": expected,
        "found_fraction": detected / expected,
        "complete_frames": sum(bool(field.found.all()) for field in fields),
        "repeatability_px": noise_px,
        "repeatability_means": means,
        "ms_per_frame": ms,
    }


def _far_motion(field: MarkerField, reference: MarkerField, path: Path) -> NDArray[np.float64]:
    """Return the (2 K,) non-affine motion of the markers far from a press, px."""
    with np.load(path.with_name("label.npz")) as label:
        centre, radius = np.asarray(label["center"], float).ravel(), float(label["radius"])
    away = reference.position_px - centre
    far = (
        (np.hypot(away[..., 0], away[..., 1]) > FAR_RADII * radius) & field.found & reference.found
    )
    terms = np.concatenate([reference.position_px[far], np.ones((int(far.sum()), 1))], axis=1)
    displacement = field.displacement_px(reference)[far]
    fit, *_ = np.linalg.lstsq(terms, displacement, rcond=None)
    return np.asarray(displacement - terms @ fit).ravel()


def _still_noise(fields: list[MarkerField]) -> float | None:
    """Return the noise of one coordinate over the still pairs of a video, px; None without."""
    position = np.stack([field.position_px for field in fields])
    step = np.diff(position, axis=0).reshape(len(fields) - 1, -1, 2)
    visible = np.isfinite(step[..., 0]).sum(axis=1) > 0
    step = step[visible]
    still = np.nanmedian(np.hypot(step[..., 0], step[..., 1]), axis=1) < STILL_PX
    if not np.any(still):
        return None
    alone = step[still] - np.nanmedian(step[still], axis=1, keepdims=True)
    return float(np.sqrt(np.nanmean(alone**2) / 2.0))


def _grid_of(image: Image) -> MarkerGrid:
    """Return the marker grid of an image (one camera recorded both gels)."""
    for grid in GRIDS[:-1]:
        try:
            detect_markers(image, grid)
        except InputError:
            continue
        return grid
    return GRIDS[-1]


def _read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: not an image that OpenCV can read")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _video(path: Path, max_frames: int | None) -> list[Image]:
    video = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    while max_frames is None or len(frames) < max_frames:
        good, frame = video.read()
        if not good:
            break
        frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    if not frames:
        raise InputError(f"{path}: not a video that OpenCV can read")
    return frames


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"{'set':30} {'mode':6} {'grid':5} {'frames':>6} {'found':>13} {'fraction':>8} "
        f"{'complete':>8} {'noise px':>8} {'ms':>5}  noise from"
    ]
    for row in rows:
        noise = row["repeatability_px"]
        lines.append(
            f"{row['set']:30} {row['mode']:6} {row['grid']:5} {row['frames']:6d} "
            f"{row['found']:6d}/{row['expected']:6d} {row['found_fraction']:8.4f} "
            f"{row['complete_frames']:8d} {'-' if noise is None else f'{noise:.3f}':>8} "
            f"{row['ms_per_frame']:5.1f}  {row['repeatability_means'] or '-'}"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure all sets, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Measure marker detection on real tactile images.")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="fewer presses and frames")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    try:
        rows = measure_marker_sets(arguments.data, arguments.quick)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(rows, indent=2) if arguments.json else _table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
