"""Material points of the gel: a regular grid on the undeformed pad, displaced by a contact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from tacdiff_ros.errors import InputError
from tacdiff_ros.inversion.height_grid import HeightGrid
from tacdiff_ros.inversion.marker_motion import MarkerMotion
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

FOLD_STEPS, FOLD_SHRINK = 8, 0.8


class MaterialPoints:
    """Material points of a pad, and fields on the spatial grid at their positions.

    Attributes:
        rest: undeformed surface at the material points.
    """

    def __init__(self, model: SensorModel, grid: HeightGrid, spacing_mm: float) -> None:
        """Lay a regular grid of material points over the pad.

        Args:
            model: sensor model.
            grid: spatial grid of heights and other fields.
            spacing_mm: spacing of the material points, mm.
        """
        gel = model.gel
        columns, rows = (round(side / spacing_mm) + 1 for side in (gel.width_mm, gel.height_mm))
        self.rest = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
        self._grid = grid

    def surface(
        self,
        height: Floats,
        markers: MarkerField | None,
        motion: MarkerMotion | None,
        in_plane: Callable[[Floats], Floats] | None = None,
    ) -> tuple[GelSurface, Floats]:
        """Return the material points at their heights, displaced in the plane as the markers are.

        If mixed-up markers fold the surface, the displacements are scaled down until it is valid.

        Args:
            height: (rows, columns) heights on the spatial grid, mm.
            markers: markers of the image; None for a gel without markers.
            motion: motion of the material points from markers; None for a gel without markers.
            in_plane: motion (n, 2) that the gel's mechanics predict at positions (n, 2), mm; None
                if there is no prediction.

        Returns:
            The surface, and (n, 2) current positions of its vertices in the plane, mm.
        """
        rest = self.rest.rest.astype(np.float64)
        displacement = np.zeros_like(rest[:, :2])
        if motion is not None and markers is not None:
            on_grid = motion.displacement(
                markers,
                lambda position: self.sampled(height, position),
                in_plane,
            )
            displacement = on_grid.reshape(-1, 2)
        for _ in range(FOLD_STEPS):
            position = rest[:, :2] + displacement
            points = np.column_stack([position, self.sampled(height, position)])
            try:
                return self.rest.moved(points), position
            except InputError:  # folded
                displacement = FOLD_SHRINK * displacement
        points = np.column_stack([rest[:, :2], self.sampled(height, rest)])
        return self.rest.moved(points), rest

    def sampled(self, field: Floats, position: Floats) -> Floats:
        """Return the values (n,) of a field on the spatial grid.

        Args:
            field: (rows, columns) values on the grid.
            position: (n, 2) positions in the plane, mm.
        """
        grid = self._grid
        column = (position[:, 0] - grid.x_mm[0]) / grid.spacing_mm
        row = (position[:, 1] - grid.y_mm[0]) / grid.spacing_mm
        return np.asarray(map_coordinates(field, [row, column], order=1, mode="grid-wrap"))
