"""Geometry of the printed marker pattern on a gel: counts, pitch and diameter."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tacdiff_ros.errors import InputError

#: A lattice with fewer than three rows or columns of markers cannot be indexed.
_MIN_LINES = 3
_MAX_LINES = 64


@dataclass(frozen=True)
class MarkerGrid:
    """A grid of markers with row 0 at the top of the image and column 0 at its left.

    Gels differ: the current GelSight Mini gel has 7 x 9 markers, an older one 8 x 10, and sources
    disagree about the pitch by 12 %. Therefore every number is a parameter.

    Raises:
        InputError: a number is out of bounds, or the diameter is not less than the pitch.
    """

    rows: int = 7
    """Number of rows, from the top of the image to its bottom."""
    columns: int = 9
    """Number of columns, from the left of the image to its right."""
    pitch_x_mm: float = 2.05
    """Distance between the centres of neighbouring markers in a row, mm."""
    pitch_y_mm: float = 2.00
    """Distance between the centres of neighbouring markers in a column, mm."""
    diameter_mm: float = 1.0
    """Diameter of a marker, mm; less than either pitch."""

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            _check_lines(name, getattr(self, name))
        for name in ("pitch_x_mm", "pitch_y_mm", "diameter_mm"):
            _check_length(name, getattr(self, name))
        min_pitch_mm = min(self.pitch_x_mm, self.pitch_y_mm)
        if self.diameter_mm >= min_pitch_mm:
            raise InputError(
                f"marker grid: diameter_mm is {self.diameter_mm}, expected less than the pitch, "
                f"{min_pitch_mm} mm, because markers must not touch"
            )

    @classmethod
    def parse(cls, text: str) -> MarkerGrid:
        """Parses the numbers of rows and columns, with the default pitch and diameter.

        Args:
            text: numbers of rows and columns, such as "7x9".

        Returns:
            The marker grid.

        Raises:
            InputError: the text is not two whole numbers with an x between them.
        """
        match = re.fullmatch(r"\s*([0-9]{1,4})\s*[xX]\s*([0-9]{1,4})\s*", str(text))
        if match is None:
            raise InputError(
                f"marker grid {text!r}: expected ROWSxCOLUMNS, two whole numbers, such as 7x9"
            )
        return cls(rows=int(match[1]), columns=int(match[2]))

    @property
    def count(self) -> int:
        """Number of markers on the gel."""
        return self.rows * self.columns


def _check_lines(name: str, value: object) -> None:
    """Raises an InputError unless a number of rows or columns is within its bounds."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not _MIN_LINES <= value <= _MAX_LINES:  # type: ignore[operator]
        raise InputError(
            f"marker grid: {name} is {value!r}, "
            f"expected a whole number from {_MIN_LINES} to {_MAX_LINES}"
        )


def _check_length(name: str, value: object) -> None:
    """Raises an InputError unless a length is a finite number above 0."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:  # type: ignore[operator, arg-type]
        raise InputError(f"marker grid: {name} is {value!r}, expected a length in mm above 0")
