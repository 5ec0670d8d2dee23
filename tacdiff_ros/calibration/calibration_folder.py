"""Reader of calibration image folders in the layout of gs_sdk.

`catalog.csv` has the columns `experiment_reldir` and `diameter(mm)`; `background.png` is the
reference image, `<experiment_reldir>/gelsight.png` is the image of a press with a ball of that
diameter. Source of the layout: gs_sdk's calibration examples (Huang, MIT licence).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable, read_table

MAX_CATALOG_BYTES = 2**20
MAX_PRESSES = 1000
CATALOG, REFERENCE, PRESS = "catalog.csv", "background.png", "gelsight.png"
COLUMNS = ("experiment_reldir", "diameter(mm)")

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class FolderPress:
    """One press of a calibration folder.

    Attributes:
        path: path of the image.
        diameter_mm: diameter of the ball, mm.
    """

    path: Path
    diameter_mm: float


@dataclass(frozen=True)
class CalibrationFolder:
    """Contents of a calibration folder.

    Attributes:
        reference: path of the reference image.
        presses: presses in the catalogue's order.
    """

    reference: Path
    presses: tuple[FolderPress, ...]


def read_folder(folder: Path) -> CalibrationFolder:
    """Read a folder's catalogue; the images are not read.

    Args:
        folder: folder in the layout of gs_sdk.

    Raises:
        InputError: a file is missing or the catalogue is invalid.
    """
    catalog = folder / CATALOG
    try:
        columns = read_table(catalog, "catalogue", MAX_CATALOG_BYTES)
    except InputError as error:
        raise InputError(
            f"{printable(folder)} is no calibration folder: expected {CATALOG}, {REFERENCE} and "
            f"<experiment_reldir>/{PRESS} ({error})"
        ) from error
    absent = [""] * len(next(iter(columns.values()), []))
    rows = list(zip(*(columns.get(name, absent) for name in COLUMNS), strict=True))
    if not (folder / REFERENCE).is_file():
        raise InputError(f"{folder} holds no {REFERENCE}, the image of the untouched gel")
    if not 1 <= len(rows) <= MAX_PRESSES:
        raise InputError(f"{catalog} lists {len(rows)} presses, expected 1 to {MAX_PRESSES}")
    presses = tuple(
        _press(folder, directory, size, line)
        for line, (directory, size) in enumerate(rows, start=2)
    )
    return CalibrationFolder(folder / REFERENCE, presses)


def _press(folder: Path, directory: str, size: str, line: int) -> FolderPress:
    """Press of one catalogue line, whose image must be inside the folder."""
    origin = f"{printable(folder / CATALOG)} line {line}"
    try:
        diameter = float(size)
    except ValueError:
        diameter = 0.0
    if not directory or not directory.isprintable() or not 0.5 <= diameter <= 100.0:
        raise InputError(
            f"{origin}: expected columns {COLUMNS[0]} and {COLUMNS[1]} of 0.5 to 100, got "
            f"{directory[:80]!r} and {size[:80]!r}"
        )
    try:
        path = (folder / directory / PRESS).resolve()
        is_inside = path.is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name that is too long
        raise InputError(f"{origin}: {directory[:80]!r} cannot be opened") from error
    if not is_inside:
        raise InputError(f"{origin}: {directory[:80]} leads out of the folder")
    return FolderPress(path, diameter)


def spread_presses(reference: Image, presses: list[Image], count: int) -> list[int]:
    """Select presses that are far apart in the image, since they constrain lights best.

    Args:
        reference: (H, W, 3) uint8 RGB reference image.
        presses: (H, W, 3) uint8 RGB images of presses.
        count: number of presses to select.

    Returns:
        Indices of the selected presses; fewer than `count` if there are fewer presses.
    """
    centres = np.array([_press_centre(reference, press) for press in presses])
    middle = (np.array(reference.shape[1::-1]) - 1) / 2
    reach = np.linalg.norm(centres - middle, axis=1) / np.linalg.norm(middle)
    central = reach < 0.6
    usable = np.flatnonzero(central) if central.sum() >= count else np.arange(len(centres))
    distance = np.linalg.norm(centres[usable, None] - centres[usable], axis=-1)
    first = int(np.unravel_index(int(distance.argmax()), distance.shape)[0])
    chosen = [first]
    while len(chosen) < min(count, len(usable)):
        chosen.append(int(distance[chosen].min(axis=0).argmax()))
    return [int(usable[k]) for k in chosen]


def _press_centre(reference: Image, press: Image) -> NDArray[np.float64]:
    """(x, y) px of the maximum of the smoothed image change."""
    change = np.abs(press.astype(np.float32) - reference.astype(np.float32)).max(axis=-1)
    smooth = cv2.GaussianBlur(change, (0, 0), 0.03 * reference.shape[1])
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return np.array([column, row], np.float64)
