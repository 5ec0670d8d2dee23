"""Undistorted view of a camera, which path tracing renders, and its warp by the lens distortion."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from tacdiff_ros.optics.path_settings import PathSettings
from tacdiff_ros.sensor.sensor_model import SensorModel

MARGIN_STEP = 1 / 16  # step in which the undistorted view is made wider than the distorted one
SAFETY_MARGIN = 0.01  # margin around the needed view, relative to the width
SUPERSAMPLING = 2  # pixels per side and image pixel in the undistorted view; avoids blur by warping


def undistorted_view(model: SensorModel) -> tuple[float, int]:
    """Return the size of the undistorted view that is rendered before the lens distortion.

    Returns:
        Width of the view relative to the image's, and pixels per side and image pixel.
    """
    if not any(model.camera.distortion):
        return 1.0, 1
    size = np.array([model.image.width_px, model.image.height_px])
    border = np.stack(np.meshgrid(*(np.linspace(-0.5, n - 0.5, 33) for n in size)), axis=-1)
    undistorted = _undistorted(model, border.reshape(-1, 2), 1.0)
    extent = np.abs(undistorted - (size - 1) / 2) / (size / 2)
    steps = math.ceil((extent.max() + SAFETY_MARGIN - 1.0) / MARGIN_STEP)
    return 1.0 + MARGIN_STEP * max(steps, 1), SUPERSAMPLING


def distort(
    model: SensorModel, settings: PathSettings, view: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Warp the undistorted view as the lens does, and average it to the image's pixels.

    Args:
        model: sensor model.
        settings: size of the image.
        view: (H', W', 3) undistorted view, wider and finer than the image.

    Returns:
        (H, W, 3) distorted image.
    """
    _, supersampling = undistorted_view(model)
    if supersampling == 1:
        return view
    width, height = (supersampling * side for side in settings.size_px(model))
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1, dtype=np.float64)
    undistorted = _undistorted(model, pixels.reshape(-1, 2), width / model.image.width_px)
    shift = (np.array(view.shape[1::-1]) - (width, height)) / 2
    x, y = (undistorted.reshape(height, width, 2) + shift).transpose(2, 0, 1)
    warped = np.stack([map_coordinates(view[..., c], [y, x], order=3) for c in range(3)], axis=-1)
    blocks = warped.reshape(
        height // supersampling, supersampling, width // supersampling, supersampling, 3
    )
    return np.asarray(blocks.mean(axis=(1, 3)))


def _undistorted(
    model: SensorModel, pixels: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """Return the pixels at which a lens without distortion would show the same points.

    Args:
        model: sensor model.
        pixels: (N, 2) pixels (x, y) of the distorted image.
        scale: size of the image, relative to the sensor's.

    Returns:
        (N, 2) float64 undistorted pixels (x, y).
    """
    camera = model.camera
    matrix = np.diag([camera.focal_px * scale, camera.focal_px * scale, 1.0])
    matrix[:2, 2] = (np.array(camera.centre_px) + 0.5) * scale - 0.5
    lens = np.array([*camera.distortion, 0.0, 0.0])
    undistorted = cv2.undistortPoints(pixels.reshape(-1, 1, 2), matrix, lens, P=matrix)
    return np.asarray(undistorted.reshape(-1, 2))
