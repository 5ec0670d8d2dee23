"""Folders of calibration images as users of gs_sdk have them.

`catalog.csv` has the columns `experiment_reldir` and `diameter(mm)`; `background.png` is the
untouched gel, `<experiment_reldir>/gelsight.png` a press of a ball of that diameter. Source of the
layout: gs_sdk's calibration examples (Huang, MIT licence).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

LARGEST_SIDE_PX = 4096
MOST_FILE_BYTES = 64 * 2**20
MOST_PRESSES = 1000
CATALOG, REFERENCE, PRESS = "catalog.csv", "background.png", "gelsight.png"

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class FolderPress:
    """A press of a folder.

    Attributes:
        path: of the image.
        diameter_mm: of the ball.
    """

    path: Path
    diameter_mm: float


@dataclass(frozen=True)
class CalibrationFolder:
    """What a folder holds.

    Attributes:
        reference: path of the image of the untouched gel.
        presses: in the catalogue's order.
    """

    reference: Path
    presses: tuple[FolderPress, ...]


def read_folder(folder: Path) -> CalibrationFolder:
    """Read a folder's catalogue; images are read later.

    Raises:
        InputError: a file is missing or the catalogue is not one.
    """
    catalog = folder / CATALOG
    try:
        if catalog.stat().st_size > MOST_FILE_BYTES:
            raise InputError(f"{catalog} is too large for a catalogue")
        with catalog.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{folder} is no calibration folder: expected {CATALOG}, {REFERENCE} and "
            f"<experiment_reldir>/{PRESS} ({error})"
        ) from error
    if not (folder / REFERENCE).is_file():
        raise InputError(f"{folder} holds no {REFERENCE}, the image of the untouched gel")
    if not 1 <= len(rows) <= MOST_PRESSES:
        raise InputError(f"{catalog} lists {len(rows)} presses, expected 1 to {MOST_PRESSES}")
    presses = tuple(_press(folder, row, line) for line, row in enumerate(rows, start=2))
    return CalibrationFolder(folder / REFERENCE, presses)


def _press(folder: Path, row: dict[str, str | None], line: int) -> FolderPress:
    place, size = row.get("experiment_reldir"), row.get("diameter(mm)")
    try:
        diameter = float(size or "")
    except ValueError:
        diameter = 0.0
    if not place or not 0.5 <= diameter <= 100.0:
        raise InputError(
            f"{folder / CATALOG} line {line}: expected columns experiment_reldir and diameter(mm) "
            f"of 0.5 to 100, got {place!r} and {size!r}"
        )
    path = (folder / place / PRESS).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"{folder / CATALOG} line {line}: {place} leads out of the folder")
    return FolderPress(path, diameter)


def read_image(path: Path) -> Image:
    """An image file as (H, W, 3) uint8 RGB.

    Raises:
        InputError: it is missing, too large or no image.
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_FILE_BYTES else b""
    except OSError as error:
        raise InputError(f"cannot read the image {path}: {error.strerror}") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise InputError(f"{path} is no image that OpenCV can read")
    if max(image.shape) > LARGEST_SIDE_PX:
        raise InputError(
            f"{path} has sides of {image.shape[1]} x {image.shape[0]} pixels, over 4096"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def spread_presses(reference: Image, presses: list[Image], count: int) -> list[int]:
    """Indices of presses that are far apart in the image: they tell lights best.

    Args:
        reference: the untouched gel.
        presses: of the same size.
        count: how many to choose.
    """
    places = np.array([_place(reference, press) for press in presses])
    middle = (np.array(reference.shape[1::-1]) - 1) / 2
    reach = np.linalg.norm(places - middle, axis=1) / np.linalg.norm(middle)
    usable = np.flatnonzero(reach < 0.6) if (reach < 0.6).sum() >= count else np.arange(len(places))
    far = np.linalg.norm(places[usable, None] - places[usable], axis=-1)
    first = int(np.unravel_index(int(far.argmax()), far.shape)[0])
    chosen = [first]
    while len(chosen) < min(count, len(usable)):
        chosen.append(int(far[chosen].min(axis=0).argmax()))
    return [int(usable[k]) for k in chosen]


def _place(reference: Image, press: Image) -> NDArray[np.float64]:
    """(x, y) px, middle of what changed most."""
    change = np.abs(press.astype(np.float32) - reference.astype(np.float32)).max(axis=-1)
    smooth = cv2.GaussianBlur(change, (0, 0), 0.03 * reference.shape[1])
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return np.array([column, row], np.float64)
