"""Points of the gel surface that the pixels of an image show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.optics.map_arrays import SurfaceMaps
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel


def surface_points(
    model: SensorModel,
    maps: SurfaceMaps,
    surface: GelSurface,
    observed: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the point that each pixel shows.

    Args:
        model: sensor model.
        maps: maps of the surface.
        surface: gel surface.
        observed: (rows, columns) bool, vertices whose positions are known.

    Returns:
        (H, W, 3) float32 current positions in frame `gel`, mm; NaN where the pixel shows no
        observed part of the surface.
    """
    size = np.array([model.gel.width_mm, model.gel.height_mm])
    rest = (maps.nocs[..., :2].astype(np.float64) - 0.5) * size
    plane = rest + maps.shear_mm
    values = parameter_values(model)
    axis = Rotation.from_rotvec(values["camera.rotation_rad"]).as_matrix()[:, 2]
    # The depth is the distance from the camera along its optical axis.
    z = (maps.depth_mm + values["camera.position_mm"] @ axis - plane @ axis[:2]) / axis[2]
    index = [
        np.clip(np.rint((part - lines[0]) / np.diff(lines).mean()), 0, len(lines) - 1).astype(int)
        for part, lines in ((rest[..., 1], surface.y_mm), (rest[..., 0], surface.x_mm))
    ]
    known = maps.hit & observed[tuple(index)]
    points = np.concatenate([plane, z[..., None]], axis=-1)
    return np.where(known[..., None], points, np.nan).astype(np.float32)
