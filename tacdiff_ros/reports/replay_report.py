"""A replayed recording as one page: tables, plots over time and depth, the worst frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tacdiff_ros.replay.replay_scores import ComparedFrame, WorstFrame, values_of
from tacdiff_ros.reports.pages import figure_png, image_png, write_page

SHOWN = {
    "contact_psnr_db": "PSNR in the contact, dB",
    "background_contact_psnr_db": "the same of the untouched image",
    "contact_gain_db": "gain over the untouched image, dB",
    "contact_ssim": "SSIM in the contact",
    "whole_psnr_db": "PSNR of the whole image, dB",
    "whole_ssim": "SSIM of the whole image",
    "whole_mse": "MSE of the whole image",
    "whole_smape": "SMAPE of the whole image",
    "marker_rms_px": "dots, RMS distance in px",
}


def write_replay_report(
    path: Path,
    title: str,
    metrics: dict[str, Any],
    frames: Sequence[ComparedFrame],
    worst: Sequence[WorstFrame],
) -> None:
    """Write the page.

    Args:
        path: HTML file; written beside and renamed.
        title: of the page.
        metrics: `all`, `by_phase`, `by_depth`, as `replay_scores` summarises, what was run, and
            `skipped`, `skipped_by_reason` and `skipped_examples` of `SkippedFrames`.
        frames: all compared ones.
        worst: pictures.

    Raises:
        InputError: the file cannot be written.
    """
    write_page(
        path,
        "replay_report.html.j2",
        title=title,
        told={name: metrics[name] for name in ("sensor_id", "indenter", "simulator", "skipped")},
        tables=[
            *([("skipped frames", skipped)] if (skipped := _skipped_table(metrics)) else []),
            ("all frames", table({"all": metrics["all"]})),
            ("by phase", table(metrics["by_phase"])),
            ("by depth", table(metrics["by_depth"])),
        ],
        plot=figure_png(_plot(frames)),
        worst=[(_caption(entry), image_png(entry.picture)) for entry in worst],
    )


def table(groups: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Rows of texts, the first one the header."""
    rows = [["figure", *(f"{name} ({group['frames']})" for name, group in groups.items())]]
    for name, title in SHOWN.items():
        cells = [_cell(group.get(name)) for group in groups.values()]
        rows.append([title, *cells])
    return rows


def _skipped_table(metrics: dict[str, Any]) -> list[list[str]]:
    """Rows of reason, number of frames and first message; empty where no frame was skipped."""
    counts: dict[str, int] = metrics.get("skipped_by_reason", {})
    examples: dict[str, str] = metrics.get("skipped_examples", {})
    rows = [[reason, str(count), examples.get(reason, "")] for reason, count in counts.items()]
    return [["reason", "frames", "first message"], *rows] if rows else []


def _cell(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    low, middle, high = (figure[name] for name in ("median_low", "median", "median_high"))
    interval = "" if low is None else f" [{low:.4g}, {high:.4g}]"
    return f"{middle:.4g}{interval}, worst {figure['worst']:.4g}"


def _caption(entry: WorstFrame) -> str:
    frame = entry.frame
    contact = frame.agreement.contact
    psnr = "" if contact is None else f", {contact.psnr_db:.1f} dB in the contact"
    return f"trial {frame.trial}, {frame.phase}, {frame.depth_mm:.2f} mm{psnr}"


def _plot(frames: Sequence[ComparedFrame]) -> Figure:
    """Over time and over depth."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    over_time, over_depth = figure.subplots(2, 1)
    seconds = 1e-9 * (np.array([f.stamp_ns for f in frames]) - frames[0].stamp_ns)
    depths = [frame.depth_mm for frame in frames]
    values = [values_of(frame) for frame in frames]
    for name, style in (("contact_psnr_db", "C0."), ("background_contact_psnr_db", "C7.")):
        column = [value[name] for value in values]
        label = "simulated" if style == "C0." else "nothing happened"
        over_time.plot(seconds, column, style, markersize=3, label=label)
        over_depth.plot(depths, column, style, markersize=3)
    over_time.set(xlabel="s", ylabel="PSNR in the contact, dB")
    over_depth.set(xlabel="depth of the indenter, mm", ylabel="PSNR in the contact, dB")
    over_time.legend()
    return figure
