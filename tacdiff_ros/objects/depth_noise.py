"""Errors of a depth camera and of a segmentation network, drawn with a seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.objects.depth_camera import DepthCamera

NEAREST_FLYING_M = 0.01  # the flying pixel lies up to this far before or behind the edge
EDGE_JUMP_M = 0.01  # difference of neighbouring depths that counts as an edge
BLEEDING_SCALE_PX = 6.0  # correlation length of the mask's boundary error


@dataclass(frozen=True)
class DepthNoise:
    """Errors of the depth image and of the mask.

    Attributes:
        bias: depth added to all pixels, m.
        noise: standard deviation at `reference_depth`, m; it grows with the square of the depth.
        reference_depth: depth to which `noise` refers, m.
        flying_fraction: fraction of all pixels with a depth between that of a surface and another;
            they are at edges as long as there are enough of those, else anywhere.
        hole_fraction: fraction of pixels without a depth, at grazing surfaces first.
        mask_bleeding: largest error of the mask's boundary, px, outward and inward.
    """

    bias: float = 0.0
    noise: float = 0.0
    reference_depth: float = 0.5
    flying_fraction: float = 0.0
    hole_fraction: float = 0.0
    mask_bleeding: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flying_fraction", "hole_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: expected 0 to 1")

    def apply(
        self,
        depth: NDArray[np.float32],
        mask: NDArray[np.bool_],
        camera: DepthCamera,
        random: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a measured depth image (H, W) and mask (H, W) of true ones.

        Args:
            depth: (H, W) true depth, m; 0 where nothing is visible.
            mask: (H, W) true mask.
            camera: camera that sees them.
            random: source of random numbers.
        """
        visible = depth > 0
        scale: NDArray[np.floating] = self.noise * (depth / self.reference_depth) ** 2
        measured = depth + self.bias + scale * random.standard_normal(depth.shape)
        count = round(self.flying_fraction * int(mask.sum()))
        near, far = _local_range(depth)
        is_edge = visible & (far - near > EDGE_JUMP_M)
        for pixels, fraction in ((is_edge & _grown(mask, 2), 0.6), (mask, 0.4)):
            chosen = _choose(pixels, round(fraction * count), None, random)
            mixed = random.uniform(size=len(chosen[0]))
            low = np.minimum(near[chosen], depth[chosen] - NEAREST_FLYING_M)
            high = np.maximum(far[chosen], depth[chosen] + NEAREST_FLYING_M)
            measured[chosen] = low + mixed * (high - low)
        grazing = _grazing(depth, camera)
        holes = _choose(visible, round(self.hole_fraction * int(visible.sum())), grazing, random)
        measured = np.where(visible, np.maximum(measured, 0.0), 0.0)
        measured[holes] = 0.0
        return measured.astype(np.float32), self._bleed(mask, random)

    def _bleed(self, mask: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
        """Move the mask's boundary by a smooth random field of up to `mask_bleeding` px."""
        if self.mask_bleeding <= 0 or not mask.any():
            return mask.copy()
        inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        white = random.standard_normal(mask.shape).astype(np.float32)
        field = cv2.GaussianBlur(white, (0, 0), BLEEDING_SCALE_PX)
        offset = self.mask_bleeding * np.clip(field / (2 * field.std()), -1, 1)
        return np.asarray(outside - inside < offset + 0.5 * self.mask_bleeding)


def _local_range(
    depth: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the least and the largest depth in a 3 x 3 neighbourhood, without empty pixels."""
    kernel = np.ones((3, 3), np.uint8)
    empty = depth <= 0
    near = np.asarray(
        cv2.erode(np.where(empty, np.float32(1e6), depth).astype(np.float32), kernel), np.float32
    )
    far = np.asarray(cv2.dilate(depth, kernel), np.float32)
    return np.where(near > 1e5, depth, near), far


def _grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    size = 2 * pixels + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0


def _grazing(depth: NDArray[np.float32], camera: DepthCamera) -> NDArray[np.float64]:
    """Return weights (H, W) that grow with the slope of the surface along the view."""
    dy, dx = np.gradient(depth.astype(float))
    slope = np.hypot(dx * camera.fx, dy * camera.fy) / np.maximum(depth, 1e-6)
    return 0.05 + np.clip(slope, 0.0, 10.0) ** 2


def _choose(
    pixels: NDArray[np.bool_],
    count: int,
    weights: NDArray[np.float64] | None,
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of up to `count` distinct pixels of a mask."""
    candidates = np.argwhere(pixels)
    count = min(count, len(candidates))
    probability = None
    if weights is not None and len(candidates):
        probability = weights[tuple(candidates.T)]
        probability = probability / probability.sum()
    if count == 0:
        return candidates[:0, 0], candidates[:0, 1]
    picked = candidates[random.choice(len(candidates), count, replace=False, p=probability)]
    return picked[:, 0], picked[:, 1]
