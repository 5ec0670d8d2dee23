"""Images of a guided calibration on the disk, in the layout that `read_folder` reads.

Every image is written when it is taken, so that an interrupted session can be resumed.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.calibration.calibration_folder import (
    CATALOG,
    COLUMNS,
    PRESS,
    REFERENCE,
    read_folder,
)
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.output_files import check_space, png_bytes, write_files

Image = NDArray[np.uint8]

NAME = re.compile(r"press_\d{1,4}")


@dataclass(frozen=True)
class StoredPress:
    """One press of a session.

    Attributes:
        name: name of its folder.
        diameter_mm: diameter of the ball, mm.
    """

    name: str
    diameter_mm: float


class SessionFolder:
    """Reference image and presses of one session.

    Attributes:
        path: folder of the images.
        has_reference: whether the reference image is stored.
        presses: stored presses, in the order in which they were taken.
    """

    def __init__(self, path: Path) -> None:
        """Open a folder, which is made with the first image.

        Args:
            path: new folder, or that of an interrupted session.

        Raises:
            InputError: the folder holds other files, or cannot be written.
        """
        self.path = path
        self.has_reference = (path / REFERENCE).is_file()
        self.presses: list[StoredPress] = []
        if (path / CATALOG).exists():
            self.presses = [
                StoredPress(str(press.path.parent.relative_to(path.resolve())), press.diameter_mm)
                for press in read_folder(path).presses
            ]
            self._check_names()
        elif path.exists() and not (path.is_dir() and (self.has_reference or _is_empty(path))):
            raise InputError(
                f"{path} holds no images of a calibration ({REFERENCE}, {CATALOG}): give a new "
                "folder, or that of a session to resume"
            )
        check_space(path)

    def reference(self) -> Image:
        """Return the stored reference image, (H, W, 3) uint8 RGB.

        Raises:
            InputError: the file is no image.
        """
        return read_image(self.path / REFERENCE)

    def image(self, press: StoredPress) -> Image:
        """Return the stored image of a press, (H, W, 3) uint8 RGB.

        Raises:
            InputError: the file is no image.
        """
        return read_image(self.path / press.name / PRESS)

    def set_reference(self, image: Image) -> None:
        """Store the reference image.

        Args:
            image: (H, W, 3) uint8 RGB image of the untouched gel.

        Raises:
            InputError: the folder cannot be written.
        """
        write_files(self.path, {REFERENCE: png_bytes(image)})
        self.has_reference = True

    def add(self, image: Image, diameter_mm: float) -> StoredPress:
        """Store a press.

        Args:
            image: (H, W, 3) uint8 RGB image of the press.
            diameter_mm: diameter of the ball, mm.

        Raises:
            InputError: the folder cannot be written.
        """
        taken = {press.name for press in self.presses}
        number = next(k for k in range(1, len(taken) + 2) if f"press_{k}" not in taken)
        press = StoredPress(f"press_{number}", diameter_mm)
        write_files(self.path / press.name, {PRESS: png_bytes(image)})
        self._write_catalog([*self.presses, press])
        return press

    def remove_last(self) -> StoredPress:
        """Remove the press that was stored last, and return it."""
        press = self.presses[-1]
        self._write_catalog(self.presses[:-1])
        shutil.rmtree(self.path / press.name, ignore_errors=True)
        return press

    def remove_reference(self) -> None:
        """Remove the reference image."""
        (self.path / REFERENCE).unlink(missing_ok=True)
        self.has_reference = False

    def _check_names(self) -> None:
        """Refuse a folder of another program, whose catalogue this class must not change."""
        for press in self.presses:
            if not NAME.fullmatch(press.name):
                raise InputError(
                    f"{self.path} is no session, its press '{press.name}' is not named press_K: "
                    "calibrate from it with --folder and without --live"
                )

    def _write_catalog(self, presses: list[StoredPress]) -> None:
        if presses:
            rows = [",".join(COLUMNS), *(f"{p.name},{p.diameter_mm:g}" for p in presses)]
            write_files(self.path, {CATALOG: "\n".join(rows) + "\n"})
        else:  # a catalogue without presses is not valid
            (self.path / CATALOG).unlink(missing_ok=True)
        self.presses = presses


def _is_empty(path: Path) -> bool:
    return next(path.iterdir(), None) is None
