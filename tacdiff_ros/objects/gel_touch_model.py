"""The surface of a gel that an object indents, and the errors with which it is measured.

A foundation of springs with a rounded edge: quick, and exact in shape in the contact. Limits: no
bulge around the contact; use `mechanics` where that matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.grasp_observation import GelTouch
from tacdiff_ros.objects.hand import GelPad
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]

SPACING_M = 5e-4
VIEW_DISTANCE_M = 2.0  # of the camera whose rays stand for parallel ones
SKIRT_M = 2.5e-4  # standard deviation of the Gaussian that rounds the edge of the contact
STIFFNESS = 4e7  # pressure per depth, Pa/m: 0.16 MPa over 4 mm
PAD_THICKNESS_M = 0.004


@dataclass(frozen=True)
class GelErrors:
    """Errors of a surface measured by inversion of a tactile image.

    Attributes:
        height: standard deviation of the smooth error of the height, m.
        correlation: correlation length of that error, m.
        scale: standard deviation of the relative error of all depths (another calibration).
        traction: relative error of the tractions.
    """

    height: float = 2.5e-5
    correlation: float = 1.5e-3
    scale: float = 0.03
    traction: float = 0.1


def true_heights(item: RigidObject, pose: Array, pad: GelPad) -> tuple[Array, NDArray[np.bool_]]:
    """Return the gel's heights over a regular grid.

    Args:
        item: object that indents the gel.
        pose: (4, 4) pose of the object in the frame `gel`.
        pad: the gel.

    Returns:
        height: (R, C) heights of the surface, m; negative in the indented area.
        contact: (R, C) whether the surface touches the object.
    """
    columns, rows = (2 * round(size / SPACING_M / 2) + 1 for size in pad.size)
    focal = VIEW_DISTANCE_M / SPACING_M
    view = np.eye(4)
    view[2, 3] = -VIEW_DISTANCE_M
    camera = DepthCamera(columns, rows, focal, focal, (columns - 1) / 2, (rows - 1) / 2, view)
    depth, label = camera.render_depth([(item.vertices, item.faces)], [pose])
    surface = np.where(label >= 0, depth.astype(float) - VIEW_DISTANCE_M, 1.0)
    pressed = np.clip(surface, -0.8 * PAD_THICKNESS_M, 0.0)
    skirt = gaussian_filter(pressed, SKIRT_M / SPACING_M)
    return np.minimum(pressed, skirt), pressed < 0


def measure_gel(
    item: RigidObject,
    pose: Array,
    pad: GelPad,
    shear_force: Array,
    errors: GelErrors | None,
    random: np.random.Generator,
) -> GelTouch:
    """Return the measured surface of a gel that an object indents.

    Args:
        item: object that indents the gel.
        pose: (4, 4) pose of the object in the frame `gel`.
        pad: the gel.
        shear_force: (2,) tangential force of the object on the gel along x and y, N.
        errors: errors of the measurement; None for the true surface.
        random: source of random numbers.
    """
    height, contact = true_heights(item, pose, pad)
    area = SPACING_M**2
    pressure = np.where(contact, STIFFNESS * -height, 0.0)
    normal_force = float(pressure.sum() * area)
    traction = np.zeros((*height.shape, 3))
    traction[..., 2] = -pressure
    traction[..., :2] = (pressure / max(normal_force, 1e-9))[..., None] * shear_force
    stddev = 5e-6
    if errors is not None:
        noise = gaussian_filter(
            random.standard_normal(height.shape), errors.correlation / SPACING_M
        )
        height = height * (1 + errors.scale * random.standard_normal())
        height = height + errors.height * noise / noise.std()
        traction *= 1 + errors.traction * random.standard_normal(3)
        stddev = float(np.hypot(errors.height, errors.scale * np.abs(height).max() / 2))
        contact = height < -2 * errors.height
    return _touch(pad, height, contact, traction, stddev)


def _touch(
    pad: GelPad, height: Array, contact: NDArray[np.bool_], traction: Array, stddev: float
) -> GelTouch:
    rows, columns = height.shape
    x = SPACING_M * (np.arange(columns) - (columns - 1) / 2)
    y = SPACING_M * (np.arange(rows) - (rows - 1) / 2)
    points = np.stack([*np.meshgrid(x, y), height], axis=-1).reshape(-1, 3)
    slope_y, slope_x = np.gradient(height, SPACING_M)
    normals = np.stack([-slope_x, -slope_y, np.ones_like(height)], axis=-1).reshape(-1, 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    flat = traction.reshape(-1, 3)
    return GelTouch(
        name=pad.name,
        points=points,
        normals=normals,
        contact=contact.reshape(-1),
        stddev=np.full(len(points), stddev),
        traction=flat,
        force=flat.sum(axis=0) * SPACING_M**2,
    )
