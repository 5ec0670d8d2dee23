"""Touches of an object pose estimate from inverted tactile images."""

from __future__ import annotations

import numpy as np

from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.objects.grasp_observation import GelTouch

METRES_PER_MM, PASCAL_PER_MPA = 1e-3, 1e6


def inverted_touch(name: str, inversion: Inversion) -> GelTouch:
    """Convert the inversion of one image, its visible vertices only.

    Args:
        name: name of the gel, that of a `GelPad` of the hand.
        inversion: result of `Inverter.invert` or `Inverter.follow`.
    """
    surface = inversion.surface
    grid = surface.position.astype(float).reshape(surface.rows, surface.columns, 3)
    normals = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    seen = inversion.valid & np.isfinite(grid).all(axis=2)
    forces = inversion.forces
    traction = None
    if forces is not None:
        pressed = [forces.traction_mpa, -forces.pressure_mpa[..., None]]
        traction = PASCAL_PER_MPA * np.concatenate(pressed, axis=2)[seen]
    return GelTouch(
        name,
        METRES_PER_MM * grid[seen],
        normals[seen],
        inversion.contact.mask[seen],
        METRES_PER_MM * inversion.height_stddev_mm[seen],
        traction,
        None if forces is None else forces.force_n,
    )
