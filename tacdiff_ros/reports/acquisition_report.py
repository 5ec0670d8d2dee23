"""HTML report of a recorded acquisition run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.recording.bag_reading import RecordedRun
from tacdiff_ros.reports.marker_overlay import draw_markers
from tacdiff_ros.reports.pages import figure_png, image_png, write_page
from tacdiff_ros.sensor.marker_grid import MarkerGrid

PHASES = ["move_to_start", "reference", "approach", "indent", "translate", "rotate", "retract"]
PHASES += ["stopped"]
MAX_PICTURES = 15
# Figures of a run and their titles.
FIGURE_TITLES = {
    "images": "images in the bag",
    "samples": "images with a robot state, as in index.csv",
    "trials": "trials",
    "seconds": "duration, s",
    "image_interval_ms_median": "interval of the images, median, ms",
    "image_interval_ms_max": "interval of the images, largest, ms",
    "pose_gap_ms_max": "time between image and robot state, largest, ms",
    "force_n_max": "force, largest, N",
    "depth_mm_max": "depth, largest, mm",
    "dwell_depth_error_mm_median": "depth error at rest, median, mm",
    "dots_expected": "markers expected",
    "dots_found_share": "fraction of the markers found",
    "dot_displacement_px_max": "displacement of the markers, largest RMS of an image, px",
}


@dataclass(frozen=True)
class MarkerTracks:
    """Markers in the N images of a run.

    Attributes:
        stamps_ns: (N,) int64 time stamps of the images, ns.
        detected: (N,) int64 number of markers detected in each image.
        expected: number of markers of the grid.
        rms_px: (N,) float64 RMS displacement from the first image, px; NaN without markers.
        pictures: caption and image (H, W, 3) uint8 with an overlay of the markers, one for each
            step of the protocol.
    """

    stamps_ns: NDArray[np.int64]
    detected: NDArray[np.int64]
    expected: int
    rms_px: NDArray[np.float64]
    pictures: list[tuple[str, NDArray[np.uint8]]]


def write_report(run: RecordedRun, grid: MarkerGrid, path: Path, note: str = "") -> dict[str, Any]:
    """Write the report of a run and return its figures.

    Args:
        run: recorded run with at least one sample.
        grid: grid of the gel's markers.
        path: HTML file; it is written under a temporary name and renamed.
        note: caution above the plots, where images and arm do not belong together; captions of
            images then have no depth.

    Returns:
        Figures of `summarise`, by name.

    Raises:
        InputError: the run has no samples, its images cannot be read, or the file cannot be
            written.
    """
    if run.sample_count == 0:
        raise InputError(f"{run.folder} contains no samples, expected at least 1 for a report")
    tracks = track_run(run, grid, with_depth=not note)
    figures = summarise(run, tracks)
    write_page(
        path,
        "acquisition_report.html.j2",
        run=run.run,
        figures=figures,
        rows=[(title, figures[name]) for name, title in FIGURE_TITLES.items()],
        repaired=run.repaired,
        note=note,
        plots=[
            figure_png(plot)
            for plot in (_plot_timeline(run), _plot_poses(run), _plot_markers(run, tracks))
        ],
        pictures=[(name, image_png(picture)) for name, picture in tracks.pictures],
    )
    return figures


def track_run(run: RecordedRun, grid: MarkerGrid, with_depth: bool = True) -> MarkerTracks:
    """Track the markers through all images of a run.

    Args:
        run: recorded run.
        grid: grid of the gel's markers.
        with_depth: whether captions have the indenter's depth.

    Returns:
        Markers of all images. Until an image with a complete grid, no markers are detected.

    Raises:
        InputError: an image cannot be read.
    """
    captions = _representative_samples(run, with_depth)
    tracker: MarkerTracker | None = None
    reference: MarkerField | None = None
    stamps, detected, rms = [], [], []
    pictures = []
    for stamp_ns, image in run.images():
        if reference is None:
            reference = _detect(image, grid)
            tracker = MarkerTracker(grid, reference) if reference is not None else None
        field = tracker.track(image) if tracker is not None else None
        stamps.append(stamp_ns)
        detected.append(field.found_count if field is not None else 0)
        rms.append(_rms_px(field, reference))
        if stamp_ns in captions:
            picture = image
            if field is not None and reference is not None:
                picture = draw_markers(image, field, reference)
            pictures.append((captions[stamp_ns], picture))
    return MarkerTracks(
        stamps_ns=np.array(stamps, np.int64),
        detected=np.array(detected),
        expected=grid.count,
        rms_px=np.array(rms),
        pictures=pictures,
    )


def summarise(run: RecordedRun, tracks: MarkerTracks) -> dict[str, Any]:
    """Return the figures of a run by name; physical quantities have their unit in the name.

    Args:
        run: recorded run with at least one sample.
        tracks: markers of the run's images.

    Returns:
        JSON values; None for figures that the run does not determine.
    """
    columns = run.columns
    dwelling = (columns["motion"] == "dwelling") & (columns["in_contact"] > 0)
    error_mm = np.abs(columns["measured_depth_mm"] - columns["commanded_depth_mm"])[dwelling]
    force_n = _force_n(run)
    intervals_ms = np.diff(tracks.stamps_ns) * 1e-6
    return {
        "samples": run.sample_count,
        "images": len(tracks.stamps_ns),
        "trials": int(columns["trial"].max()) + 1,
        "seconds": round(float(np.ptp(columns["stamp_ns"])) * 1e-9, 2),
        "image_interval_ms_median": _round(np.median(intervals_ms)) if len(intervals_ms) else None,
        "image_interval_ms_max": _round(intervals_ms.max()) if len(intervals_ms) else None,
        "pose_gap_ms_max": _round(columns["pose_gap_ms"].max()),
        "force_n_max": _round(force_n.max()),
        "depth_mm_max": _round(columns["measured_depth_mm"][columns["in_contact"] > 0].max())
        if np.any(columns["in_contact"] > 0)
        else None,
        "dwell_depth_error_mm_median": _round(np.median(error_mm)) if len(error_mm) else None,
        "dots_expected": tracks.expected,
        "dots_found_share": _round(np.mean(tracks.detected) / tracks.expected),
        "dot_displacement_px_max": _round(np.nanmax(tracks.rms_px))
        if np.any(np.isfinite(tracks.rms_px))
        else None,
    }


def _representative_samples(run: RecordedRun, with_depth: bool) -> dict[int, str]:
    """Stamps and captions of one image per step of the protocol, from the middle of its dwell."""
    columns = run.columns
    captions: dict[int, str] = {}
    for trial in np.unique(columns["trial"]):
        for step in dict.fromkeys(columns["step"][columns["trial"] == trial]):
            rows = np.flatnonzero((columns["trial"] == trial) & (columns["step"] == step))
            dwell_rows = rows[columns["motion"][rows] == "dwelling"]
            if len(dwell_rows):
                row = dwell_rows[len(dwell_rows) // 2]
                caption = f"trial {int(trial)}: {step}"
                if with_depth and columns["in_contact"][row]:
                    caption += f", {columns['measured_depth_mm'][row]:.2f} mm deep"
                captions[int(columns["stamp_ns"][row])] = caption
    return dict(list(captions.items())[:MAX_PICTURES])


def _detect(image: NDArray[np.uint8], grid: MarkerGrid) -> MarkerField | None:
    """Markers of an image; None if the grid is not detected completely."""
    try:
        return detect_markers(image, grid)
    except InputError:
        return None


def _rms_px(field: MarkerField | None, reference: MarkerField | None) -> float:
    """RMS displacement of the markers from the reference, px; NaN without markers."""
    if field is None or reference is None or not field.found.any():
        return float("nan")
    squares = np.sum(field.displacement_px(reference) ** 2, axis=-1)
    return float(np.sqrt(np.nanmean(squares))) if np.isfinite(squares).any() else float("nan")


def _force_n(run: RecordedRun) -> NDArray[np.float64]:
    """(N,) magnitude of the measured force of every sample, N."""
    components = [run.columns[f"force_{axis}_n"] for axis in "xyz"]
    return np.asarray(np.linalg.norm(components, axis=0))


def _seconds(run: RecordedRun) -> NDArray[np.float64]:
    """(N,) time of every sample since the first one, s."""
    stamps = run.columns["stamp_ns"]
    return np.asarray((stamps - stamps[0]) * 1e-9)


def _plot_timeline(run: RecordedRun) -> Figure:
    """Plot of phases, force and depth over time."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    phase_axes, force_axes, depth_axes = figure.subplots(
        3, 1, sharex=True, height_ratios=[1.6, 1, 1]
    )
    seconds, columns = _seconds(run), run.columns
    colours = mpl.colormaps["tab10"]
    for row, phase in enumerate(PHASES):
        times = seconds[columns["phase"] == phase]
        phase_axes.scatter(times, np.full(len(times), row), s=14, marker="|", color=colours(row))
    phase_axes.set_yticks(range(len(PHASES)), PHASES)
    phase_axes.invert_yaxis()
    phase_axes.set_title("Phases: one mark per image")
    force_axes.plot(seconds, _force_n(run), color="black", lw=0.9)
    force_axes.set_ylabel("force [N]")
    in_contact = np.where(columns["in_contact"] > 0, 1.0, np.nan)  # NaN leaves a gap in the plot
    depth_axes.plot(seconds, columns["commanded_depth_mm"] * in_contact, lw=0.9, label="commanded")
    depth_axes.plot(seconds, columns["measured_depth_mm"] * in_contact, lw=0.9, label="measured")
    depth_axes.set_ylabel("depth [mm]")
    depth_axes.legend(loc="upper right")
    depth_axes.set_xlabel("time [s]")
    return figure


def _plot_poses(run: RecordedRun) -> Figure:
    """Plot of the commanded and measured pose of the indenter in frame `gel` over time."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    seconds, columns = _seconds(run), run.columns
    for axis, (name, label, gain) in zip(
        axes,
        (("x_mm", "x [mm]", 1.0), ("y_mm", "y [mm]", 1.0), ("yaw_rad", "yaw [°]", 180.0 / np.pi)),
        strict=True,
    ):
        axis.plot(seconds, gain * columns[f"commanded_{name}"], lw=0.9, label="commanded")
        axis.plot(seconds, gain * columns[f"measured_{name}"], lw=0.9, label="measured")
        axis.set_ylabel(label)
    axes[0].set_title("Indenter pose in frame gel")
    axes[0].legend(loc="upper right")
    axes[-1].set_xlabel("time [s]")
    return figure


def _plot_markers(run: RecordedRun, tracks: MarkerTracks) -> Figure:
    """Plot of the markers' RMS displacement and of the number of detected markers over time."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    motion_axes, count_axes = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    seconds = (tracks.stamps_ns - run.columns["stamp_ns"][0]) * 1e-9
    motion_axes.plot(seconds, tracks.rms_px, lw=0.9)
    motion_axes.set_ylabel("displacement,\nRMS [px]")
    count_axes.plot(seconds, tracks.detected, lw=0.9, color="black")
    count_axes.set_ylabel("detected")
    count_axes.set_ylim(0, 1.1 * tracks.expected)
    count_axes.set_xlabel("time [s]")
    return figure


def _round(value: float) -> float:
    return round(float(value), 4)
