"""Views of recordings: runs, bags, videos and folders of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.recording.bag_reading import open_run
from tacdiff_ros.replay.frame_states import FrameState
from tacdiff_ros.replay.replay_frames import Recording, open_recording
from tacdiff_ros.viewing.page import FrameCollector, View, reduced

DIFFERENCE_GAIN = 4
SERIES_TITLE = (
    "Image, and image minus the first one x 4 (grey: equal; brighter: brighter than at first)"
)


def view_recording(source: Path, topic: str | None = None) -> View:
    """Return the view of a recording: frames beside their change, poses and forces over time.

    Args:
        source: recording of any kind, see `open_recording`.
        topic: image topic of a bag; None for the only one.

    Raises:
        InputError: the source is no recording, or damaged.
    """
    recording = open_recording(source, topic)
    collector = FrameCollector(SERIES_TITLE)
    first: NDArray[np.uint8] | None = None
    times_ns: list[int] = []
    for stamp_ns, image in recording.images():
        first = image if first is None else first
        times_ns.append(stamp_ns)
        if not collector.wants_next():
            collector.skip()
            continue
        caption = _caption(stamp_ns - times_ns[0], recording.states.get(stamp_ns))
        collector.add(caption, _with_change(image, first))
    if first is None:
        raise InputError(f"{source} has no images")
    series = collector.series()
    notes = list(recording.notes)
    if len(series.images) < collector.count:
        notes.append(f"{len(series.images)} of {collector.count} frames are shown, evenly spaced.")
    return View(
        f"Recording {source.name}",
        _facts(recording, first, times_ns),
        [("pose and force over time", plot)] if (plot := _run_plot(source)) is not None else [],
        series=series,
        notes=notes,
    )


def _caption(time_ns: int, state: FrameState | None) -> str:
    text = f"{1e-9 * time_ns:.2f} s"
    if state is None:
        return text
    pose = state.pose
    return (
        f"{text}, trial {state.trial}, {state.phase}, x {pose.x_mm:.2f}, y {pose.y_mm:.2f}, "
        f"depth {pose.depth_mm:.2f} mm"
    )


def _with_change(image: NDArray[np.uint8], first: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Image and its amplified difference from the first one, side by side."""
    picture = reduced(image)
    if image.shape != first.shape:  # a recording may change its size
        return picture
    difference = picture.astype(np.int16) - reduced(first)
    change = np.clip(DIFFERENCE_GAIN * difference + 128, 0, 255).astype(np.uint8)
    return np.concatenate([picture, change], axis=1)


def _facts(recording: Recording, first: NDArray[np.uint8], times_ns: list[int]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "images": len(times_ns),
        "size": f"{first.shape[1]} x {first.shape[0]} px",
        "duration, s": round(1e-9 * (times_ns[-1] - times_ns[0]), 2),
    }
    if recording.indenter:
        facts["indenter"] = recording.indenter
    if len(times_ns) > 1:
        facts["interval between images, median and largest, ms"] = (
            f"{1e-6 * np.median(np.diff(times_ns)):.1f}, {1e-6 * np.diff(times_ns).max():.1f}"
        )
    if recording.states:
        depths = [state.pose.depth_mm for state in recording.states.values()]
        facts["images with a pose"] = sum(stamp in recording.states for stamp in times_ns)
        facts["largest depth, mm"] = round(max(depths), 3)
    return facts


def _run_plot(folder: Path) -> Figure | None:
    """Depth, position and force of a run over time; None for other recordings."""
    if not (folder / "index.csv").is_file():
        return None
    columns = open_run(folder).columns
    seconds = 1e-9 * (columns["stamp_ns"] - columns["stamp_ns"][0])
    figure = Figure(figsize=(13, 6), layout="constrained")
    depth, position, force = figure.subplots(3, 1, sharex=True)
    for kind in ("commanded", "measured"):
        depth.plot(seconds, columns[f"{kind}_depth_mm"], lw=0.9, label=kind)
    depth.set_ylabel("depth [mm]")
    depth.set_ylim(-1.0, max(1.0, 1.1 * float(columns["measured_depth_mm"].max())))
    for axis in "xy":
        position.plot(seconds, columns[f"measured_{axis}_mm"], lw=0.9, label=axis)
    position.set_ylabel("position [mm]")
    for axis in "xyz":
        force.plot(seconds, columns[f"force_{axis}_n"], lw=0.9, label=axis)
    force.set(ylabel="force, base [N]", xlabel="time [s]")
    for axes in (depth, position, force):
        axes.legend(loc="upper right", ncols=3)
        axes.grid(alpha=0.3)
    return figure
