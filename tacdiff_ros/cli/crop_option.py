"""Option `--crop` of the commands that read images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from tacdiff_ros.images.crop import Crop
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import printable

CropOption = Annotated[
    float | None,
    typer.Option(
        help="fraction to crop at each side of frames larger than the sensor's images; frames of "
        "3280 x 2464 are cropped without it"
    ),
]


def read_cropped(path: Path, crop: Crop) -> NDArray[np.uint8]:
    """Read an image file of the sensor file's size, or a camera's whole frame.

    Args:
        path: path of the file.
        crop: crop of whole frames.

    Returns:
        (H, W, 3) uint8 RGB image of the sensor file's size.

    Raises:
        InputError: the file is no image, or has another size.
    """
    return crop.to_sensor(read_image(path), printable(path.name))
