"""Dimensions of the pad and grid of its surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel


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

    @classmethod
    def of_sensor(cls, model: SensorModel, rows: int = 49, columns: int = 61) -> PadGrid:
        """Return a grid on the pad of a sensor.

        Args:
            model: sensor model.
            rows: number of vertices along y.
            columns: number of vertices along x.

        Raises:
            InputError: rows or columns are not 5 to 257.
        """
        gel = model.gel
        return cls(gel.width_mm, gel.height_mm, model.gel_thickness_mm, rows, columns)

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance of neighbouring vertices along x and along y, mm."""
        return self.width_mm / (self.columns - 1), self.height_mm / (self.rows - 1)

    @property
    def count(self) -> int:
        """Number of vertices."""
        return self.rows * self.columns

    @property
    def rest_mm(self) -> NDArray[np.float64]:
        """(count, 3) rest positions of the vertices in frame `gel`, mm."""
        flat = GelSurface.flat(self.width_mm, self.height_mm, self.rows, self.columns)
        return flat.rest.astype(np.float64)

    @property
    def vertex_area_mm2(self) -> NDArray[np.float64]:
        """(count,) rest area of the surface around each vertex, mm^2; half of a cell at a side."""
        along_x, along_y = (
            np.full(count, spacing_mm)
            for count, spacing_mm in zip((self.columns, self.rows), self.spacing_mm, strict=True)
        )
        for lengths in (along_x, along_y):
            lengths[[0, -1]] /= 2.0
        return np.outer(along_y, along_x).ravel()
