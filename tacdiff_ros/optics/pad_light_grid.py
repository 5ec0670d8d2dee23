"""Coarse grid over the pad on which reflected light is stored, and its azimuth sectors."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from tacdiff_ros.sensor.sensor_model import SensorModel

GRID = (22, 18)  # nodes along x and y
SECTORS = 4
SECTOR_AXES = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))  # central directions
LAYER_COLUMNS = 6  # columns of the light that the layers reflect: 3 vertical, 3 horizontal ones
COLUMNS = 8  # of the table: those, 1 for the pad, 1 padding
ENTRIES = 2 * COLUMNS  # per node and sector: the columns at height 0, then their change per mm


def sector_axis(sector: Any) -> tuple[Any, Any]:
    """Return the horizontal unit vector at the centre of a sector.

    Args:
        sector: sector index, an `int` or one per lane.
    """
    if isinstance(sector, int):
        return SECTOR_AXES[sector]
    along_x = mi.Float(sector % 2 == 0)
    sign = dr.select(sector < 2, mi.Float(1.0), -1.0)
    return sign * along_x, sign * (1.0 - along_x)


def pad_nodes(model: SensorModel, height_mm: float) -> Any:
    """Return the nodes of the grid at a height, mm: the centres of equal cells of the pad."""
    columns, rows = GRID
    index = dr.arange(mi.UInt32, columns * rows)
    x = (mi.Float(index % columns) + 0.5) / columns - 0.5
    y = (mi.Float(index // columns) + 0.5) / rows - 0.5
    nodes = mi.Point3f(x * model.gel.width_mm, y * model.gel.height_mm, height_mm)
    dr.eval(nodes)
    return nodes


def bilinear(position: Any, width_mm: float, height_mm: float) -> tuple[list[Any], list[Any]]:
    """Return the indices and the bilinear weights of the four nodes around points.

    Args:
        position: (x, y) points, mm.
        width_mm: width of the pad, mm.
        height_mm: height of the pad, mm.
    """
    columns, rows = GRID
    x = dr.clip((position.x / width_mm + 0.5) * columns - 0.5, 0.0, columns - 1.001)
    y = dr.clip((position.y / height_mm + 0.5) * rows - 0.5, 0.0, rows - 1.001)
    column, row = mi.UInt32(dr.floor(dr.detach(x))), mi.UInt32(dr.floor(dr.detach(y)))
    right, down = x - mi.Float(column), y - mi.Float(row)
    first = row * columns + column
    nodes = [first, first + 1, first + columns, first + columns + 1]
    weights = [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    return nodes, weights
