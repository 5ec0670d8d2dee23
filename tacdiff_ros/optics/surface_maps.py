"""Maps of the surface as visible through the layers: NOCS, depth, indentation, shear, normals.

NOCS follows Wang et al., "Normalized Object Coordinate Space" (CVPR 2019), with the current height
in the third channel (the paper, section IV-A).
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.optics.camera_rays import gel_rays, rotate
from tacdiff_ros.optics.gel_mesh import GelMesh, SurfaceHit
from tacdiff_ros.optics.map_arrays import SurfaceMaps
from tacdiff_ros.optics.parameters import View
from tacdiff_ros.sensor.sensor_model import SensorModel

CHANNELS = {
    "nocs": 3,
    "depth_mm": 1,
    "indentation_mm": 1,
    "shear_mm": 2,
    "normal": 3,
    "hit": 1,
}


def pack_maps(view: View, model: SensorModel, mesh: GelMesh, x_px: Any, y_px: Any) -> Any:
    """Compute all maps in one flat array, because one download is faster than several.

    Args:
        view: sensor parameters, one lane per pixel.
        model: sensor model.
        mesh: gel surface.
        x_px: column coordinates in the sensor's own image size, px.
        y_px: row coordinates in the sensor's own image size, px.

    Returns:
        Flat `mi.Float`: the maps one after the other in the order of `CHANNELS`, each with
        interleaved channels.
    """
    hit = mesh.intersect(gel_rays(view, x_px, y_px))
    maps = [
        _nocs(model, hit),
        [_depth(view, hit)],
        [dr.maximum(-hit.position.z, 0.0)],
        [hit.position.x - hit.rest.x, hit.position.y - hit.rest.y],
        list(hit.normal),
        [mi.Float(1.0)],
    ]
    count = dr.width(x_px)
    lane = dr.arange(mi.UInt32, count)
    packed = dr.empty(mi.Float, count * sum(CHANNELS.values()))
    start = 0
    for channels in maps:
        for k, channel in enumerate(channels):
            index = start + lane * len(channels) + k
            dr.scatter(
                packed, dr.select(hit.valid, channel, 0.0), index, mode=dr.ReduceMode.Permute
            )
        start += count * len(channels)
    return packed


def unpack_maps(packed: NDArray[np.float32], shape: tuple[int, int]) -> SurfaceMaps:
    """Split the result of `pack_maps` into maps.

    Args:
        packed: flat float32 result of `pack_maps`.
        shape: rows and columns of the image.
    """
    sizes = [shape[0] * shape[1] * channels for channels in CHANNELS.values()]
    parts = np.split(packed, np.cumsum(sizes)[:-1])
    maps = {
        name: part.reshape(shape if channels == 1 else (*shape, channels))
        for (name, channels), part in zip(CHANNELS.items(), parts, strict=True)
    }
    return SurfaceMaps(hit=maps.pop("hit") > 0.5, **maps)


def _nocs(model: SensorModel, hit: SurfaceHit) -> list[Any]:
    gel = model.gel
    return [
        dr.clip(hit.rest.x / gel.width_mm + 0.5, 0.0, 1.0),
        dr.clip(hit.rest.y / gel.height_mm + 0.5, 0.0, 1.0),
        dr.clip(1.0 + hit.position.z / gel.full_indentation_mm, 0.0, 1.0),
    ]


def _depth(view: View, hit: SurfaceHit) -> Any:
    """Return the third coordinate of points in the camera frame, mm."""
    axis = rotate(view.triple("camera.rotation_rad"), mi.Vector3f(0.0, 0.0, 1.0))
    return dr.dot(axis, hit.position - view.triple("camera.position_mm"))
