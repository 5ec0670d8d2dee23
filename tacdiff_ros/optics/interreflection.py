"""Light that the coating scatters and the layers above the gel reflect, on a coarse grid.

The last interface to the air above the glass reflects totally beyond the critical angle, so about
half of the light that the gel scatters returns. For each node of a coarse grid over the undeformed
pad, this module sums the radiance of the pad points from which reflected light arrives (radiosity
by quadrature over angles) and the mirror images of the lights in the interfaces. The reflected
light is stored for four azimuth sectors, as one vector each, so that a tilted surface loses the
part below its horizon. The same is done for nodes 1 mm nearer to the layers, where the light is
about 30 % stronger; it is linear in the height.

A slope also faces the surrounding pad and receives the light that the pad scatters.

Limits: the light is scattered by a flat pad, with the markers averaged into its reflectance. The
light that a slope scatters onto the pad around it, and the shadow that it casts there, are
neglected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.optics.frozen_calls import FrozenCalls
from tacdiff_ros.optics.pad_light_grid import (
    COLUMNS,
    ENTRIES,
    LAYER_COLUMNS,
    SECTORS,
    bilinear,
    sector_axis,
)
from tacdiff_ros.optics.parameters import Parameters
from tacdiff_ros.optics.reflected_light_table import Quadrature, reflected_light_table
from tacdiff_ros.sensor.sensor_model import SensorModel


@dataclass(frozen=True)
class IndirectLight:
    """Light reflected by the layers onto the nodes of the grid.

    Attributes:
        table: flat (nodes x sectors x 16) table. Columns at height 0: per channel the vertical
            component of the irradiance vector, then per channel its horizontal component along the
            sector's axis, then the irradiance that the flat pad emits: its channel 0, 1 or 2 in the
            entries of sector 0, 1 or 2. Then the changes of these columns per mm of height.
        width_mm: width of the pad, mm.
        height_mm: height of the pad, mm.
    """

    table: Any
    width_mm: float
    height_mm: float

    def irradiance(self, position: Any, normal: Any) -> Any:
        """Return the RGB irradiance at points of the surface.

        Args:
            position: points, mm.
            normal: unit normals toward the camera.
        """
        total = mi.Color3f(0.0)
        for sector in range(SECTORS):
            cell = self._cell(position, sector)
            total += _irradiance_on_slope(cell, sector, normal)
            if sector < len(total):
                total[sector] += _pad_view_factor(normal) * cell[6]
        return total

    def from_sector(self, position: Any, normal: Any, sector: Any) -> tuple[Any, Any]:
        """Return the part of `irradiance` that the layers reflect from one sector.

        Args:
            position: points, mm.
            normal: unit normals toward the camera.
            sector: sector index; may differ between lanes.

        Returns:
            RGB irradiance, and RGB sin^2 of the mean angle between light and sensor axis.
        """
        cell = self._cell(position, sector)
        squares = [dr.square(cell[c]) for c in range(6)]
        sine_squared = mi.Color3f(
            *(squares[3 + c] / dr.maximum(squares[c] + squares[3 + c], 1e-20) for c in range(3))
        )
        return _irradiance_on_slope(cell, sector, normal), sine_squared

    def from_flat_pad(self, position: Any, normal: Any) -> Any:
        """Return the part of `irradiance` that a flat pad around each point emits.

        Args:
            position: points, mm.
            normal: unit normals toward the camera.
        """
        return mi.Color3f(
            *(_pad_view_factor(normal) * self._cell(position, sector)[6] for sector in range(3))
        )

    def _cell(self, position: Any, sector: Any) -> list[Any]:
        """Return the columns of the table at points, by bilinear interpolation."""
        nodes, weights = bilinear(position, self.width_mm, self.height_mm)
        cells = [
            dr.gather(
                mi.ArrayXf, self.table, node * SECTORS + sector, shape=(ENTRIES, dr.width(node))
            )
            for node in nodes
        ]
        entries = [
            sum(weight * cell[entry] for weight, cell in zip(weights, cells, strict=True))
            for entry in range(ENTRIES)
        ]
        layers = [
            entries[column] + position.z * entries[COLUMNS + column]
            for column in range(LAYER_COLUMNS)
        ]
        return [*layers, entries[LAYER_COLUMNS]]


class IndirectLights:
    """Indirect light of one sensor under changing parameters; traced only once without gradients.

    Attributes:
        parameters: sensor parameters, which may be replaced.
        model: sensor model.
    """

    def __init__(self, parameters: Parameters, model: SensorModel) -> None:
        """Upload the quadrature points.

        Args:
            parameters: sensor parameters.
            model: sensor model.
        """
        self.parameters = parameters
        self.model = model
        self._quadrature = Quadrature.uploaded()
        self._frozen = FrozenCalls(self)
        self._known: tuple[int, IndirectLight | None] | None = None

    def current(self) -> IndirectLight | None:
        """Return the indirect light, kept until a parameter changes or has gradients."""
        if self.parameters.has_gradients():
            return indirect_light(self.parameters, self.model)
        version = self.parameters.version
        if self._known is None or self._known[0] != version:
            self._known = (version, self._computed())
        return self._known[1]

    def kernel_inputs(self) -> list[Any]:
        """Return all data that kernels read (see `frozen_calls`)."""
        return [self.parameters.kernel_inputs(), self._quadrature.arrays()]

    def _computed(self) -> IndirectLight | None:
        if self.model.interreflection.bounces == 0:
            return None
        return _of_table(self._frozen.call("_traced_table"), self.model)

    def _traced_table(self) -> Any:
        return reflected_light_table(self.parameters, self.model, self._quadrature)


def indirect_light(parameters: Parameters, model: SensorModel) -> IndirectLight | None:
    """Return the light that the layers reflect onto the undeformed pad.

    Args:
        parameters: sensor parameters.
        model: sensor model.

    Returns:
        Indirect light; None if the number of bounces is 0.
    """
    if model.interreflection.bounces == 0:
        return None
    table = reflected_light_table(parameters, model, Quadrature.uploaded())
    dr.eval(table)
    return _of_table(table, model)


def _of_table(table: Any, model: SensorModel) -> IndirectLight:
    return IndirectLight(
        table=table,
        width_mm=model.gel.width_mm,
        height_mm=model.gel.height_mm,
    )


def _irradiance_on_slope(cell: list[Any], sector: Any, normal: Any) -> Any:
    """Return the RGB irradiance from a sector, without the part below a slope's horizon.

    Args:
        cell: interpolated columns of the table.
        sector: sector index.
        normal: unit normals toward the camera.
    """
    x, y = sector_axis(sector)
    facing = x * normal.x + y * normal.y
    return mi.Color3f(
        *(dr.maximum(cell[3 + c] * facing - cell[c] * normal.z, 0.0) for c in range(3))
    )


def _pad_view_factor(normal: Any) -> Any:
    """Return the view factor from a tilted surface to the flat pad around it."""
    return 0.5 * (1.0 + normal.z)
