"""Dimensions of the pad and grid of its surface."""

from __future__ import annotations

from dataclasses import dataclass

from tacdiff_ros.errors import InputError


@dataclass(frozen=True)
class PadGrid:
    """Pad with a regular grid of vertices on its surface.

    Attributes:
        width_mm: size along x, mm.
        height_mm: size along y, mm.
        thickness_mm: size along z, from the glass to the surface, mm.
        rows: number of vertices along y.
        columns: number of vertices along x.

    Raises:
        InputError: a length is not 0.5 to 200 mm, or rows or columns are not 5 to 257.
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
        """Distance of neighbouring vertices along x and along y, mm."""
        return self.width_mm / (self.columns - 1), self.height_mm / (self.rows - 1)

    @property
    def count(self) -> int:
        """Number of vertices."""
        return self.rows * self.columns
