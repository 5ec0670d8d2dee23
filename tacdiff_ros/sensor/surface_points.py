"""Gel surfaces out of organised point clouds (sensor_msgs/PointCloud2), from DDS or from a bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import MAX_VERTICES, MIN_LINES, GelSurface
from tacdiff_ros.sensor.sensor_model import Gel

POINT_BYTES = 12
FLOAT32 = 7  # PointField.FLOAT32
FIELDS = [("x", 0, FLOAT32), ("y", 4, FLOAT32), ("z", 8, FLOAT32)]
MM_PER_M = 1000.0


def surface_of_points(cloud: Any, gel: Gel) -> GelSurface:
    """The surface of a pad whose vertices a cloud has in metres, by rows and columns.

    Raises:
        InputError: another kind of cloud, or positions that are not finite.
    """
    rows, columns = int(cloud.height), int(cloud.width)
    fields = [(field.name, int(field.offset), int(field.datatype)) for field in cloud.fields]
    whole = cloud.point_step == POINT_BYTES and len(cloud.data) == POINT_BYTES * rows * columns
    if fields != FIELDS or not whole or cloud.is_bigendian:
        raise InputError(
            f"cloud of {rows} x {columns} points with fields {[name for name, *_ in fields]}: "
            "expected x, y, z as float32 in rows and columns, as gel_points topics carry them"
        )
    if min(rows, columns) < MIN_LINES or rows * columns > MAX_VERTICES:
        raise InputError(f"cloud of {rows} x {columns} points, expected at least {MIN_LINES}")
    position = np.frombuffer(bytes(cloud.data), np.float32).reshape(-1, 3) * MM_PER_M
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    return flat.moved(position, may_overhang=True)
