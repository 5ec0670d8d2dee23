"""Reports as single HTML files with their pictures inside."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tacdiff_ros import __version__
from tacdiff_ros.output_files import write_file


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill a template and write it beside, then rename.

    Raises:
        InputError: the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("tacdiff_ros.evaluation"), autoescape=select_autoescape(["html", "j2"])
    )
    page = environment.get_template(template).render(version=__version__, **content)
    write_file(path, page)


def figure_png(figure: Figure) -> str:
    """A plot as base64 PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return base64.b64encode(buffer.getvalue()).decode()


def image_png(image: NDArray[np.uint8]) -> str:
    """An image (H, W, 3) uint8 RGB as base64 PNG."""
    good, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not good:
        raise RuntimeError("OpenCV could not encode a picture of the report")
    return base64.b64encode(data.tobytes()).decode()
