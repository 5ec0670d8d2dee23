"""Rendering loss of the baseline: a soft rasteriser of silhouette and depth, with its derivatives.

The image is the object's depth as a grey level on black, its silhouette softened over some pixels
(as in Soft Rasterizer, Liu et al. 2019). The baseline of the literature compares colours; depth
shading stands for them. The hand is not rendered: occlusions are errors, as there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.object_pose.paper_motion import Loss, gather
from tacdiff_ros.objects.depth_camera import DepthCamera
from tacdiff_ros.objects.rigid_object import RigidObject

Array = NDArray[np.float64]
Pixels = tuple[NDArray[np.int64], NDArray[np.int64]]

SOFTNESS_PX = 1.5  # of the silhouette: scale of the logistic function
BAND = 5.0  # width of the softened band, in units of its scale
DEPTH_RANGE_M = 0.3  # depths over which the grey level falls from 1 to `DARKEST`
DARKEST = 0.4
MIN_COSINE = 0.2  # of the angle between view and normal, below which depth has no derivative
SMALLEST_PX = 10
WINDOW_MARGIN_PX = 48  # around the mask: what is rendered farther away is not compared


@dataclass(frozen=True)
class _SoftImage:
    """A rendered object; outside of it, depth and grey level are those of its nearest pixel."""

    depth: Array
    signed: Array
    nearest: Pixels
    coverage: Array
    grey: Array


class RenderingLoss:
    """Mean squared difference between the observed and the rendered image of an object."""

    def __init__(
        self,
        item: RigidObject,
        camera: DepthCamera,
        depth: NDArray[np.float32],
        mask: NDArray[np.bool_],
    ) -> None:
        """Store the observed image.

        Args:
            item: the object.
            camera: camera with its pose in the frame of the hand's root link.
            depth: (H, W) observed depth, m; 0 where there is none.
            mask: (H, W) segmentation of the object.
        """
        self._item = item
        rows, columns = _window(mask)
        self._pixels = mask.size
        self._camera = replace(
            camera,
            width=columns.stop - columns.start,
            height=rows.stop - rows.start,
            cx=camera.cx - columns.start,
            cy=camera.cy - rows.start,
        )
        depth, mask = depth[rows, columns], mask[rows, columns]
        valid = mask & (depth > 0)
        middle = float(np.median(depth[valid])) if valid.any() else 1.0
        self._nearest = middle - DEPTH_RANGE_M / 2
        filled = np.where(valid, depth, middle)
        self._observed = np.where(mask, self._grey(filled), 0.0)
        self._rays = self._camera.points(np.ones(mask.shape))

    def __call__(self, pose: Array) -> Loss:
        """Return the loss at a pose (4, 4) of the object in the frame of the root link."""
        image = self._render(pose)
        if image is None:
            return Loss(self.value(pose), np.zeros(6))
        residual = image.coverage * image.grey - self._observed
        centre = self._centre(pose)
        by_image = 2 * residual / self._pixels
        is_soft = np.abs(image.signed) < BAND * SOFTNESS_PX
        softness = image.coverage * (1 - image.coverage) / SOFTNESS_PX
        by_signed = np.where(is_soft, by_image * image.grey * softness, 0.0)
        gradient = self._contour_gradient(image, by_signed, centre)
        slope = -(1 - DARKEST) / DEPTH_RANGE_M
        is_free = (image.grey > DARKEST) & (image.grey < 1) & (image.signed > 0)
        by_depth = np.where(is_free, by_image * image.coverage * slope, 0.0)
        gradient += self._depth_gradient(image, by_depth, centre)
        rotation = self._camera.pose[:3, :3]
        gradient = np.concatenate([rotation @ gradient[:3], rotation @ gradient[3:]])
        return Loss(float((residual**2).sum() / self._pixels), gradient)

    def value(self, pose: Array) -> float:
        """Return the loss at a pose (4, 4) alone."""
        image = self._render(pose)
        residual = -self._observed
        if image is not None:
            residual = image.coverage * image.grey - self._observed
        return float((residual**2).sum() / self._pixels)

    def _render(self, pose: Array) -> _SoftImage | None:
        """Return the rendered image, or None if the object is outside of it."""
        mesh = (self._item.vertices, self._item.faces)
        depth, label = self._camera.render_depth([mesh], [pose])
        inside = label == 0
        if inside.sum() < SMALLEST_PX:
            return None
        signed, nearest = _silhouette_distance(inside)
        coverage = 1 / (1 + np.exp(-np.clip(signed / SOFTNESS_PX, -BAND, BAND)))
        coverage[signed < -BAND * SOFTNESS_PX] = 0.0
        spread = depth[nearest].astype(float)
        return _SoftImage(spread, signed, nearest, coverage, self._grey(spread))

    def _grey(self, depth: NDArray[np.floating]) -> Array:
        level = 1 - (1 - DARKEST) * (depth - self._nearest) / DEPTH_RANGE_M
        return np.clip(level, DARKEST, 1.0)

    def _centre(self, pose: Array) -> Array:
        """Return the object's centre in the optical frame."""
        centre = pose[:3, :3] @ self._item.centre_of_mass + pose[:3, 3]
        return (centre - self._camera.pose[:3, 3]) @ self._camera.pose[:3, :3]

    def _contour_gradient(self, image: _SoftImage, by_signed: Array, centre: Array) -> Array:
        """Return the gradient (6,) by the motion of the contour: d(signed) = -normal . pixel."""
        rows, columns = np.nonzero(by_signed)
        slope_y, slope_x = np.gradient(image.signed, axis=0), np.gradient(image.signed, axis=1)
        normal = np.stack([slope_x[rows, columns], slope_y[rows, columns]], axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        z = image.depth[rows, columns]
        contour = image.nearest[0][rows, columns], image.nearest[1][rows, columns]
        points = self._rays[contour] * z[:, None]
        # A point that moves by w shifts its pixel by f (w_xy - ray_xy w_z) / z.
        u = normal[:, 0] * self._camera.fx / z
        v = normal[:, 1] * self._camera.fy / z
        ray = self._rays[contour]
        by_point = np.stack([u, v, -u * ray[:, 0] - v * ray[:, 1]], axis=1)
        weight = -by_signed[rows, columns][:, None]
        return gather(weight * by_point, points - centre)

    def _depth_gradient(self, image: _SoftImage, by_depth: Array, centre: Array) -> Array:
        """Return the gradient (6,) by the motion of the surface along the rays."""
        points = self._rays * image.depth[..., None]
        across, down = np.gradient(points, axis=1), np.gradient(points, axis=0)
        normal = np.cross(across, down)
        length = np.linalg.norm(normal, axis=-1)
        cosine = (normal * self._rays).sum(axis=-1)
        ray_length = np.linalg.norm(self._rays, axis=-1)
        interior = cv2.erode((image.signed > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        usable = interior & (cosine > MIN_COSINE * length * ray_length) & (by_depth != 0)
        # Plane moving by w: depth along the ray changes by (n . w) / (n . ray).
        by_point = by_depth[usable, None] * normal[usable] / cosine[usable, None]
        return gather(by_point, points[usable] - centre)


def _silhouette_distance(
    inside: NDArray[np.bool_],
) -> tuple[Array, Pixels]:
    """Return the signed distance to a silhouette, and for each pixel one of the object's pixels.

    Returns:
        signed: (H, W) distance in px, positive inside.
        nearest: rows and columns (H, W): the pixel itself inside, the nearest pixel of the object
            outside.
    """
    area = inside.astype(np.uint8)
    inner = cv2.distanceTransform(area, cv2.DIST_L2, 5)
    outer, labels = cv2.distanceTransformWithLabels(
        1 - area, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(inside)
    lookup = np.zeros((int(labels.max()) + 1, 2), np.int64)
    lookup[labels[rows, columns]] = np.stack([rows, columns], axis=1)
    nearest = lookup[labels]
    signed = np.where(inside, inner - 0.5, 0.5 - outer).astype(float)
    return signed, (nearest[..., 0], nearest[..., 1])


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns around a mask that are compared; all if the mask is empty."""
    slices = []
    for axis in (1, 0):
        used = np.flatnonzero(mask.any(axis=axis))
        size = mask.shape[1 - axis]
        low, high = (used[0], used[-1] + 1) if len(used) else (0, size)
        slices.append(slice(max(0, low - WINDOW_MARGIN_PX), min(size, high + WINDOW_MARGIN_PX)))
    return slices[0], slices[1]
