"""HTML report of a replayed recording: tables, plots over time and depth, the worst frames."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tacdiff_ros.replay.replay_scores import ComparedFrame, WorstFrame, values_of
from tacdiff_ros.reports.pages import figure_png, image_png, page_text

# Metrics of the tables and their titles.
METRIC_TITLES = {
    "contact_psnr_db": "PSNR in the contact, dB",
    "background_contact_psnr_db": "PSNR of the reference image in the contact, dB",
    "contact_gain_db": "PSNR gain over the reference image in the contact, dB",
    "contact_ssim": "SSIM in the contact",
    "whole_psnr_db": "PSNR of the whole image, dB",
    "whole_ssim": "SSIM of the whole image",
    "whole_mse": "MSE of the whole image",
    "whole_smape": "SMAPE of the whole image",
    "marker_rms_px": "RMS distance of the markers, px",
}

PROPERTIES = {
    "indenter": "indenter",
    "simulator": "simulator",
    "reference_frames": "frames of the undeformed gel, not compared",
    "skipped": "skipped frames",
}


def replay_report(
    title: str,
    metrics: dict[str, Any],
    frames: Sequence[ComparedFrame],
    worst: Sequence[WorstFrame],
) -> str:
    """Return the HTML text of the report of a replay.

    Args:
        title: title of the page.
        metrics: `all`, `by_phase` and `by_depth` as summarised by `replay_scores`; `sensor_id`,
            `indenter`, `simulator` and `reference_frames` of the replay; `skipped`,
            `skipped_by_reason` and `skipped_examples` of `SkippedFrames`; `verdict`.
        frames: all compared frames.
        worst: frames of the lowest PSNR in the contact, with their images.
    """
    return page_text(
        "replay_report.html.j2",
        title=title,
        verdict=metrics.get("verdict"),
        sensor=_sensor(metrics),
        properties={title: metrics[name] for name, title in PROPERTIES.items() if name in metrics},
        tables=[
            *([("skipped frames", skipped)] if (skipped := _skipped_table(metrics)) else []),
            ("all frames", table({"all": metrics["all"]})),
            ("by phase", table(metrics["by_phase"])),
            ("by depth", table(metrics["by_depth"])),
        ],
        plot=figure_png(_plot(frames)),
        worst=[(_caption(entry), image_png(entry.picture)) for entry in worst],
    )


def _sensor(metrics: dict[str, Any]) -> SimpleNamespace | None:
    """Identifier and checksum of the sensor, for the head of the page."""
    if "sensor_checksum" not in metrics:
        return None
    return SimpleNamespace(sensor_id=metrics["sensor_id"], checksum=metrics["sensor_checksum"])


def table(groups: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Return a table of metrics with one column per group of frames.

    Args:
        groups: summaries of `replay_scores` by name of the group.

    Returns:
        Rows of texts; the first row is the header.
    """
    rows = [["metric", *(f"{name} ({group['frames']})" for name, group in groups.items())]]
    for name, title in METRIC_TITLES.items():
        cells = [_cell(group.get(name)) for group in groups.values()]
        rows.append([title, *cells])
    return rows


def _skipped_table(metrics: dict[str, Any]) -> list[list[str]]:
    """Rows of reason, number of frames and first message; empty where no frame was skipped."""
    counts: dict[str, int] = metrics.get("skipped_by_reason", {})
    examples: dict[str, str] = metrics.get("skipped_examples", {})
    rows = [[reason, str(count), examples.get(reason, "")] for reason, count in counts.items()]
    return [["reason", "frames", "first message"], *rows] if rows else []


def _cell(metric: dict[str, Any] | None) -> str:
    """Text of a metric: median, its confidence interval and the worst value."""
    if metric is None:
        return ""
    low, median, high = (metric[name] for name in ("median_low", "median", "median_high"))
    interval = "" if low is None else f" [{low:.3g}, {high:.3g}]"
    return f"{median:.3g}{interval}, worst {metric['worst']:.3g}"


def _caption(entry: WorstFrame) -> str:
    """Trial, phase, depth and PSNR of a frame."""
    frame = entry.frame
    contact = frame.agreement.contact
    psnr = "" if contact is None else f", {contact.psnr_db:.1f} dB in the contact"
    return f"trial {frame.trial}, {frame.phase}, {frame.depth_mm:.2f} mm{psnr}"


def _plot(frames: Sequence[ComparedFrame]) -> Figure:
    """Plot of the PSNR in the contact over time and over depth."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    over_time, over_depth = figure.subplots(2, 1)
    seconds = 1e-9 * (np.array([f.stamp_ns for f in frames]) - frames[0].stamp_ns)
    depths = [frame.depth_mm for frame in frames]
    values = [values_of(frame) for frame in frames]
    for name, style in (("contact_psnr_db", "C0."), ("background_contact_psnr_db", "C7.")):
        column = [value[name] for value in values]
        label = "simulated" if style == "C0." else "reference image"
        over_time.plot(seconds, column, style, markersize=7, label=label)
        over_depth.plot(depths, column, style, markersize=7)
    over_time.set(xlabel="time [s]", ylabel="PSNR in the contact [dB]")
    over_depth.set(xlabel="indenter depth [mm]", ylabel="PSNR in the contact [dB]")
    over_time.legend()
    return figure
