"""Surfaces that look like a pressed gel, in closed form: no mechanics, but exact and at once.

The gel follows the indenter where they meet, falls back to rest over a skirt, and is dragged along
in the plane with a weight that falls off from the contact.

Limits: no force, no bulge, no slip; made to draw and to test with, not to measure against. The
skirt takes depth from indenters that are not much larger than it: a ball of 1 mm pressed by
0.5 mm leaves 0.42 mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import Gel

DEFAULT_SPACING_MM = 0.15
FINEST_SPACING_MM, COARSEST_SPACING_MM = 0.01, 2.0
SKIRT_MM = 0.18
SHEAR_REACH_MM = 4.0
STEEPEST = 2.0  # slope with which profiles go on outside of the indenter
MAX_SHEAR_MM = 3.0
MAX_TWIST_RAD = math.radians(30.0)


@dataclass(frozen=True)
class Imprint:
    """A touch by an indenter of a simple shape.

    Attributes:
        shape: `none`, `sphere` or `cross`.
        size_mm: the sphere's diameter, or the length of the cross's arms from tip to tip.
        arm_mm: width of the cross's arms.
        at_mm: (x, y) where the indenter's axis meets the gel.
        yaw_rad: of the indenter about z.
        depth_mm: how deep its lowest point is pressed.
        shear_mm: in-plane travel after the press.
        twist_rad: rotation after the press.
    """

    shape: Literal["none", "sphere", "cross"] = "none"
    size_mm: float = 5.0
    arm_mm: float = 2.0
    at_mm: tuple[float, float] = (0.0, 0.0)
    yaw_rad: float = 0.0
    depth_mm: float = 0.0
    shear_mm: tuple[float, float] = (0.0, 0.0)
    twist_rad: float = 0.0


def imprint_surface(
    gel: Gel, imprint: Imprint, spacing_mm: float = DEFAULT_SPACING_MM
) -> GelSurface:
    """The surface of a pad under an imprint, sampled with about a spacing.

    Raises:
        InputError: the touch is deeper, farther or more turned than the closed form stands for.
    """
    _check(gel, imprint, spacing_mm)
    columns, rows = (max(3, round(size / spacing_mm) + 1) for size in (gel.width_mm, gel.height_mm))
    rest = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    if imprint.shape == "none" or imprint.depth_mm == 0.0:
        return rest
    moved = np.array(imprint.at_mm) + imprint.shear_mm
    angle = imprint.yaw_rad + imprint.twist_rad
    local = _turn(rest.rest[:, :2].astype(np.float64) - moved, -angle)
    overlap = np.maximum(imprint.depth_mm - _profile(imprint, local), 0.0)
    cell = (gel.height_mm / (rows - 1), gel.width_mm / (columns - 1))
    indentation = gaussian_filter(
        overlap.reshape(rows, columns), [SKIRT_MM / size for size in cell], mode="nearest"
    )
    position = rest.rest.astype(np.float64)
    position[:, 2] -= indentation.ravel()
    # The height belongs to the place, the drag to the material: move points by where they end.
    drag = _drag(imprint, rest.rest[:, :2].astype(np.float64))
    position[:, :2] += drag
    position[:, 2] = -_sample(indentation, cell, gel, position[:, :2])
    return rest.moved(position)


def _check(gel: Gel, imprint: Imprint, spacing_mm: float) -> None:
    if imprint.shape not in ("none", "sphere", "cross"):
        raise InputError(f"imprint of shape '{imprint.shape}': expected none, sphere or cross")
    if not FINEST_SPACING_MM <= spacing_mm <= COARSEST_SPACING_MM:
        raise InputError(
            f"spacing is {spacing_mm:g} mm, expected {FINEST_SPACING_MM} to {COARSEST_SPACING_MM}"
        )
    numbers = (*imprint.at_mm, *imprint.shear_mm, imprint.twist_rad, imprint.yaw_rad)
    if not all(math.isfinite(value) for value in (*numbers, imprint.depth_mm)):
        raise InputError("place, depth, shear, twist and yaw of a touch: expected finite numbers")
    deepest = gel.full_indentation_mm
    if not 0.0 <= imprint.depth_mm <= deepest:
        raise InputError(f"depth is {imprint.depth_mm:g} mm, expected 0 to {deepest:g} mm")
    if not 0.5 <= imprint.size_mm <= 50.0 or not 0.2 <= imprint.arm_mm <= imprint.size_mm:
        raise InputError(
            f"indenter of size {imprint.size_mm:g} mm and arms of {imprint.arm_mm:g} mm: expected "
            "a size of 0.5 to 50 mm and arms of 0.2 mm up to the size"
        )
    if abs(imprint.at_mm[0]) > gel.width_mm / 2 or abs(imprint.at_mm[1]) > gel.height_mm / 2:
        raise InputError(
            f"touch at {imprint.at_mm} mm is beside the pad of {gel.width_mm} x {gel.height_mm} mm"
        )
    if math.hypot(*imprint.shear_mm) > MAX_SHEAR_MM:
        raise InputError(f"shear is {imprint.shear_mm} mm, expected up to {MAX_SHEAR_MM} mm")
    if abs(imprint.twist_rad) > MAX_TWIST_RAD:
        raise InputError(f"twist is {math.degrees(imprint.twist_rad):g} deg, expected up to 30")


def _profile(imprint: Imprint, local: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of the indenter's underside above its lowest point, in its own frame."""
    if imprint.shape == "sphere":
        radius = imprint.size_mm / 2
        distance = np.hypot(local[:, 0], local[:, 1])
        rim = radius * STEEPEST / math.hypot(1.0, STEEPEST)  # where the slope is the steepest
        on_sphere = radius - np.sqrt(radius**2 - np.minimum(distance, rim) ** 2)
        return np.asarray(on_sphere + STEEPEST * np.maximum(distance - rim, 0.0))
    half, arm = imprint.size_mm / 2, imprint.arm_mm / 2
    u, v = np.abs(local[:, 0]), np.abs(local[:, 1])
    outside = np.minimum(_beside_box(u, v, half, arm), _beside_box(v, u, half, arm))
    return np.asarray(STEEPEST * outside)


def _beside_box(
    u: NDArray[np.float64], v: NDArray[np.float64], half_u: float, half_v: float
) -> NDArray[np.float64]:
    return np.asarray(np.hypot(np.maximum(u - half_u, 0.0), np.maximum(v - half_v, 0.0)))


def _drag(imprint: Imprint, rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """In-plane displacement of material points."""
    away = rest - imprint.at_mm
    weight = np.exp(-np.sum(away**2, axis=1) / SHEAR_REACH_MM**2)[:, None]
    turned = _turn(away, imprint.twist_rad) - away
    return np.asarray(weight * (turned + imprint.shear_mm))


def _turn(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], 1)


def _sample(
    field: NDArray[np.float64], cell: tuple[float, float], gel: Gel, places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cubic interpolation of a field on the pad's grid."""
    from scipy.ndimage import map_coordinates

    rows = (places[:, 1] + gel.height_mm / 2) / cell[0]
    columns = (places[:, 0] + gel.width_mm / 2) / cell[1]
    return np.asarray(map_coordinates(field, [rows, columns], order=3, mode="nearest"))
