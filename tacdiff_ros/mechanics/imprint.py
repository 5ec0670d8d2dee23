"""Closed-form approximation of a pressed gel surface: no mechanics, but fast and reproducible.

The gel follows the indenter where they overlap, returns to the flat surface over a skirt, and is
dragged along in the plane with a weight that decreases with the distance from the contact.

Limits: no forces, no bulge, no slip; for rendering and tests, not as a reference for measurements.
The skirt reduces the depth under indenters that are not much larger than it: a ball of 1 mm
diameter pressed by 0.5 mm leaves an imprint of 0.42 mm.
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
MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 2.0
SKIRT_MM = 0.18  # standard deviation of the Gaussian that rounds the edge of the imprint
SHEAR_REACH_MM = 4.0  # distance from the axis at which the drag has decayed by a factor e
MAX_SLOPE = 2.0  # slope of the profile where the indenter is steeper or ends
MAX_SHEAR_MM = 3.0
MAX_TWIST_RAD = math.radians(30.0)


@dataclass(frozen=True)
class Imprint:
    """Press of an indenter of simple shape, followed by a shift and a rotation.

    Attributes:
        shape: `none`, `sphere` or `cross`.
        size_mm: diameter of the sphere, or length of the cross's arms from tip to tip, mm.
        arm_mm: width of the cross's arms, mm.
        at_mm: (x, y) position of the indenter's axis on the gel, mm.
        yaw_rad: rotation of the indenter about z, rad.
        depth_mm: depth of the indenter's lowest point below the undeformed surface, mm.
        shear_mm: (x, y) in-plane shift after the press, mm.
        twist_rad: rotation about z after the press, rad.
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
    """Return the deformed surface of a pad under an imprint.

    Args:
        gel: dimensions of the gel pad.
        imprint: shape and motion of the indenter.
        spacing_mm: approximate grid spacing of the surface, mm.

    Raises:
        InputError: the imprint is deeper, farther from the centre, or shifted or rotated by more
            than the closed form covers.
    """
    _check(gel, imprint, spacing_mm)
    columns, rows = (max(3, round(size / spacing_mm) + 1) for size in (gel.width_mm, gel.height_mm))
    rest = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    if imprint.shape == "none" or imprint.depth_mm == 0.0:
        return rest
    moved = np.array(imprint.at_mm) + imprint.shear_mm
    angle = imprint.yaw_rad + imprint.twist_rad
    local = _rotate(rest.rest[:, :2].astype(np.float64) - moved, -angle)
    overlap = np.maximum(imprint.depth_mm - _profile(imprint, local), 0.0)
    cell = (gel.height_mm / (rows - 1), gel.width_mm / (columns - 1))
    indentation = gaussian_filter(
        overlap.reshape(rows, columns), [SKIRT_MM / size for size in cell], mode="nearest"
    )
    position = rest.rest.astype(np.float64)
    position[:, 2] -= indentation.ravel()
    # The height depends on the position, the drag on the material point: sample the height where
    # each point ends up.
    drag = _drag(imprint, rest.rest[:, :2].astype(np.float64))
    position[:, :2] += drag
    position[:, 2] = -_sample(indentation, cell, gel, position[:, :2])
    return rest.moved(position)


def _check(gel: Gel, imprint: Imprint, spacing_mm: float) -> None:
    """Raise InputError for an imprint or a spacing outside the range of the closed form."""
    if imprint.shape not in ("none", "sphere", "cross"):
        raise InputError(f"imprint of shape '{imprint.shape}': expected none, sphere or cross")
    if not MIN_SPACING_MM <= spacing_mm <= MAX_SPACING_MM:
        raise InputError(
            f"spacing is {spacing_mm:g} mm, expected {MIN_SPACING_MM} to {MAX_SPACING_MM}"
        )
    numbers = (*imprint.at_mm, *imprint.shear_mm, imprint.twist_rad, imprint.yaw_rad)
    if not all(math.isfinite(value) for value in (*numbers, imprint.depth_mm)):
        raise InputError(
            "imprint: position, depth, shear, twist or yaw is not finite, expected numbers"
        )
    max_depth = gel.full_indentation_mm
    if not 0.0 <= imprint.depth_mm <= max_depth:
        raise InputError(f"depth is {imprint.depth_mm:g} mm, expected 0 to {max_depth:g} mm")
    if not 0.5 <= imprint.size_mm <= 50.0 or not 0.2 <= imprint.arm_mm <= imprint.size_mm:
        raise InputError(
            f"indenter of size {imprint.size_mm:g} mm and arms of {imprint.arm_mm:g} mm: expected "
            "a size of 0.5 to 50 mm and arms of 0.2 mm up to the size"
        )
    if abs(imprint.at_mm[0]) > gel.width_mm / 2 or abs(imprint.at_mm[1]) > gel.height_mm / 2:
        raise InputError(
            f"imprint at {imprint.at_mm} mm is beside the pad, expected a position on its "
            f"{gel.width_mm} x {gel.height_mm} mm"
        )
    if math.hypot(*imprint.shear_mm) > MAX_SHEAR_MM:
        raise InputError(f"shear is {imprint.shear_mm} mm, expected up to {MAX_SHEAR_MM} mm")
    if abs(imprint.twist_rad) > MAX_TWIST_RAD:
        raise InputError(f"twist is {math.degrees(imprint.twist_rad):g} deg, expected up to 30")


def _profile(imprint: Imprint, local: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) height of the indenter's underside above its lowest point, mm, at (N, 2) local x, y."""
    if imprint.shape == "sphere":
        radius = imprint.size_mm / 2
        distance = np.hypot(local[:, 0], local[:, 1])
        rim = radius * MAX_SLOPE / math.hypot(1.0, MAX_SLOPE)  # distance with the maximum slope
        on_sphere = radius - np.sqrt(radius**2 - np.minimum(distance, rim) ** 2)
        return np.asarray(on_sphere + MAX_SLOPE * np.maximum(distance - rim, 0.0))
    half, arm = imprint.size_mm / 2, imprint.arm_mm / 2
    u, v = np.abs(local[:, 0]), np.abs(local[:, 1])
    outside = np.minimum(_distance_from_box(u, v, half, arm), _distance_from_box(v, u, half, arm))
    return np.asarray(MAX_SLOPE * outside)


def _distance_from_box(
    u: NDArray[np.float64], v: NDArray[np.float64], half_u: float, half_v: float
) -> NDArray[np.float64]:
    """Distance from a box centred at the origin, for points in the first quadrant."""
    return np.asarray(np.hypot(np.maximum(u - half_u, 0.0), np.maximum(v - half_v, 0.0)))


def _drag(imprint: Imprint, rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) in-plane displacement of material points at rest positions (N, 2), mm."""
    from_axis = rest - imprint.at_mm
    weight = np.exp(-np.sum(from_axis**2, axis=1) / SHEAR_REACH_MM**2)[:, None]
    twist = _rotate(from_axis, imprint.twist_rad) - from_axis
    return np.asarray(weight * (twist + imprint.shear_mm))


def _rotate(points: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rotate 2D points about the origin."""
    c, s = math.cos(angle), math.sin(angle)
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], 1)


def _sample(
    field: NDArray[np.float64], cell: tuple[float, float], gel: Gel, points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate a field on the pad's grid at points (N, 2) in mm, by cubic splines."""
    from scipy.ndimage import map_coordinates

    rows = (points[:, 1] + gel.height_mm / 2) / cell[0]
    columns = (points[:, 0] + gel.width_mm / 2) / cell[1]
    return np.asarray(map_coordinates(field, [rows, columns], order=3, mode="nearest"))
