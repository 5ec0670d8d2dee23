"""Projection of gel points to pixels and back, through the refracting layers.

The ray of a point stays in the plane that contains the point and the layers' normal through the
camera. Its angle is the root of r = sum t_i tan(theta_i) with constant n_i sin(theta_i) (Snell's
law), computed by Newton steps on n sin(theta). The sum is convex and increasing in this variable,
so the steps converge from any start within its range.

Limits: `project` returns NaN for points above the last layer (toward the camera), for points behind
the camera, and for points that only grazing rays could reach; `unproject` assumes that every height
is inside the gel layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from tacdiff_ros.sensor.parameters import Values

NEWTON_STEPS = 12
UNDISTORTION_STEPS = 8
MAX_SINE = 0.9999
MAX_RESIDUAL_MM = 1e-6  # above it, no ray connects the point and the camera


def project(values: Values, points_mm: ArrayLike) -> NDArray[np.float64]:
    """Project points to pixels.

    Args:
        values: result of `sensor.parameters.parameter_values`; only camera and layers are used.
        points_mm: (..., 3) points in the frame `gel`, mm, inside the gel layer or below the
            undeformed surface.

    Returns:
        (..., 2) float64 pixels (x, y), with (0, 0) at the centre of the first pixel; NaN where no
        ray connects the point and the camera.
    """
    points = np.asarray(points_mm, np.float64)
    camera = values["camera.position_mm"]
    index = values["layers.index"]
    thickness = _crossed_thickness(values, points[..., 2])
    offset = points[..., :2] - camera[:2]
    radius = np.hypot(offset[..., 0], offset[..., 1])
    sine = _optical_sine(index, thickness, radius) / index[0]
    heading = offset / np.maximum(radius, 1e-12)[..., None]
    direction = np.concatenate(
        [heading * sine[..., None], np.sqrt(1.0 - sine**2)[..., None]], axis=-1
    )
    in_camera = direction @ Rotation.from_rotvec(values["camera.rotation_rad"]).as_matrix()
    with np.errstate(invalid="ignore", divide="ignore"):
        plane = in_camera[..., :2] / in_camera[..., 2:]
    r2 = np.sum(plane**2, axis=-1, keepdims=True)
    k1, k2 = values["camera.distortion"]
    pixels = plane * (1.0 + r2 * (k1 + k2 * r2)) * values["camera.focal_px"]
    residual = np.abs(_horizontal_distance(index, thickness, sine * index[0]) - radius)
    valid = (thickness > 0).all(axis=0) & (in_camera[..., 2] > 0)
    valid &= residual < MAX_RESIDUAL_MM
    return np.where(valid[..., None], pixels + values["camera.centre_px"], np.nan)


def unproject(values: Values, pixels: ArrayLike, z_mm: ArrayLike = 0.0) -> NDArray[np.float64]:
    """Return the points at given heights that pixels see.

    Args:
        values: result of `sensor.parameters.parameter_values`; only camera and layers are used.
        pixels: (..., 2) pixels (x, y), with (0, 0) at the centre of the first pixel.
        z_mm: (...) heights z in the frame `gel`, or one height, mm.

    Returns:
        (..., 3) float64 points, mm; NaN where the ray does not point toward the gel.
    """
    return intersect_planes(values, pixel_rays(values, pixels), z_mm)


def pixel_rays(values: Values, pixels: ArrayLike) -> NDArray[np.float64]:
    """Return the directions of the rays of pixels, in air.

    Args:
        values: result of `sensor.parameters.parameter_values`; only the camera is used.
        pixels: (..., 2) pixels (x, y), with (0, 0) at the centre of the first pixel.

    Returns:
        (..., 3) float64 unit directions in the frame `gel`.
    """
    pixels = np.asarray(pixels, np.float64)
    plane = (pixels - values["camera.centre_px"]) / values["camera.focal_px"]
    plane = plane * _undistortion(values, np.sum(plane**2, axis=-1))[..., None]
    direction = np.concatenate([plane, np.ones((*plane.shape[:-1], 1))], axis=-1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return direction @ Rotation.from_rotvec(values["camera.rotation_rad"]).as_matrix().T


def intersect_planes(
    values: Values, direction: NDArray[np.float64], z_mm: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Return the points where camera rays meet horizontal planes inside the gel layer.

    Args:
        values: result of `sensor.parameters.parameter_values`; only camera and layers are used.
        direction: (..., 3) unit directions in air, from `pixel_rays`.
        z_mm: (...) heights z of the planes in the frame `gel`, or one height, mm.

    Returns:
        (..., 3) float64 points, mm; NaN where the ray does not point toward the gel.
    """
    height = np.broadcast_to(np.asarray(z_mm, np.float64), direction.shape[:-1])
    transverse = direction[..., :2] * values["layers.index"][0]
    point = np.broadcast_to(values["camera.position_mm"][:2], (*direction.shape[:-1], 2)).copy()
    layers = zip(values["layers.index"], _crossed_thickness(values, height), strict=True)
    for index, thickness in layers:
        sine = transverse / index
        cosine = np.sqrt(1.0 - np.sum(sine**2, axis=-1))
        point += sine * (thickness / cosine)[..., None]
    point = np.concatenate([point, height[..., None]], axis=-1)
    return np.where(direction[..., 2:] > 0, point, np.nan)


def _crossed_thickness(values: Values, z_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (layers, ...) thickness of each layer that a ray to height z crosses, mm."""
    thickness = values["layers.thickness_mm"]
    first = -values["camera.position_mm"][2] - thickness.sum()
    crossed = [np.full(np.shape(z_mm), value) for value in (first, *thickness)]
    crossed[-1] = crossed[-1] + z_mm
    return np.stack(crossed)


def _horizontal_distance(
    index: NDArray[np.float64], thickness: NDArray[np.float64], sine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the horizontal distance that a ray covers, mm.

    Args:
        index: (layers,) refractive indices.
        thickness: (layers, ...) thickness that the ray crosses in each layer, mm.
        sine: (...) optical sine n sin(theta) of the ray.
    """
    sines = [sine / n for n in index]
    return np.asarray(
        sum(t * s / np.sqrt(1.0 - s**2) for t, s in zip(thickness, sines, strict=True))
    )


def _optical_sine(
    index: NDArray[np.float64], thickness: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the optical sine n sin(theta) of the ray that covers a horizontal distance.

    Args:
        index: (layers,) refractive indices.
        thickness: (layers, ...) thickness that the ray crosses in each layer, mm.
        radius: (...) horizontal distance, mm.
    """
    max_sine = MAX_SINE * index.min()
    total = np.maximum(np.sum(thickness, axis=0), 1e-9)
    sine = np.minimum(radius / np.hypot(radius, total) * index[0], max_sine)
    for _ in range(NEWTON_STEPS):
        distance, derivative = np.zeros_like(radius), np.zeros_like(radius)
        for n, t in zip(index, thickness, strict=True):
            cosine = np.sqrt(1.0 - (sine / n) ** 2)
            distance += t * sine / n / cosine
            derivative += t / n / cosine**3
        step = (distance - radius) / np.maximum(derivative, 1e-12)
        sine = np.clip(sine - step, 0.0, max_sine)
    return sine


def _undistortion(values: Values, distorted_r2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the factors from distorted to undistorted image points, by their squared radius."""
    k1, k2 = values["camera.distortion"]
    ratio = np.ones_like(distorted_r2)
    for _ in range(UNDISTORTION_STEPS):
        r2 = distorted_r2 * ratio**2
        residual = ratio * (1.0 + r2 * (k1 + k2 * r2)) - 1.0
        ratio = ratio - residual / np.maximum(1.0 + r2 * (3.0 * k1 + 5.0 * k2 * r2), 0.1)
    return ratio
