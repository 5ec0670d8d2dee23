"""The printed pattern of dots on a gel: how many, how far apart, how large."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tacdiff_ros.errors import InputError

#: Fewer than three lines of dots in a direction do not make a lattice that can be indexed.
_MIN_LINES = 3
_MAX_LINES = 64


@dataclass(frozen=True)
class MarkerGrid:
    """Rows x columns of dots, seen with row 0 at the top of the image and column 0 at its left.

    Gels differ: the current GelSight Mini gel has 7 x 9 dots, an older one 8 x 10, and sources
    disagree about the pitch by 12 %. So every number is a parameter, none a constant.
    """

    rows: int = 7
    """Lines of dots from the top of the image to its bottom."""
    columns: int = 9
    """Dots in a line, from the left of the image to its right."""
    pitch_x_mm: float = 2.05
    """Distance between the centres of neighbours in a row, mm."""
    pitch_y_mm: float = 2.00
    """Distance between the centres of neighbours in a column, mm."""
    diameter_mm: float = 1.0
    """Diameter of a dot, mm; smaller than either pitch."""

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            _check_lines(name, getattr(self, name))
        for name in ("pitch_x_mm", "pitch_y_mm", "diameter_mm"):
            _check_length(name, getattr(self, name))
        smallest = min(self.pitch_x_mm, self.pitch_y_mm)
        if self.diameter_mm >= smallest:
            raise InputError(
                f"marker grid: diameter_mm is {self.diameter_mm}, expected less than the pitch, "
                f"{smallest} mm, or the dots would touch"
            )

    @classmethod
    def parse(cls, text: str) -> MarkerGrid:
        """Read "7x9": 7 rows x 9 columns, with the default pitch and diameter.

        Raises InputError when the text is not two whole numbers with an x between them.
        """
        match = re.fullmatch(r"\s*([0-9]{1,4})\s*[xX]\s*([0-9]{1,4})\s*", str(text))
        if match is None:
            raise InputError(
                f"marker grid {text!r}: expected ROWSxCOLUMNS, two whole numbers, such as 7x9"
            )
        return cls(rows=int(match[1]), columns=int(match[2]))

    @property
    def count(self) -> int:
        """Number of dots on the gel."""
        return self.rows * self.columns


def _check_lines(name: str, value: object) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not _MIN_LINES <= value <= _MAX_LINES:  # type: ignore[operator]
        raise InputError(
            f"marker grid: {name} is {value!r}, "
            f"expected a whole number from {_MIN_LINES} to {_MAX_LINES}"
        )


def _check_length(name: str, value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:  # type: ignore[operator, arg-type]
        raise InputError(f"marker grid: {name} is {value!r}, expected a length in mm above 0")
