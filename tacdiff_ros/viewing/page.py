"""Content of a view, and its page: one HTML file that needs neither network nor other files."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros.reports.pages import figure_png, image_png, write_page
from tacdiff_ros.viewing.surface_scene import SurfaceScene

MAX_FRAMES = 200  # frames of a series in one page
MAX_WIDTH_PX = 640  # wider images are reduced
JPEG_QUALITY = 85


@dataclass(frozen=True)
class FrameSeries:
    """Images in the order of a recording or dataset.

    Attributes:
        title: names of the images, from left to right.
        captions: text of each image.
        images: JPEG data of each image.
    """

    title: str
    captions: Sequence[str]
    images: Sequence[bytes]


@dataclass(frozen=True)
class View:
    """What is shown of one file or folder.

    Attributes:
        title: kind and name.
        facts: values by name; physical quantities have their unit.
        pictures: captions, each with an image (H, W, 3) uint8 RGB or a plot.
        scene: surface in 3D; None without one.
        series: images with a slider; None without.
        notes: cautions, one sentence each.
        sensor: sensor whose identifier and checksum the page names; any object with `sensor_id` and
            `checksum`.
        verdict: `level`, `reasons` and `advice` of the result, as `Verdict.as_json` returns them.
    """

    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[tuple[str, NDArray[np.uint8] | Figure]] = ()
    scene: SurfaceScene | None = None
    series: FrameSeries | None = None
    notes: Sequence[str] = ()
    sensor: Any = None
    verdict: Mapping[str, Any] | None = None


class FrameCollector:
    """Keeps evenly spaced frames of a stream of unknown length, up to `MAX_FRAMES`."""

    def __init__(self, title: str) -> None:
        """Start without frames.

        Args:
            title: names of the images.
        """
        self._title = title
        self._frames: list[tuple[str, bytes]] = []
        self._step, self.count = 1, 0

    def wants_next(self) -> bool:
        """Return whether the next frame will be kept; `skip` it otherwise."""
        return self.count % self._step == 0

    def skip(self) -> None:
        """Leave out a frame."""
        self.count += 1

    def add(self, caption: str, image: NDArray[np.uint8]) -> None:
        """Keep a frame (H, W, 3) uint8 RGB; when there are too many, every second is dropped."""
        self._frames.append((caption, jpeg_bytes(image)))
        self.count += 1
        if len(self._frames) > MAX_FRAMES:
            self._frames = self._frames[::2]
            self._step *= 2

    def series(self) -> FrameSeries:
        """Return the kept frames."""
        captions = [caption for caption, _ in self._frames]
        return FrameSeries(self._title, captions, [image for _, image in self._frames])


def write_view(view: View, path: Path) -> None:
    """Write the page of a view.

    Args:
        view: content.
        path: HTML file.

    Raises:
        InputError: the file cannot be written.
    """
    series = view.series
    frames = None
    if series is not None:
        urls = [base64.b64encode(image).decode() for image in series.images]
        frames = {"captions": list(series.captions), "images": urls}
    write_page(
        path,
        "view.html.j2",
        title=view.title,
        facts=view.facts,
        notes=view.notes,
        sensor=view.sensor,
        verdict=view.verdict,
        scene=None if view.scene is None else view.scene.as_json(),
        series=series,
        frames=frames,
        pictures=[(caption, _png(picture)) for caption, picture in view.pictures],
    )


def jpeg_bytes(image: NDArray[np.uint8]) -> bytes:
    """Return the JPEG data of an image (H, W, 3) uint8 RGB."""
    success, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not success:
        raise RuntimeError(f"OpenCV cannot encode an image of shape {image.shape} as JPEG")
    return data.tobytes()


def reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) reduced to `MAX_WIDTH_PX` if it is wider."""
    height, width = image.shape[:2]
    if width <= MAX_WIDTH_PX:
        return image
    size = (MAX_WIDTH_PX, max(1, round(height * MAX_WIDTH_PX / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _png(picture: NDArray[np.uint8] | Figure) -> str:
    return figure_png(picture) if isinstance(picture, Figure) else image_png(reduced(picture))
