"""The pad's sizes and the vertices of its surface."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.errors import InputError


@dataclass(frozen=True)
class PadGrid:
    """A pad and a regular grid on it.

    Attributes:
        width_mm: along x.
        height_mm: along y.
        thickness_mm: from the glass to the surface.
        rows: vertices along y.
        columns: vertices along x.

    Raises:
        InputError: a length is not 0.5 to 200 mm, or lines not 5 to 257.
    """

    width_mm: float = 25.25
    height_mm: float = 20.75
    thickness_mm: float = 4.0
    rows: int = 49
    columns: int = 61

    def __post_init__(self) -> None:
        for name in ("width_mm", "height_mm", "thickness_mm"):
            if not 0.5 <= getattr(self, name) <= 200.0:
                raise InputError(f"pad: {name} is {getattr(self, name)}, expected 0.5 to 200 mm")
        for name in ("rows", "columns"):
            if not 5 <= getattr(self, name) <= 257:
                raise InputError(f"pad: {getattr(self, name)} {name}, expected 5 to 257 vertices")

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Of the vertices along x and along y."""
        return self.width_mm / (self.columns - 1), self.height_mm / (self.rows - 1)

    @property
    def count(self) -> int:
        """Vertices."""
        return self.rows * self.columns
