"""Pictures of an object pose estimate over the depth image that it was made from."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]
MIN_WIDTH_PX = 640
MASK_COLOUR = (255, 200, 0)  # RGB
CONTACT_COLOUR = (230, 30, 30)
HYPOTHESIS_COLOURS = ((40, 200, 90), (60, 140, 255), (200, 90, 220), (240, 130, 40))
MAX_RESIDUAL = 0.006  # m, at which a residual has its full colour
DARKEST, BRIGHTEST = 60, 220
MIN_Z = 1e-3


def depth_picture(depth: NDArray[np.floating]) -> Image:
    """Return a depth image in grey levels, near bright; pixels without depth are black.

    Args:
        depth: (H, W) depths, m; 0 or not finite where there is none.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    usable = np.isfinite(depth) & (depth > 0.0)
    grey = np.zeros(depth.shape, np.uint8)
    if usable.any():
        near, far = np.percentile(depth[usable], [1.0, 99.0])
        relative = np.clip((far - depth[usable]) / max(far - near, 1e-6), 0.0, 1.0)
        grey[usable] = np.rint(DARKEST + (BRIGHTEST - DARKEST) * relative).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def overlay(
    depth: NDArray[np.floating],
    mask: NDArray[np.bool_],
    intrinsics: Floats,
    surface: tuple[Floats, NDArray[np.int32]],
    poses: Sequence[Floats],
    contacts: Floats,
) -> Image:
    """Draw mask, outlines of the estimated object and contacts over a depth image.

    Args:
        depth: (H, W) depths, m.
        mask: (H, W) whether a pixel shows the object.
        intrinsics: (3, 3) camera matrix.
        surface: vertices (V, 3) and triangles (F, 3) of the object in its own frame, m.
        poses: poses (4, 4) of the object in the camera's frame, the most probable first.
        contacts: (N, 3) points of contact in the camera's frame, m.

    Returns:
        (H', W', 3) uint8 RGB, enlarged to at least `MIN_WIDTH_PX`.
    """
    factor = max(1, -(-MIN_WIDTH_PX // depth.shape[1]))
    size = (factor * depth.shape[1], factor * depth.shape[0])
    canvas = _resized(depth_picture(depth), size)
    large = _enlarged(intrinsics, factor)
    whole = _resized(mask.astype(np.uint8), size)
    _outline(canvas, whole, MASK_COLOUR)
    for index in range(len(poses) - 1, -1, -1):
        colour = HYPOTHESIS_COLOURS[min(index, len(HYPOTHESIS_COLOURS) - 1)]
        _outline(canvas, silhouette(surface, poses[index], large, (size[1], size[0])), colour)
    for x, y in _project(contacts[contacts[:, 2] > MIN_Z], large):
        cv2.circle(canvas, (round(x), round(y)), 2 * factor, CONTACT_COLOUR, -1, cv2.LINE_AA)
    return canvas


def residual_picture(
    shape: tuple[int, int], intrinsics: Floats, points: Floats, residual: Floats
) -> Image:
    """Draw the distance of the object's measured points from its estimated surface.

    Args:
        shape: height and width of the depth image, px.
        intrinsics: (3, 3) camera matrix.
        points: (N, 3) measured points in the camera's frame, m.
        residual: (N,) signed distances from the surface, m: outside red, inside blue.

    Returns:
        (H', W', 3) uint8 RGB, enlarged to at least `MIN_WIDTH_PX`.
    """
    factor = max(1, -(-MIN_WIDTH_PX // shape[1]))
    canvas = np.full((factor * shape[0], factor * shape[1], 3), 255, np.uint8)
    relative = np.clip(residual / MAX_RESIDUAL, -1.0, 1.0)
    for (x, y), value in zip(
        _project(points, _enlarged(intrinsics, factor)), relative, strict=True
    ):
        pale = round(230.0 * (1.0 - abs(float(value))))
        colour = (230, pale, pale) if value > 0.0 else (pale, pale, 230)
        cv2.circle(canvas, (round(x), round(y)), factor + 1, colour, -1, cv2.LINE_AA)
    return canvas


def silhouette(
    surface: tuple[Floats, NDArray[np.int32]],
    pose: Floats,
    intrinsics: Floats,
    shape: tuple[int, int],
) -> NDArray[np.uint8]:
    """Return the pixels (H, W) that an object covers, 1 or 0, without what hides it.

    Args:
        surface: vertices (V, 3) and triangles (F, 3) in the object's frame, m.
        pose: (4, 4) pose of the object in the camera's frame.
        intrinsics: (3, 3) camera matrix.
        shape: height and width of the image, px.
    """
    vertices, triangles = surface
    points = vertices @ pose[:3, :3].T + pose[:3, 3]
    in_front = points[:, 2] > MIN_Z
    pixels = np.zeros((len(points), 2))
    pixels[in_front] = _project(points[in_front], intrinsics)
    limit = 4.0 * max(shape)
    whole = in_front & np.all(np.abs(pixels) < limit, axis=1)
    covered = np.zeros(shape, np.uint8)
    visible = triangles[whole[triangles].all(axis=1)]
    for corners in np.rint(pixels[visible]).astype(np.int32):
        cv2.fillConvexPoly(covered, corners, 1)
    return covered


def _outline(canvas: Image, covered: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(covered, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, 2, cv2.LINE_AA)


def _resized(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _enlarged(intrinsics: Floats, factor: int) -> Floats:
    """Return the camera matrix of an enlarged image, whose pixel centres stay in place."""
    result = factor * intrinsics
    result[:2, 2] += 0.5 * (factor - 1)
    result[2, 2] = 1.0
    return result


def _project(points: Floats, intrinsics: Floats) -> Floats:
    """Return the pixel positions (N, 2) of points (N, 3) in the camera's frame."""
    x = intrinsics[0, 0] * points[:, 0] / points[:, 2] + intrinsics[0, 2]
    y = intrinsics[1, 1] * points[:, 1] / points[:, 2] + intrinsics[1, 2]
    return np.stack([x, y], axis=1)
