"""HTML report in chapters: texts, figures, images and links to further reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.evaluation.verdict import Verdict
from tacdiff_ros.reports.pages import figure_png, image_png, write_page
from tacdiff_ros.sensor.sensor_model import SensorModel


@dataclass(frozen=True)
class Chapter:
    """A chapter of the report.

    Attributes:
        title: title of the chapter.
        text: explanation of what was done and what the images show.
        figures: values by name; names of physical quantities contain their unit.
        pictures: captions, each with an image (H, W, 3) uint8 or a plot.
        pages: captions, each with the path of a linked page relative to the report.
    """

    title: str
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[tuple[str, NDArray[np.uint8] | Figure]] = ()
    pages: Sequence[tuple[str, str]] = ()


def write_story(
    path: Path,
    title: str,
    introduction: str,
    chapters: Sequence[Chapter],
    verdict: Verdict | None = None,
    sensor: SensorModel | None = None,
) -> None:
    """Write the report under a temporary name, then rename it.

    Args:
        path: HTML file.
        title: title of the page.
        introduction: text above the chapters.
        chapters: chapters in order.
        verdict: verdict on the result, above the chapters.
        sensor: sensor whose identifier and checksum the page names.

    Raises:
        InputError: the file cannot be written.
    """
    write_page(
        path,
        "story_report.html.j2",
        title=title,
        introduction=introduction,
        verdict=verdict,
        sensor=sensor,
        chapters=[(chapter, [(c, _png(p)) for c, p in chapter.pictures]) for chapter in chapters],
    )


def _png(picture: NDArray[np.uint8] | Figure) -> str:
    return figure_png(picture) if isinstance(picture, Figure) else image_png(picture)
