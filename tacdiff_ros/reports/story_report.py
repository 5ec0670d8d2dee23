"""A job told in chapters: what was done, its figures, pictures, and pages that say more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.reports.pages import figure_png, image_png, write_page


@dataclass(frozen=True)
class Chapter:
    """One stage.

    Attributes:
        title: of it.
        text: what was done and what to look at.
        figures: name with unit, and value.
        pictures: caption, and image (H, W, 3) uint8 or plot.
        pages: caption, and path relative to the report.
    """

    title: str
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[tuple[str, NDArray[np.uint8] | Figure]] = ()
    pages: Sequence[tuple[str, str]] = ()


def write_story(path: Path, title: str, told: str, chapters: Sequence[Chapter]) -> None:
    """Write the page; beside, then renamed.

    Raises:
        InputError: the file cannot be written.
    """
    write_page(
        path,
        "story_report.html.j2",
        title=title,
        told=told,
        chapters=[(chapter, [(c, _png(p)) for c, p in chapter.pictures]) for chapter in chapters],
    )


def _png(picture: NDArray[np.uint8] | Figure) -> str:
    return figure_png(picture) if isinstance(picture, Figure) else image_png(picture)
