"""Writing of reports as single HTML files that contain their images."""

from __future__ import annotations

import base64
import io
import shlex
import sys
import time
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
    """Render a template and write the page under a temporary name, then rename it.

    Args:
        path: HTML file.
        template: file name of the template in `tacdiff_ros/reports/templates`.
        content: variables of the template; `version`, `date` and `command` are added.

    Raises:
        InputError: the file cannot be written.
    """
    write_file(path, page_text(template, **content))


def page_text(template: str, **content: Any) -> str:
    """Return the text of the page that `write_page` writes."""
    environment = Environment(
        loader=PackageLoader("tacdiff_ros.reports"), autoescape=select_autoescape(["html", "j2"])
    )
    program = Path(sys.argv[0]).name if sys.argv else ""
    return environment.get_template(template).render(
        version=__version__,
        date=time.strftime("%Y-%m-%d %H:%M"),
        command=shlex.join([program, *sys.argv[1:]]),
        **content,
    )


def figure_png(figure: Figure) -> str:
    """Return a plot as base64 text of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return base64.b64encode(buffer.getvalue()).decode()


def image_png(image: NDArray[np.uint8]) -> str:
    """Return an image (H, W, 3) uint8 RGB as base64 text of a PNG file.

    Args:
        image: (H, W, 3) uint8 RGB.

    Raises:
        RuntimeError: OpenCV cannot encode the image.
    """
    success, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not success:
        raise RuntimeError(f"OpenCV cannot encode an image of shape {image.shape} as PNG")
    return base64.b64encode(data.tobytes()).decode()
