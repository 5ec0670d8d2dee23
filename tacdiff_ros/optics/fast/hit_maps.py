"""Surface maps from the hits of pixels; see `optics.surface_maps` for their content."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.fast.pixel_chunk import PixelHits
from tacdiff_ros.optics.fast.sensor_tables import SensorTables
from tacdiff_ros.optics.fast.surface_hits import NORMAL_X, REST_X, REST_Y, X, Y, Z
from tacdiff_ros.optics.map_arrays import SurfaceMaps
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float32]


def maps_of_hits(
    model: SensorModel, sensor: SensorTables, pixels_hit: list[PixelHits], shape: tuple[int, int]
) -> SurfaceMaps:
    """Return the surface maps of an image.

    Args:
        model: sensor model.
        sensor: prepared sensor.
        pixels_hit: hits of all pixels, in order.
        shape: rows and columns of the image.
    """
    gel, count = model.gel, shape[0] * shape[1]
    nocs, shear = np.empty((count, 3), np.float32), np.empty((count, 2), np.float32)
    depth, indentation = np.empty(count, np.float32), np.empty(count, np.float32)
    normal, hit = np.empty((count, 3), np.float32), np.empty(count, bool)
    for part in pixels_hit:
        hits, pixels = part.hits, part.pixels
        nocs[pixels, 0] = hits[REST_X] / np.float32(gel.width_mm) + np.float32(0.5)
        nocs[pixels, 1] = hits[REST_Y] / np.float32(gel.height_mm) + np.float32(0.5)
        nocs[pixels, 2] = hits[Z] / np.float32(gel.full_indentation_mm) + np.float32(1.0)
        shear[pixels, 0] = hits[X] - hits[REST_X]
        shear[pixels, 1] = hits[Y] - hits[REST_Y]
        depth[pixels] = sensor.camera_axis @ hits[: Z + 1]
        np.maximum(-hits[Z], 0.0, out=indentation[pixels])
        normal[pixels] = hits[NORMAL_X:].T
        hit[pixels] = part.valid
    np.clip(nocs, 0.0, 1.0, out=nocs)
    depth -= sensor.camera_axis @ sensor.camera_position
    if not hit.all():
        for array in (nocs, shear, depth, indentation, normal):
            array[~hit] = 0.0
    return SurfaceMaps(
        nocs=nocs.reshape(*shape, 3),
        depth_mm=depth.reshape(shape),
        indentation_mm=indentation.reshape(shape),
        shear_mm=shear.reshape(*shape, 2),
        normal=normal.reshape(*shape, 3),
        hit=hit.reshape(shape),
    )
