"""Periodic grid of gel heights at current (spatial) positions, not at material points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.floating]

MARGIN_MM = 3.0  # around the pad, where heights decay to zero because the grid is periodic


@dataclass(frozen=True)
class HeightGrid:
    """Uniform, periodic grid over the pad.

    Attributes:
        x_mm: (columns,) x coordinates of the vertices, mm.
        y_mm: (rows,) y coordinates of the vertices, mm.
        spacing_mm: vertex spacing along both axes, mm.
    """

    x_mm: Floats
    y_mm: Floats
    spacing_mm: float

    @classmethod
    def over(cls, model: SensorModel, spacing_mm: float) -> HeightGrid:
        """Return a grid over a sensor's pad and a margin.

        The numbers of rows and columns are rounded up to sizes of fast Fourier transforms.

        Args:
            model: sensor model with the pad's size.
            spacing_mm: vertex spacing, mm.
        """
        sizes = [
            fft.next_fast_len(round((side + 2.0 * MARGIN_MM) / spacing_mm), real=True)
            for side in (model.gel.width_mm, model.gel.height_mm)
        ]
        x_mm, y_mm = ((np.arange(n) - 0.5 * (n - 1)) * spacing_mm for n in sizes)
        return cls(x_mm, y_mm, spacing_mm)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y_mm), len(self.x_mm)

    @property
    def wave_numbers(self) -> tuple[Floats, Floats]:
        """Wave numbers (1, columns // 2 + 1) along x and (rows, 1) along y, rad/mm."""
        rows, columns = self.shape
        kx = 2.0 * np.pi * fft.rfftfreq(columns, self.spacing_mm)
        ky = 2.0 * np.pi * fft.fftfreq(rows, self.spacing_mm)
        return kx[None, :], ky[:, None]

    def surface(self, height_mm: Floats) -> GelSurface:
        """Return the surface with heights (rows, columns) mm at the grid's vertices."""
        rows, columns = self.shape
        x, y = np.meshgrid(self.x_mm, self.y_mm)
        rest = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
        position = np.stack([x, y, height_mm], axis=-1).reshape(-1, 3)
        return GelSurface(rest.astype(np.float32), position.astype(np.float32), rows, columns)
