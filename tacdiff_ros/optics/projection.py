"""Points of the gel to pixels and back, through the layers.

A point's ray stays in the plane through the camera's axis normal to the layers; where it leaves is
the root of r = sum t_i tan(theta_i) with n_i sin(theta_i) constant (Snell), found by Newton steps
on n sin(theta). The sum is convex and rising in it, so the steps converge from any start in reach.

Limits: `project` gives NaN for points above the last layer (toward the camera), behind the camera,
and where only grazing rays would get; `unproject` takes any height for one inside the gel's layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.sensor.parameters import Values

NEWTON_STEPS = 12
UNDISTORTION_STEPS = 8
MAX_SINE = 0.9999
REACHED_MM = 1e-6


def project(values: Values, points_mm: ArrayLike) -> NDArray[np.float64]:
    """Pixels (..., 2) of points (..., 3) mm in the frame `gel`.

    Args:
        values: of `sensor.parameters.parameter_values`; only camera and layers are used.
        points_mm: inside the gel's layer, or below the untouched surface.

    Returns:
        (x, y) with (0, 0) in the middle of the first pixel; NaN where no ray gets there.
    """
    points = np.asarray(points_mm, np.float64)
    camera = values["camera.position_mm"]
    index = values["layers.index"]
    paths = _paths(values, points[..., 2])
    offset = points[..., :2] - camera[:2]
    radius = np.hypot(offset[..., 0], offset[..., 1])
    sine = _optical_sine(index, paths, radius) / index[0]
    heading = offset / np.maximum(radius, 1e-12)[..., None]
    direction = np.concatenate(
        [heading * sine[..., None], np.sqrt(1.0 - sine**2)[..., None]], axis=-1
    )
    seen = direction @ Rotation.from_rotvec(values["camera.rotation_rad"]).as_matrix()
    with np.errstate(invalid="ignore", divide="ignore"):
        plane = seen[..., :2] / seen[..., 2:]
    r2 = np.sum(plane**2, axis=-1, keepdims=True)
    k1, k2 = values["camera.distortion"]
    pixels = plane * (1.0 + r2 * (k1 + k2 * r2)) * values["camera.focal_px"]
    reached = (paths > 0).all(axis=0) & (seen[..., 2] > 0)
    reached &= np.abs(_covered(index, paths, sine * index[0]) - radius) < REACHED_MM
    return np.where(reached[..., None], pixels + values["camera.centre_px"], np.nan)


def unproject(values: Values, pixels: ArrayLike, z_mm: ArrayLike = 0.0) -> NDArray[np.float64]:
    """Points (..., 3) mm at heights where the rays of pixels (..., 2) meet planes z = `z_mm`.

    NaN where the camera does not look toward the gel.
    """
    return reach(values, pixel_rays(values, pixels), z_mm)


def pixel_rays(values: Values, pixels: ArrayLike) -> NDArray[np.float64]:
    """Unit directions (..., 3) in the frame `gel` of the rays of pixels (..., 2), in air."""
    pixels = np.asarray(pixels, np.float64)
    plane = (pixels - values["camera.centre_px"]) / values["camera.focal_px"]
    plane = plane * _undistortion(values, np.sum(plane**2, axis=-1))[..., None]
    direction = np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], axis=-1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return direction @ Rotation.from_rotvec(values["camera.rotation_rad"]).as_matrix().T


def reach(
    values: Values, direction: NDArray[np.float64], z_mm: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Points (..., 3) mm where rays of `pixel_rays` meet planes z = `z_mm`, as in `unproject`."""
    height = np.broadcast_to(np.asarray(z_mm, np.float64), direction.shape[:-1])
    transverse = direction[..., :2] * values["layers.index"][0]
    point = np.broadcast_to(values["camera.position_mm"][:2], (*direction.shape[:-1], 2)).copy()
    for index, path in zip(values["layers.index"], _paths(values, height), strict=True):
        sine = transverse / index
        cosine = np.sqrt(1.0 - np.sum(sine**2, axis=-1))
        point += sine * (path / cosine)[..., None]
    point = np.concatenate([point, height[..., None]], axis=-1)
    return np.where(direction[..., 2:] > 0, point, np.nan)


def _paths(values: Values, z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(layers, ...) thickness that a ray to height z crosses in each layer."""
    thickness = values["layers.thickness_mm"]
    first = -values["camera.position_mm"][2] - thickness.sum()
    paths = [np.full(np.shape(z_mm), value) for value in (first, *thickness)]
    paths[-1] = paths[-1] + z_mm
    return np.stack(paths)


def _covered(
    index: NDArray[np.float64], paths: NDArray[np.float64], sine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Level distance that a ray of n sin(theta) covers."""
    shares = [sine / n for n in index]
    return np.asarray(sum(p * s / np.sqrt(1.0 - s**2) for p, s in zip(paths, shares, strict=True)))


def _optical_sine(
    index: NDArray[np.float64], paths: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """N sin(theta) of the ray that covers a level distance."""
    largest = MAX_SINE * index.min()
    total = np.maximum(np.sum(paths, axis=0), 1e-9)
    sine = np.minimum(radius / np.hypot(radius, total) * index[0], largest)
    for _ in range(NEWTON_STEPS):
        covered, slope = np.zeros_like(radius), np.zeros_like(radius)
        for n, path in zip(index, paths, strict=True):
            cosine = np.sqrt(1.0 - (sine / n) ** 2)
            covered += path * sine / n / cosine
            slope += path / n / cosine**3
        sine = np.clip(sine - (covered - radius) / np.maximum(slope, 1e-12), 0.0, largest)
    return sine


def _undistortion(values: Values, distorted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor from distorted to straight image points, by their squared distorted radius."""
    k1, k2 = values["camera.distortion"]
    ratio = np.ones_like(distorted)
    for _ in range(UNDISTORTION_STEPS):
        r2 = distorted * ratio**2
        value = ratio * (1.0 + r2 * (k1 + k2 * r2)) - 1.0
        ratio = ratio - value / np.maximum(1.0 + r2 * (3.0 * k1 + 5.0 * k2 * r2), 0.1)
    return ratio
