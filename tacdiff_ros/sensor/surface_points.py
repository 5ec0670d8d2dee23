"""Conversion of organized point clouds (sensor_msgs/PointCloud2) to gel surfaces."""

from __future__ import annotations

from typing import Any

import numpy as np

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import MAX_VERTICES, MIN_LINES, GelSurface
from tacdiff_ros.sensor.sensor_model import Gel

FLOAT32 = 7  # PointField.FLOAT32
FIELDS = [("x", 0, FLOAT32), ("y", 4, FLOAT32), ("z", 8, FLOAT32)]
MM_PER_M = 1000.0


def surface_of_points(cloud: Any, gel: Gel) -> GelSurface:
    """Converts an organized point cloud to a gel surface.

    Args:
        cloud: `sensor_msgs/PointCloud2` from DDS or from a bag, with the positions of all vertices
            in metres, by rows and columns, in its first three fields.
        gel: gel whose size gives the undeformed positions.

    Returns:
        Surface with the cloud's positions, mm.

    Raises:
        InputError: the cloud has another layout or size, or a position is not finite.
    """
    rows, columns = int(cloud.height), int(cloud.width)
    fields = [(field.name, int(field.offset), int(field.datatype)) for field in cloud.fields]
    step = int(cloud.point_step)
    is_complete = step >= 12 and step % 4 == 0 and len(cloud.data) == step * rows * columns
    if fields[:3] != FIELDS or not is_complete or cloud.is_bigendian:
        raise InputError(
            f"cloud of {rows} x {columns} points with fields {[name for name, *_ in fields]}: "
            "expected x, y, z as float32 in rows and columns, as on the topics gel_points"
        )
    if min(rows, columns) < MIN_LINES or rows * columns > MAX_VERTICES:
        raise InputError(
            f"cloud of {rows} x {columns} points, expected at least {MIN_LINES} each way and up to "
            f"{MAX_VERTICES} in all"
        )
    values = np.frombuffer(bytes(cloud.data), np.float32).reshape(rows * columns, step // 4)
    position = values[:, :3] * MM_PER_M
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    return flat.moved(position, may_overhang=True)
