"""Pixels of a depth image that tell about object, hand and the space in front of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError

Floats = NDArray[np.float64]
MIN_DEPTH, MAX_DEPTH = 0.05, 5.0  # m
MIN_OBJECT_PIXELS = 30
MASK_BORDER_PX = 4  # width of the band in which a mask may be wrong
BORDER_PX = 14  # width of the band of sight lines next to the mask
FREE_MARGIN = 0.008  # distance in front of a measured surface within which nothing is concluded, m
FAR = 2.0  # end of sight lines without a depth, in median depths of the object
BACKGROUND_WINDOW_PX = 7
MIN_EMPTY_FRACTION = 0.8  # of a window around a pixel that sees the background
MAX_MILLIMETRES_MEDIAN = 20.0  # median depth above which an image is in millimetres, m


@dataclass(frozen=True)
class Pixels:
    """Rays of pixels and depths along them.

    Attributes:
        ray: (N, 3) rays with z = 1 in the camera's frame.
        depth: (N,) depths, m.
    """

    ray: Floats
    depth: Floats

    @property
    def points(self) -> Floats:
        """(N, 3) points in the camera's frame, m."""
        return self.ray * self.depth[:, None]

    def chosen(self, count: int, random: np.random.Generator) -> Pixels:
        """Return at most `count` pixels, one at random out of each run of neighbours."""
        if len(self.depth) <= count:
            return self
        index = (np.arange(count) + random.random(count)) * (len(self.depth) / count)
        chosen = index.astype(np.int64)
        return Pixels(self.ray[chosen], self.depth[chosen])

    def joined(self, other: Pixels) -> Pixels:
        """Return these pixels followed by others."""
        return Pixels(
            np.concatenate([self.ray, other.ray]), np.concatenate([self.depth, other.depth])
        )

    def where(self, keep: NDArray[np.bool_]) -> Pixels:
        """Return the pixels with a true entry in `keep` (N,)."""
        return Pixels(self.ray[keep], self.depth[keep])


@dataclass(frozen=True)
class DepthPixels:
    """Pixels of one depth image by what they say.

    Attributes:
        object: pixels of the object with a depth.
        surroundings: pixels outside of the mask with a depth.
        free: sight lines around the object, with the depth to which the space is free.
        border: those of them next to the mask.
        inside: sight lines well inside the mask, with the depth where the search ends.
    """

    object: Pixels
    surroundings: Pixels
    free: Pixels
    border: Pixels
    inside: Pixels


def depth_pixels(
    depth: NDArray[np.floating], mask: NDArray[np.bool_], intrinsics: Floats
) -> DepthPixels:
    """Sort the pixels of a depth image.

    Args:
        depth: (H, W) depths, m; 0 or not finite where there is none.
        mask: (H, W) whether a pixel shows the object.
        intrinsics: (3, 3) camera matrix.

    Raises:
        InputError: the mask is empty, or the depth has no usable values in it.
    """
    check_depth(depth, mask)
    usable = np.isfinite(depth) & (depth > MIN_DEPTH) & (depth < MAX_DEPTH)
    on_object = mask & usable
    middle = float(np.median(depth[on_object]))
    kernel = np.ones((2 * MASK_BORDER_PX + 1, 2 * MASK_BORDER_PX + 1), np.uint8)
    core = cv2.erode(mask.astype(np.uint8), kernel) > 0
    near = _window(mask)
    free = usable & near & ~core & (depth > MIN_DEPTH + FREE_MARGIN)
    on_background = near & ~_grown(mask, MASK_BORDER_PX) & _is_background(usable)
    rays = _Rays(intrinsics)
    end = np.where(on_background, FAR * middle, depth) - FREE_MARGIN
    beside = free | on_background
    next_to = beside & _grown(mask, BORDER_PX)
    inside = rays.of(core, np.full(depth.shape, FAR * middle))
    return DepthPixels(
        rays.of(on_object, depth),
        rays.of(usable & ~mask, depth),
        rays.of(beside & ~next_to, end),
        rays.of(next_to, end),
        inside,
    )


def check_depth(depth: NDArray[np.floating], mask: NDArray[np.bool_]) -> None:
    """Check that depth image and mask fit together and show something.

    Raises:
        InputError: sizes differ, the mask is empty, or no depth in it is between `MIN_DEPTH` and
            `MAX_DEPTH`; depths in millimetres are named as such.
    """
    if depth.ndim != 2 or depth.shape != mask.shape:
        raise InputError(
            f"depth image {depth.shape} and mask {mask.shape} differ: expected one size (H, W)"
        )
    count = int(np.count_nonzero(mask))
    if count < MIN_OBJECT_PIXELS:
        raise InputError(
            f"the mask marks {count} pixels, expected at least {MIN_OBJECT_PIXELS}: check the "
            "segmentation, or give touches only"
        )
    values = depth[mask & np.isfinite(depth)]
    values = values[values > 0.0]
    if len(values) == 0:
        raise InputError("the depth image is empty inside the mask: expected depths in metres")
    middle = float(np.median(values))
    if middle > MAX_MILLIMETRES_MEDIAN:
        raise InputError(
            f"the median depth inside the mask is {middle:.0f} m: the image seems to be in "
            "millimetres, expected metres: divide it by 1000"
        )
    usable = np.count_nonzero((values > MIN_DEPTH) & (values < MAX_DEPTH))
    if usable < MIN_OBJECT_PIXELS:
        raise InputError(
            f"{usable} pixels inside the mask have a depth of {MIN_DEPTH} to {MAX_DEPTH} m, "
            f"expected at least {MIN_OBJECT_PIXELS}; the median is {middle:.3g} m: expected metres"
        )


def _grown(mask: NDArray[np.bool_], border_px: int) -> NDArray[np.bool_]:
    """Return the mask with a border of some pixels."""
    kernel = np.ones((2 * border_px + 1, 2 * border_px + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _is_background(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels without depth whose neighbours mostly have none: no holes of a surface."""
    empty = (~usable).astype(np.float32)
    fraction = cv2.blur(empty, (BACKGROUND_WINDOW_PX, BACKGROUND_WINDOW_PX))
    return np.asarray((empty > 0.0) & (fraction > MIN_EMPTY_FRACTION))


def _window(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the box about the mask, enlarged by half of its size."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = max(8, (max(np.ptp(rows), np.ptp(columns)) + 1) // 2)
    window = np.zeros(mask.shape, bool)
    window[
        max(rows[0] - margin, 0) : rows[-1] + margin + 1,
        max(columns[0] - margin, 0) : columns[-1] + margin + 1,
    ] = True
    return window


@dataclass(frozen=True)
class _Rays:
    intrinsics: Floats

    def of(self, chosen: NDArray[np.bool_], depth: NDArray[np.floating]) -> Pixels:
        row, column = np.nonzero(chosen)
        matrix = self.intrinsics
        x = (column - matrix[0, 2]) / matrix[0, 0]
        y = (row - matrix[1, 2]) / matrix[1, 1]
        ray = np.stack([x, y, np.ones(len(x))], axis=1)
        return Pixels(ray, depth[row, column].astype(np.float64))
