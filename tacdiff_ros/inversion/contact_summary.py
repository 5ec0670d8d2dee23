"""Summary of one contact, computed from the inverted surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tacdiff_ros.sensor.gel_surface import GelSurface

Floats = NDArray[np.floating]

MIN_DEPTH_MM = 0.03
DEPTH_FRACTION = 0.15  # minimum depth of a contact vertex, as a fraction of the maximum depth
MIN_PATCH_FRACTION = 0.1  # of the largest patch's area; smaller patches are noise near the border
# Minimum pressure of a contact vertex, as a fraction of the 90 % quantile of deep vertices. The
# skirt of real gels is steeper than the model's, which looks like a weak pressure beside it.
PRESSED_FRACTION, PRESSED_QUANTILE = 0.3, 0.9
MIN_PRESSURE = 0.02  # over Young's modulus


@dataclass(frozen=True)
class Contact:
    """Contact between an indenter and the gel.

    Attributes:
        mask: (rows, columns) bool, surface vertices in contact.
        area_mm2: area of the contact patch in the undeformed state.
        centroid_mm: (x, y) centroid of the contact patch in the undeformed state; (0, 0) without
            contact.
        depth_mm: maximum indentation depth.
        shear_mm: (x, y) mean in-plane displacement of the contact patch.
        twist_rad: mean rotation of the contact patch about z.
    """

    mask: NDArray[np.bool_]
    area_mm2: float
    centroid_mm: tuple[float, float]
    depth_mm: float
    shear_mm: tuple[float, float]
    twist_rad: float

    @property
    def in_contact(self) -> bool:
        """Whether any vertex is in contact."""
        return bool(self.mask.any())


def summarise(surface: GelSurface, pressure: Floats, valid: NDArray[np.bool_]) -> Contact:
    """Return the contact that a deformed surface shows.

    Args:
        surface: deformed gel surface with rows x columns vertices.
        pressure: (rows, columns) normal pressure on a linear elastic layer of this shape, over
            Young's modulus.
        valid: (rows, columns) bool, vertices to consider.

    Returns:
        The contact; its mask is empty if nothing touches the gel.
    """
    shape = (surface.rows, surface.columns)
    motion = (surface.position.astype(np.float64) - surface.rest).reshape(*shape, 3)
    depth = np.where(valid, -motion[..., 2], 0.0)
    mask = valid & (depth > max(MIN_DEPTH_MM, DEPTH_FRACTION * float(depth.max())))
    mask &= pressure > MIN_PRESSURE
    if mask.any():
        mask &= pressure > PRESSED_FRACTION * float(np.quantile(pressure[mask], PRESSED_QUANTILE))
    mask = _without_small_patches(mask)
    if not mask.any():
        return Contact(
            mask=mask,
            area_mm2=0.0,
            centroid_mm=(0.0, 0.0),
            depth_mm=max(float(depth.max()), 0.0),
            shear_mm=(0.0, 0.0),
            twist_rad=0.0,
        )
    x, y = np.meshgrid(surface.x_mm.astype(np.float64), surface.y_mm.astype(np.float64))
    cell_mm2 = float(np.diff(surface.x_mm).mean() * np.diff(surface.y_mm).mean())
    centroid = float(x[mask].mean()), float(y[mask].mean())
    shear = motion[mask][:, :2].mean(axis=0)
    offset = np.stack([x[mask] - centroid[0], y[mask] - centroid[1]], axis=-1)
    return Contact(
        mask=mask,
        area_mm2=cell_mm2 * int(mask.sum()),
        centroid_mm=centroid,
        depth_mm=float(depth.max()),
        shear_mm=(float(shear[0]), float(shear[1])),
        twist_rad=_mean_rotation(offset, motion[mask][:, :2] - shear),
    )


def _mean_rotation(offset: Floats, motion: Floats) -> float:
    """Least-squares rotation (rad) of small motions (n, 2) at offsets (n, 2) from the centroid."""
    x, y = offset.T
    motion_x, motion_y = motion.T
    inertia = float(np.sum(x**2 + y**2))
    return float(np.sum(x * motion_y - y * motion_x)) / inertia if inertia > 0 else 0.0


def _without_small_patches(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask without thin tails and without patches that are small compared to the largest one."""
    opened = ndimage.binary_opening(mask, np.ones((3, 3), bool))
    labels, count = ndimage.label(opened)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= MIN_PATCH_FRACTION * sizes.max())[labels] & opened)
