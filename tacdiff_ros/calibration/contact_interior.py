"""The interior of a contact, where the gel's surface is the indenter's own shape.

There the surface is known whatever the gel's mechanics are. Beside the contact it depends on the
pad: on its thickness, Poisson's ratio and coating.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics.indenters.indenter import Indenter
from tacdiff_ros.optics.projection import intersect_planes, pixel_rays
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.parameters import parameter_values
from tacdiff_ros.sensor.sensor_model import SensorModel

Floats = NDArray[np.float64]

# Distance from the indenter up to which a vertex touches it, and from which it does not: the
# triangles of the contact solver are chords, a few micrometres away from a curved indenter.
TOUCHING_MM, APART_MM = 0.01, 0.03
BORDER_FRACTION = (0.2, 0.4)  # of the largest distance from the border; the interior begins between
HEIGHT_STEPS = 3  # of the fixed point for the height that a pixel sees


def on_indenter(surface: GelSurface, indenter: Indenter, pose: IndenterPose) -> GelSurface:
    """Return the surface with its vertices in contact moved exactly onto the indenter.

    Args:
        surface: gel surface under the indenter, interpolated between the solver's vertices.
        indenter: rigid indenter.
        pose: pose of the indenter.
    """
    position = surface.position.astype(np.float64)
    near = _near(position, indenter, pose)
    field = indenter.derivatives(pose.to_indenter(position[near]))
    fraction = _falling(np.abs(field.distance), TOUCHING_MM, APART_MM)
    onto = field.gradient @ pose.matrix.T
    position[near] -= (fraction * field.distance)[:, None] * onto
    return surface.moved(position, may_overhang=True)


def interior(surface: GelSurface, indenter: Indenter, pose: IndenterPose) -> Floats:
    """Return which vertices are in the interior of the contact.

    Args:
        surface: gel surface under the indenter.
        indenter: rigid indenter.
        pose: pose of the indenter.

    Returns:
        (rows, columns) from 0 outside the contact and at its border to 1 in its interior, which
        begins at a fraction of the largest distance from the border.
    """
    position = surface.position.astype(np.float64)
    near = _near(position, indenter, pose)
    touching = np.zeros(len(position), bool)
    touching[near] = indenter.distance(pose.to_indenter(position[near])) < TOUCHING_MM
    mask = touching.reshape(surface.rows, surface.columns)
    if not mask.any():
        return np.zeros(mask.shape)
    spacing = [float(axis[1] - axis[0]) for axis in (surface.y_mm, surface.x_mm)]
    distance = ndimage.distance_transform_edt(mask, sampling=spacing)
    low, high = (fraction * float(distance.max()) for fraction in BORDER_FRACTION)
    return 1.0 - _falling(np.asarray(distance, np.float64), low, high)


class PixelSampler:
    """Samples fields over a gel surface at the pixels that see them."""

    def __init__(self, model: SensorModel, shape: tuple[int, int]) -> None:
        """Compute the pixels' rays.

        Args:
            model: sensor model with a fitted camera.
            shape: (h, w) of the image, px.
        """
        self._values = parameter_values(model)
        scale = model.image.width_px / shape[1]
        column, row = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
        pixels = scale * (np.stack([column, row], axis=-1) + 0.5) - 0.5
        self._rays = pixel_rays(self._values, pixels)

    def sample(self, surface: GelSurface, field: Floats) -> Floats:
        """Return a field at every pixel; its motion in the plane is neglected.

        Args:
            surface: deformed gel surface.
            field: (rows, columns) values at its vertices.

        Returns:
            (h, w) values; 0 where a pixel does not see the gel.
        """
        motion = (surface.position.astype(np.float64) - surface.rest)[:, 2]
        height = motion.reshape(field.shape)
        z = np.zeros(self._rays.shape[:2])
        for _ in range(HEIGHT_STEPS):
            point = intersect_planes(self._values, self._rays, z)
            z = _interpolated(surface, height, point)
        return _interpolated(surface, field, point)


def _near(position: Floats, indenter: Indenter, pose: IndenterPose) -> NDArray[np.bool_]:
    """(N,) bool, vertices inside the indenter's bounding box, enlarged by `APART_MM`."""
    local = pose.to_indenter(position)
    low, high = indenter.bounds
    return np.asarray(((local > low - APART_MM) & (local < high + APART_MM)).all(axis=1))


def _falling(value: Floats, low: float, high: float) -> Floats:
    """Return 1 up to `low` and 0 from `high` on, with a smooth step between."""
    t = np.clip((high - value) / max(high - low, 1e-9), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def _interpolated(surface: GelSurface, field: Floats, point: Floats) -> Floats:
    """Field (rows, columns) at points (h, w, 3), by their x and y; 0 beside the grid."""
    column, row = (
        (point[..., k] - axis[0]) / (axis[1] - axis[0])
        for k, axis in ((0, surface.x_mm), (1, surface.y_mm))
    )
    at = np.nan_to_num(np.stack([row, column]), nan=-1.0)
    return np.asarray(ndimage.map_coordinates(field, at, order=1, cval=0.0))
