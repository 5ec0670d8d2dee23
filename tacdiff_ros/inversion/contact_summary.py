"""One contact in numbers, from the inverted surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.floating]

MIN_DEPTH_MM = 0.03
DEPTH_FRACTION = 0.15  # of the largest, which a touched vertex has at least
MIN_PATCH_FRACTION = 0.1  # of the largest patch; smaller ones are noise at the view's border
PRESSED_FRACTION = 0.15  # of the strongest pressure, from which on a vertex counts as touched
MIN_PRESSURE = 0.02  # over Young's modulus


@dataclass(frozen=True)
class Contact:
    """What touches the gel.

    Attributes:
        mask: (rows, columns) bool of the surface's vertices.
        area_mm2: of the touched surface at rest.
        centroid_mm: (x, y) at rest; (0, 0) without contact.
        depth_mm: largest indentation.
        shear_mm: (x, y) mean in-plane displacement of the touched surface.
        twist_rad: mean rotation of the touched surface about z.
    """

    mask: NDArray[np.bool_]
    area_mm2: float
    centroid_mm: tuple[float, float]
    depth_mm: float
    shear_mm: tuple[float, float]
    twist_rad: float

    @property
    def in_contact(self) -> bool:
        """Whether anything touches."""
        return bool(self.mask.any())


def summarise(surface: GelSurface, pressure: Floats, valid: NDArray[np.bool_]) -> Contact:
    """The contact of a surface.

    Args:
        surface: inverted.
        pressure: (rows, columns) over Young's modulus, as a linear layer would need it.
        valid: (rows, columns) vertices that count.
    """
    shape = (surface.rows, surface.columns)
    moved = (surface.position.astype(np.float64) - surface.rest).reshape(*shape, 3)
    depth = np.where(valid, -moved[..., 2], 0.0)
    strongest = float(np.where(valid, pressure, 0.0).max())
    mask = valid & (depth > max(MIN_DEPTH_MM, DEPTH_FRACTION * float(depth.max())))
    mask &= pressure > max(PRESSED_FRACTION * strongest, MIN_PRESSURE)
    mask = _patches(mask)
    if not mask.any():
        return Contact(mask, 0.0, (0.0, 0.0), max(float(depth.max()), 0.0), (0.0, 0.0), 0.0)
    x, y = np.meshgrid(surface.x_mm.astype(np.float64), surface.y_mm.astype(np.float64))
    cell = float(np.diff(surface.x_mm).mean() * np.diff(surface.y_mm).mean())
    centre = float(x[mask].mean()), float(y[mask].mean())
    shear = moved[mask][:, :2].mean(axis=0)
    away_x, away_y = x[mask] - centre[0], y[mask] - centre[1]
    turn_x, turn_y = (moved[mask][:, :2] - shear).T
    inertia = float(np.sum(away_x**2 + away_y**2))
    twist = float(np.sum(away_x * turn_y - away_y * turn_x)) / inertia if inertia > 0 else 0.0
    return Contact(
        mask,
        cell * int(mask.sum()),
        centre,
        float(depth.max()),
        (float(shear[0]), float(shear[1])),
        twist,
    )


def _patches(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without thin tails and without patches that are small beside the largest."""
    opened = ndimage.binary_opening(mask, np.ones((3, 3), bool))
    labels, count = ndimage.label(opened)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= MIN_PATCH_FRACTION * sizes.max())[labels] & opened)
